"""`leukolite convert-keras`: a model that leukolite did not train becomes a bundle, or is refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.convert.converted import convert_model
from leukolite.convert.external import ExternalModel, source_of_keras
from leukolite.convert.inputs import ConversionInputs
from leukolite.convert.provenance import is_external
from leukolite.convert.settings import ConversionSettings
from leukolite.convert.source import ConversionSource
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError
from leukolite.progress import no_progress
from leukolite.train.backend import import_keras
from leukolite.train.recipes import Recipe

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
        files = (tmp_path / "net.keras", "--labels", tmp_path / "labels.txt", "--data", cells, "--out", tmp_path / "net")
        return ("convert-keras", *files, "--unit", "cell", "--values", values, *LOOSE, *options)

    return words


@pytest.mark.parametrize("values", ["0..1", "-1..1", "0..255"])
def test_a_model_of_somebody_elses_becomes_a_bundle_that_answers_as_it_does(call, convert, cells, tmp_path, values):
    model = network()
    result = call(leukolite, *convert(model, values=values))
    assert result.exit_code == 0, result.output
    bundle = Bundle.load(tmp_path / "net")
    classifier = open_classifier(bundle)
    assert bundle.manifest.labels == ["blast", "healthy"]
    assert bundle.manifest.malignant == ["blast"]
    assert bundle.manifest.input.kernel == "halve-linear"
    assert classifier.table is None, "raw RGB bytes go in"
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    low, high = {"0..1": (0, 1), "-1..1": (-1, 1), "0..255": (0, 255)}[values]
    expected = np.asarray(model.predict_on_batch(image / np.float32(255) * (high - low) + low))[0]
    assert np.abs(classifier.runtime.invoke(image) - expected).max() < 0.1
    assert "what it saw in training is not known" in (tmp_path / "net" / "README.md").read_text()


def test_labels_in_another_order_than_the_folders_are_the_models(call, convert, tmp_path):
    assert call(leukolite, *convert(network(), labels="healthy\nblast\n")).exit_code == 0
    assert Bundle.load(tmp_path / "net").manifest.labels == ["healthy", "blast"]


@pytest.mark.parametrize(
    ("changes", "labels", "says"),
    [
        ({"outputs": 3}, "blast\nhealthy\n", "expected one output per label (2"),
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


def test_a_malignant_label_that_is_none_of_the_models_is_refused(refuses, convert):
    assert "expected the malignant labels among 'blast', 'healthy', or none, found 'other'" in refuses(
        leukolite, *convert(network(), "--malignant", "blast,other")
    )


@pytest.fixture
def plain(cells, tmp_path):
    """The cells as plain folders, of which the layout does not say what is malignant."""
    folder = Path(shutil.copytree(cells, tmp_path / "plain"))
    (folder / "synthetic.json").unlink()
    return folder


def test_plain_folders_are_asked_which_labels_are_malignant(refuses, convert, plain, tmp_path):
    line = refuses(leukolite, *convert(network(), "--data", plain))
    assert "nobody said which of blast, healthy mean leukaemia" in line
    assert line.endswith("give --malignant LABELS, or --malignant none")
    assert not (tmp_path / "net").exists()


def test_a_bundle_without_a_malignant_label_says_that_no_recall_was_held(call, convert, plain, tmp_path):
    result = call(leukolite, *convert(network(), "--data", plain, "--malignant", "NONE"))
    assert result.exit_code == 0, result.output
    assert result.output.count("no recall held (no label is said to be malignant)") == 2
    assert "no malignant recall lost" not in result.output
    card = (tmp_path / "net" / "README.md").read_text()
    assert "No label is said to be malignant, so no malignant recall was held." in card
    assert "| none held |" in card


def test_malignant_labels_are_named_in_any_case(call, convert, plain, tmp_path):
    result = call(leukolite, *convert(network(), "--data", plain, "--malignant", "Blast"))
    assert result.exit_code == 0, result.output
    assert Bundle.load(tmp_path / "net").manifest.malignant == ["blast"]


REQUIRED = {"--labels": "labels.txt", "--unit": "cell", "--values": "0..1", "--data": "cells", "--out": "bundle"}


@pytest.mark.parametrize("option", REQUIRED)
def test_what_is_not_guessed_is_asked_for_in_one_line(refuses, option):
    given = [word for name, value in REQUIRED.items() if name != option for word in (name, value)]
    assert f"Missing option '{option}'" in refuses(leukolite, "convert-keras", "net.keras", *given, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("--keras", "net.keras", *(word for pair in REQUIRED.items() for word in pair)),
        ("--keras", "net.keras"),
        ("--keras",),
        ("run", "--keras", "net.keras", "--out", "bundle"),
        ("run", "--unit", "cell", "--out", "bundle"),
        ("run", "--values", "-1..1", "--out", "bundle"),
    ],
    ids=" ".join,
)
def test_the_spelling_of_before_is_sent_to_the_new_command(refuses, words):
    assert "has moved: use `leukolite convert-keras FILE --labels FILE" in refuses(leukolite, "convert", *words, code=2)


def test_fine_tuning_wants_a_run(refuses, convert):
    assert "int8-qat" in refuses(leukolite, *convert(network(), "--to", "int8-qat"), code=2)


def test_only_a_run_is_tried_variant_by_variant(refuses, convert):
    assert "No such option" in refuses(leukolite, *convert(network(), "--auto"), code=2)


# the source


@pytest.fixture
def source(cells, tmp_path) -> ConversionSource:
    network().save(tmp_path / "net.keras")
    (tmp_path / "labels.txt").write_text("healthy\nblast\n")
    external = ExternalModel(tmp_path / "net.keras", tmp_path / "labels.txt", "cell", (0.0, 1.0), (), cells)
    return source_of_keras(external, 3, no_progress)


def test_a_source_of_a_keras_file_says_what_is_known_and_offers_no_fine_tuning(source, cells):
    assert (source.classes, source.unit) == (Classes.of(("healthy", "blast"), ("blast",)), "cell")
    assert (source.root, source.dataset, source.seed, source.split_by) == (cells, "synthetic", 3, "image")
    assert (source.spec.height, source.spec.width) == (32, 32)
    assert source.seen_before == []
    assert source.fine_tuning is None


def test_its_images_calibrate_gate_or_measure_and_none_does_two_of_them(source):
    hashes = {part: {file.sha256 for file in files} for part, files in source.split.items()}
    assert sum(map(len, hashes.values())) == len(set[str]().union(*hashes.values())) == 40
    assert {part: sum(counts.values()) for part, counts in source.counts.items()} == {
        part: len(files) for part, files in hashes.items()
    }
    assert source.holdout_part == "test"


def test_its_record_has_the_shape_that_bundles_of_before_have(source):
    assert is_external(source.recipe)
    assert set(source.recipe) == set(Recipe.model_fields) - {"name"}
    assert (source.recipe["model"], source.recipe["weights"], source.recipe["epochs"]) == ("foreign", "net.keras", 0)
    assert str(source.recipe["source"]).startswith("net.keras, a Keras model that leukolite did not train")


def test_fine_tuning_a_source_that_nobody_knows_the_training_of_is_refused(source, tmp_path):
    inputs = ConversionInputs(source, ConversionSettings(), tmp_path, no_progress)
    with pytest.raises(ConversionError, match="int8-qat fine-tunes a run of `leukolite train`"):
        convert_model(inputs, VARIANTS["int8-qat"])
