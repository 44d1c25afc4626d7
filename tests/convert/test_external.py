"""`leukolite convert --keras`: a model that leukolite did not train becomes a bundle, or is refused in one line."""

import numpy as np
import pytest

from leukolite.bundle import Bundle
from leukolite.cli import main as leukolite
from leukolite.judge import open_judge
from leukolite.terminal import import_keras

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
LOOSE = ("--max-drop", 100, "--max-recall-drop", 100, "--calibration", 100)


@pytest.fixture(scope="module", autouse=True)
def quiet_keras() -> None:
    import_keras("the tests")


def network(*, side=32, channels=3, outputs=2, activation="softmax", first=None):
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((side, side, channels)), *([first] if first is not None else [])]
    layers += [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([*layers, keras.layers.Dense(outputs, activation=activation)])


@pytest.fixture
def convert(cells, tmp_path):
    """The command's words for a saved network."""

    def words(model, *options: object, labels: str = "blast\nhealthy\n", values: str = "0..1") -> tuple[object, ...]:
        model.save(tmp_path / "net.keras")
        (tmp_path / "labels.txt").write_text(labels)
        files = (
            "--keras",
            tmp_path / "net.keras",
            "--labels",
            tmp_path / "labels.txt",
            "--data",
            cells,
            "--out",
            tmp_path / "net",
        )
        return ("convert", *files, "--out", tmp_path / "net", "--unit", "cell", "--values", values, *LOOSE, *options)

    return words


@pytest.mark.parametrize("values", ["0..1", "-1..1", "0..255"])
def test_a_model_of_somebody_elses_becomes_a_bundle_that_answers_as_it_does(call, convert, cells, tmp_path, values):
    model = network()
    result = call(leukolite, *convert(model, values=values))
    assert result.exit_code == 0, result.output
    bundle = Bundle.load(tmp_path / "net")
    judge = open_judge(bundle)
    assert bundle.manifest.labels == ["blast", "healthy"]
    assert bundle.manifest.malignant == ["blast"]
    assert judge.table is None, "raw RGB bytes go in"
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    low, high = {"0..1": (0, 1), "-1..1": (-1, 1), "0..255": (0, 255)}[values]
    expected = np.asarray(model.predict_on_batch(image / np.float32(255) * (high - low) + low))[0]
    assert np.abs(judge.runtime.invoke(image) - expected).max() < 0.1
    assert "what it saw in training is not known" in (tmp_path / "net" / "README.md").read_text()


def test_labels_in_another_order_than_the_folders_are_the_models(call, convert, tmp_path):
    assert call(leukolite, *convert(network(), labels="healthy\nblast\n")).exit_code == 0
    assert Bundle.load(tmp_path / "net").manifest.labels == ["healthy", "blast"]


@pytest.mark.parametrize(
    ("changes", "labels", "says"),
    [
        ({"outputs": 3}, "blast\nhealthy\n", "expected one output a label (2"),
        ({"outputs": 3}, "blast\nhealthy\nother\n", "they must be the same"),
        ({"side": None}, "blast\nhealthy\n", "leaves height or width open"),
        ({"channels": 1}, "blast\nhealthy\n", "expected RGB images"),
        ({"activation": None}, "blast\nhealthy\n", "end it in a softmax"),
        ({}, "blast\nblast\n", "two or more distinct labels"),
        ({}, "", "two or more distinct labels"),
    ],
)
def test_what_cannot_be_converted_is_one_line(refuses, convert, tmp_path, changes, labels, says):
    assert says in refuses(leukolite, *convert(network(**changes), labels=labels))
    assert not (tmp_path / "net").exists()


def test_a_layer_of_its_own_is_named(refuses, convert, tmp_path):
    import keras

    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    assert "a layer that is not Keras' own" in refuses(leukolite, *convert(network(first=Own())))


def test_a_file_that_is_no_model_is_refused(refuses, convert, tmp_path):
    words = convert(network())
    (tmp_path / "net.keras").write_text("not a model")
    assert "no Keras model, or damaged" in refuses(leukolite, *words)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--keras", "net.keras"), "--keras needs --labels, --unit, --values, --data"),
        (("run", "--keras", "net.keras"), "give a RUN, or a model with --keras"),
        (("run", "--unit", "cell"), "--unit goes with --keras"),
    ],
)
def test_half_a_call_is_a_wrong_call(refuses, options, says):
    assert says in refuses(leukolite, "convert", *options, "--out", "b", code=2)


def test_fine_tuning_wants_a_run(refuses, convert):
    assert "int8-qat" in refuses(leukolite, *convert(network(), "--to", "int8-qat"), code=2)
