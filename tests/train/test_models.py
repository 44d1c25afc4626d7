import ast
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import leukolite.train
from leukolite.advice import ADVICE
from leukolite.errors import TrainingError
from leukolite.train.backend import import_keras
from leukolite.train.models import MODELS, build, load_weights
from leukolite.train.recipes import RECIPES

if TYPE_CHECKING:
    import keras

h5py = pytest.importorskip("h5py")  # comes with Keras, and says nothing when it loads


@pytest.fixture(scope="module", autouse=True)
def quiet_keras() -> None:
    import_keras("the tests")


@pytest.fixture(scope="module")
def mobilenet() -> "keras.Model":
    """Tests of other weights put its own back."""
    return build("mobilenet_m", 2, 224, dropout=0.3, seed=0)


@pytest.fixture
def untouched(mobilenet) -> "keras.Model":
    """The network, whose weights are put back afterwards."""
    before = mobilenet.get_weights()
    yield mobilenet
    mobilenet.set_weights(before)


@pytest.fixture(scope="module")
def small() -> "keras.Model":
    return build("small_cnn", 2, 32, dropout=0.2, seed=0)


@pytest.fixture
def weights_of(tmp_path) -> Callable[["keras.Model"], Path]:
    def save(model: "keras.Model") -> Path:
        path = tmp_path / f"{model.name}.weights.h5"
        model.save_weights(path)
        return path

    return save


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_mobilenet_m_has_the_parameters_of_the_papers_table(mobilenet):
    assert mobilenet.count_params() == 3_235_010
    assert sum(int(np.prod(weight.shape)) for weight in mobilenet.trainable_weights) == 3_211_074


@pytest.mark.parametrize(("name", "parameters"), [("light_cnn", 8_095_330), ("light_cnn_32", 564_642)])
def test_the_light_cnns_have_their_parameters_for_four_classes(name, parameters):
    assert build(name, 4, 224, dropout=0.5, seed=0).count_params() == parameters


def test_small_cnn_is_some_ten_thousand_parameters(small):
    assert small.count_params() < 15_000


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_takes_rgb_and_gives_one_probability_a_class(name):
    side = 32 if name == "small_cnn" else 160
    model = build(name, 4, side, dropout=0.2, seed=0)
    assert model.input_shape == (None, side, side, 3)
    probabilities = np.asarray(model.predict_on_batch(np.zeros((2, side, side, 3), np.float32)))
    assert probabilities.shape == (2, 4)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small):
    assert same(small.get_weights(), build("small_cnn", 2, 32, dropout=0.2, seed=0).get_weights())
    assert not same(small.get_weights(), build("small_cnn", 2, 32, dropout=0.2, seed=1).get_weights())


def test_images_too_small_for_the_layers_are_refused():
    with pytest.raises(TrainingError, match="light_cnn cannot take 64x64 images"):
        build("light_cnn", 2, 64, dropout=0.5, seed=0)


# weights to start from


def refused(model: "keras.Model", weights: object, *, backbone: bool = False) -> TrainingError:
    before = model.get_weights()
    with pytest.raises(TrainingError) as caught:
        load_weights(model, str(weights), backbone=backbone)
    assert "\n" not in str(caught.value)
    assert same(before, model.get_weights()), "a refused file changed the network"
    return caught.value


def refusal(model: "keras.Model", weights: object, *, backbone: bool = False) -> str:
    return str(refused(model, weights, backbone=backbone))


def test_without_weights_the_network_stays_fresh(small):
    before = small.get_weights()
    load_weights(small, "none", backbone=False)
    assert same(before, small.get_weights())


def test_a_networks_own_weights_come_back(small, weights_of):
    other = build("small_cnn", 2, 32, dropout=0.2, seed=9)
    load_weights(other, str(weights_of(small)), backbone=False)
    assert same(other.get_weights(), small.get_weights())


def test_a_whole_mobilenet_comes_back_with_its_head(untouched, tmp_path):
    untouched.set_weights([weight + 1 for weight in untouched.get_weights()])
    other = build("mobilenet_m", 2, 224, dropout=0.3, seed=9)
    for name in ("whole.weights.h5", "whole.keras"):
        untouched.save(tmp_path / name) if name.endswith(".keras") else untouched.save_weights(tmp_path / name)
        other.set_weights([weight * 0 for weight in other.get_weights()])
        load_weights(other, str(tmp_path / name), backbone=True)
        assert same(other.get_weights(), untouched.get_weights())


def test_a_mobilenet_of_other_classes_is_refused(untouched, tmp_path):
    build("mobilenet_m", 4, 224, dropout=0.3, seed=0).save(tmp_path / "four.keras")
    assert "not weights of mobilenet_m" in refusal(untouched, tmp_path / "four.keras", backbone=True)


def test_a_missing_weights_file_is_refused(small, tmp_path):
    assert "no such weights file" in refusal(small, tmp_path / "nowhere.weights.h5")
    assert "a folder, not a file" in refusal(small, tmp_path)


@pytest.mark.parametrize("name", ["text.weights.h5", "text.h5", "text.bin", "text.keras"])
def test_a_text_file_is_refused(small, tmp_path, name):
    (tmp_path / name).write_text("not weights")
    assert "not weights of small_cnn, or damaged" in refusal(small, tmp_path / name)


def linked(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["other"] = h5py.ExternalLink("/etc/hostname", "/x")


def virtual(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (4,))
        file.create_virtual_dataset("other", layout)


def vast(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("other", (10**12,), "f4", chunks=(1024,))


@pytest.mark.parametrize(
    ("harm", "said"),
    [(linked, "is a link, maybe to another file"), (virtual, "lie in another file"), (vast, "4000.0 GB and more")],
)
def test_weights_that_name_other_files_are_refused_before_they_are_read(small, weights_of, tmp_path, harm, said):
    path = weights_of(small)
    harm(path)
    assert said in refusal(small, path)
    small.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as given, zipfile.ZipFile(tmp_path / "other.keras", "w") as other:
        for name in given.namelist():
            given.extract(name, tmp_path / "within")
            if name == "model.weights.h5":
                harm(tmp_path / "within" / name)
            other.write(tmp_path / "within" / name, name)
    assert said in refusal(small, tmp_path / "other.keras")


def test_a_truncated_weights_file_is_refused(small, weights_of):
    path = weights_of(small)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "not weights of small_cnn, or damaged" in refusal(small, path)


def test_weights_of_another_architecture_are_refused(small, weights_of):
    other = build("small_cnn", 4, 32, dropout=0.2, seed=0)
    assert "not weights of small_cnn" in refusal(small, weights_of(other))


def test_a_mobilenet_takes_no_weights_of_another_network(untouched, small, weights_of):
    assert "not weights of mobilenet_m" in refusal(untouched, weights_of(small), backbone=True)


def test_only_mobilenet_has_imagenet_weights(small):
    error = refused(small, "imagenet")
    assert str(error) == "small_cnn has no ImageNet weights"
    assert "--weights none" in ADVICE[error.advice or ""]


def test_a_download_that_fails_says_how_to_do_without(untouched, monkeypatch):
    import keras

    def offline(**_: object) -> None:
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "MobileNet", offline)
    error = refused(untouched, "imagenet", backbone=True)
    assert "no route to host" in str(error)
    assert "give the file of MobileNet's ImageNet weights" in str(error)
    assert "--weights FILE" in ADVICE[error.advice or ""]


def test_the_recovered_imagenet_weights_change_the_backbone_and_leave_the_head(untouched):
    place = Path(os.environ.get("LEUKOLITE_WEIGHTS", Path(__file__).parents[3] / "shared" / "weights"))
    file = place / "mobilenet_1_0_224_imagenet_notop.weights.h5"
    if not file.is_file():
        pytest.skip(f"no ImageNet weights at {file}; set LEUKOLITE_WEIGHTS to run this test")
    before = untouched.get_weights()
    load_weights(untouched, str(file), backbone=True)
    changed = [not np.array_equal(a, b) for a, b in zip(before, untouched.get_weights(), strict=True)]
    head = 6  # gamma, beta, mean and variance of the batch normalisation; kernel and bias of the dense layer
    assert all(changed[:-head])
    assert not any(changed[-head:])


# neutral to the backend


@pytest.mark.parametrize("path", sorted(Path(leukolite.train.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_training_never_names_a_backend(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not {name.split(".")[0] for name in imported} & {"tensorflow", "tf_keras", "jax", "torch"}


def test_every_recipe_finds_its_model():
    assert {recipe.model for recipe in RECIPES.values()} == set(MODELS)
