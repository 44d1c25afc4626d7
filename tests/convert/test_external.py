"""`leukolite convert-keras`: a model that leukolite did not train becomes a bundle, or is refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
from leukolite.images import read_rgb
from leukolite.network_input import NetworkInput, parse_values
from leukolite.preprocess import CROPS, crop_and_resize
from leukolite.progress import no_progress
from leukolite.train.backend import import_keras
from leukolite.train.recipes import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
LOOSE = ("--max-drop", 100, "--max-recall-drop", 100, "--calibration", 100, "--noise", "0")
INSIST = (*LOOSE, "--allow-useless")  # a network without training is of no use


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
        return ("convert-keras", *files, "--unit", "cell", "--values", values, *INSIST, *options)

    return words


@pytest.mark.parametrize(
    ("values", "channels"),
    [
        ("0..1", "RGB"),
        ("-1..1", "RGB"),
        ("0..255", "RGB"),
        ("imagenet", "RGB"),
        ("0..1", "BGR"),
        ("mean=0.5:std=0.2,0.3,0.4", "BGR"),
    ],
)
def test_a_model_of_somebody_elses_becomes_a_bundle_that_answers_as_it_does(call, convert, cells, tmp_path, values, channels):
    model = network()
    result = call(leukolite, *convert(model, "--channels", channels, values=values))
    assert result.exit_code == 0, result.output
    bundle = Bundle.load(tmp_path / "net")
    classifier = open_classifier(bundle)
    assert bundle.manifest.labels == ["blast", "healthy"]
    assert bundle.manifest.malignant == ["blast"]
    assert bundle.manifest.input.kernel == "halve-linear"
    assert classifier.table is None, "raw RGB bytes go in"
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    mean, deviation = parse_values(values)
    wanted = NetworkInput(channels=channels, mean=mean, deviation=deviation)
    expected = np.asarray(model.predict_on_batch(wanted.of_levels(image)))[0]
    assert np.abs(classifier.runtime.invoke(image) - expected).max() < 0.1
    assert bundle.manifest.network_input == wanted
    card = (tmp_path / "net" / "README.md").read_text()
    assert "what it saw in training is not known" in card
    assert f"The network takes {wanted};" in card
    assert f"taken as {wanted}; the centre square: right on " in result.stdout


@pytest.mark.parametrize(("resize", "crop"), [("stretch", "stretch"), ("pad", "pad")])
def test_a_picture_that_is_not_square_is_seen_as_it_was_said(call, convert, tmp_path, resize, crop):
    assert call(leukolite, *convert(network(), "--resize", resize)).exit_code == 0
    bundle = Bundle.load(tmp_path / "net")
    assert bundle.manifest.input.crop == crop
    assert CROPS[crop] in (tmp_path / "net" / "README.md").read_text()
    open_classifier(bundle)  # the golden frames are not square, and become their inputs
    for frame, image in zip(bundle.golden.frames, bundle.golden.inputs, strict=True):
        assert np.array_equal(crop_and_resize(frame, bundle.manifest.input), image)
        assert not np.array_equal(
            crop_and_resize(frame, bundle.manifest.input.model_copy(update={"crop": "centre-square"})), image
        )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--values", "0..2"), "expected 0..1, -1..1, 0..255, imagenet"),
        (("--values", "mean=123,116,103:std=58,57,57"), "write :of=255 behind them"),
        (("--channels", "GBR"), "'RGB', 'BGR'"),
        (("--resize", "squash"), "'crop', 'stretch', 'pad'"),
    ],
)
def test_a_wrong_word_for_how_it_is_fed_is_a_wrong_call(refuses, convert, words, says):
    assert says in refuses(leukolite, *convert(network(), *words), code=2)


# what the pictures say of it


def red_network(*, takes: NetworkInput, outputs: int = 2, last: str = "softmax", side: int = 16):
    """Calls a picture a blast where it is red, in what it takes; nobody trained it."""
    import keras

    net = keras.Sequential(
        [keras.Input((side, side, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(outputs, last)]
    )
    place = takes.channels.index("R")
    steep = 40 * takes.deviation[0] * np.array([[1.0, -1.0]] if outputs == 2 else [[2.0]])  # blast is the first label
    kernel = np.zeros((3, outputs))
    kernel[place] = steep
    net.layers[-1].set_weights([kernel, (steep * (takes.mean[0] - 0.5) / takes.deviation[0])[0]])
    return net


@pytest.fixture(scope="module")
def red_cells(tmp_path_factory) -> Path:
    """Wide pictures, the blasts redder; how blue one is says nothing."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("red")
    for label, red in (("blast", 0.65), ("healthy", 0.35)):
        (folder / label).mkdir()
        for k in range(36):
            pixels = rng.normal([red + rng.normal(0, 0.02), 0.4, rng.uniform(0.3, 0.7)], 0.02, (16, 32, 3))
            Image.fromarray(np.clip(np.rint(255 * pixels), 0, 255).astype(np.uint8)).save(folder / label / f"{k:02}.png")
    return folder


@pytest.fixture
def fed(red_cells, tmp_path):
    """The command's words for a red network, taken in some way."""

    def words(model, *options: object, labels: str = "blast\nhealthy\n") -> tuple[object, ...]:
        model.save(tmp_path / "net.keras")
        (tmp_path / "labels.txt").write_text(labels)
        files = (tmp_path / "net.keras", "--labels", tmp_path / "labels.txt", "--data", red_cells, "--out", tmp_path / "net")
        return ("convert-keras", *files, "--unit", "cell", "--malignant", "blast", *LOOSE, *options)

    return words


RGB, IMAGENET = NetworkInput(), NetworkInput(mean=parse_values("imagenet")[0], deviation=parse_values("imagenet")[1])
BGR = NetworkInput(channels="BGR")


@pytest.mark.parametrize(
    ("takes", "said", "labels", "remedy"),
    [
        (NetworkInput(deviation=(1 / 255,) * 3), ("--values", "0..1"), "blast\nhealthy\n", "give --values 0..255, or insist"),
        (IMAGENET, ("--values", "0..255"), "blast\nhealthy\n", "just as well with values imagenet"),
        (BGR, ("--values", "0..1"), "blast\nhealthy\n", "give --channels BGR, or insist"),
        (RGB, ("--values", "0..1"), "healthy\nblast\n", "write the labels in the order blast, healthy into the file of --labels"),
        (RGB, ("--values", "0..1", "--channels", "BGR"), "blast\nhealthy\n", "give --channels RGB, or insist"),
    ],
)
def test_a_model_that_is_taken_wrongly_is_refused_with_the_options_that_fit(refuses, fed, tmp_path, takes, said, labels, remedy):
    line = refuses(leukolite, *fed(red_network(takes=takes), *said, labels=labels))
    assert remedy in line
    assert "--allow-useless" in line
    assert "right on 100.0%" in line
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("takes", [RGB, BGR, IMAGENET], ids=str)
def test_the_same_model_taken_rightly_is_written_without_an_objection(call, fed, tmp_path, takes):
    result = call(leukolite, *fed(red_network(takes=takes), "--values", takes.values, "--channels", takes.channels))
    assert result.exit_code == 0, result.output
    manifest = Bundle.load(tmp_path / "net").manifest
    assert manifest.objections == []
    assert manifest.measured.results[0].accuracy == 1


def test_who_insists_gets_the_bundle_and_it_says_what_the_pictures_say_against_it(call, fed, tmp_path):
    model = red_network(takes=NetworkInput(deviation=(1 / 255,) * 3))
    result = call(leukolite, *fed(model, "--values", "0..1", "--allow-useless"))
    assert result.exit_code == 0, result.output
    (objection,) = Bundle.load(tmp_path / "net").manifest.objections
    assert "with values 0..255 it is right on 100.0%" in objection
    assert f"insisted on: {objection}" in result.stdout
    assert objection in (tmp_path / "net" / "README.md").read_text()
    info = call(leukolite, "info", tmp_path / "net").stdout
    assert "insisted on" in info


@pytest.mark.parametrize(
    ("labels", "positive"), [("blast\nhealthy\n", None), ("healthy\nblast\n", "blast"), ("healthy\nblast\n", None)]
)
def test_one_sigmoid_becomes_two_probabilities_whatever_the_labels_order(call, fed, red_cells, tmp_path, labels, positive):
    model = red_network(takes=RGB, outputs=1, last="sigmoid")
    options = () if positive is None else ("--positive", positive)
    result = call(leukolite, *fed(model, "--values", "0..1", *options, labels=labels))
    assert result.exit_code == 0, result.output
    assert ("its one sigmoid is the probability of blast" in result.stdout) == (positive is None)
    bundle = Bundle.load(tmp_path / "net")
    assert bundle.manifest.labels == labels.split()
    classifier = open_classifier(bundle)
    verdict = classifier(read_rgb(red_cells / "blast" / "00.png"))
    assert verdict.label == "blast"
    assert sum(verdict.probabilities) == pytest.approx(1, abs=0.01)


def test_a_sigmoid_that_is_said_to_mean_the_other_label_is_refused(refuses, fed):
    model = red_network(takes=RGB, outputs=1, last="sigmoid")
    line = refuses(leukolite, *fed(model, "--values", "0..1", "--positive", "healthy"))
    assert "give --positive blast, or insist with --allow-useless" in line


def test_a_sigmoid_that_the_pictures_say_nothing_of_is_asked_for(refuses, convert):
    assert "do not tell which label" in (line := refuses(leukolite, *convert(network(outputs=1, activation="sigmoid"))))
    assert line.endswith("say it with --positive LABEL")


def test_two_sigmoids_are_refused_however_near_to_1_they_add_up(refuses, fed):
    line = refuses(leukolite, *fed(red_network(takes=RGB, last="sigmoid"), "--values", "0..1"))
    assert "found 2 sigmoids that know nothing of each other" in line


@pytest.mark.parametrize(
    ("positive", "says"), [("other", "expected the sigmoid's label among blast, healthy"), ("blast", "leave that out")]
)
def test_a_positive_label_of_another_model_is_refused(refuses, fed, positive, says):
    assert says in refuses(leukolite, *fed(red_network(takes=RGB), "--values", "0..1", "--positive", positive))


CASES = [
    ("rescale255", "labels.txt", "ALL_IDB2", ("--values", "0..1"), "give --values 0..255, or"),
    ("imagenet_meanstd", "labels.txt", "ALL_IDB2", ("--values", "0..1"), "give --values imagenet, or"),
    ("sigmoid1", "labels.txt", "ALL_IDB2", ("--values", "0..1", "--positive", "healthy"), "give --positive lymphoblast, or"),
    ("sigmoid2", "labels.txt", "ALL_IDB2", ("--values", "0..1"), "found 2 sigmoids that know nothing of each other"),
    (
        "taleqani4",
        "labels_wrong_order.txt",
        "taleqani",
        ("--values", "0..1"),
        "in the order Benign, Early, Pre, Pro into the file",
    ),
    (
        "taleqani4",
        "labels_wrong_order.txt",
        "taleqani",
        ("--values", "0..1", "--channels", "BGR"),
        "give --channels RGB and write",
    ),
]


@pytest.mark.parametrize(("name", "labels", "data", "options", "says"), CASES)
def test_a_model_of_the_cases_is_refused_with_what_fits(refuses, cases, shared_data, tmp_path, name, labels, data, options, says):
    keras, images = cases / "keras", shared_data / data
    if data == "taleqani":  # every sixth shows the same in a sixth of the time
        for folder in (images / "Original").iterdir():
            (tmp_path / "data" / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[::6]:
                (tmp_path / "data" / folder.name / path.name).symlink_to(path)
        images = tmp_path / "data"
    files = (keras / f"{name}.keras", "--labels", keras / labels, "--data", images, "--out", tmp_path / "net")
    assert says in refuses(leukolite, "convert-keras", *files, "--unit", "field" if data == "taleqani" else "cell", *options)
    assert not (tmp_path / "net").exists()


# the command


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
        ({}, "blast\nBlast\n", "two or more distinct labels"),
        ({}, "blast,\nhealthy,\n", "one label a line, without commas between them, found 'blast,'"),
        ({}, "blast,healthy\n", "one label a line, without commas between them, found 'blast,healthy'"),
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
    net, labels = tmp_path / "net.keras", tmp_path / "labels.txt"
    external = ExternalModel(net, labels, "cell", NetworkInput(), (), cells, allow_useless=True)
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
    assert set(source.recipe) == set(Recipe.model_fields) - {"name", "head"}  # which came later
    assert (source.recipe["model"], source.recipe["weights"], source.recipe["epochs"]) == ("foreign", "net.keras", 0)
    assert str(source.recipe["source"]).startswith("net.keras, a Keras model that leukolite did not train")


def test_data_that_folders_split_calibrates_gates_and_measures_by_them(cells, tmp_path):
    network().save(tmp_path / "net.keras")
    (tmp_path / "labels.txt").write_text("Healthy\nBLAST\n")
    for k, path in enumerate(sorted(cells.glob("*/*.png"))):
        place = tmp_path / "data" / ("Training", "valid", "TEST_images")[k % 3] / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (tmp_path / "data" / "notes.txt").write_text("x")
    net, labels, data = (tmp_path / name for name in ("net.keras", "labels.txt", "data"))
    external = ExternalModel(net, labels, "cell", NetworkInput(), ["BLAST"], data, allow_useless=True)
    source = source_of_keras(external, 3, no_progress)
    assert {part: {file.path.split("/")[0] for file in files} for part, files in source.split.items()} == {
        "train": {"Training"},
        "validation": {"valid"},
        "test": {"TEST_images"},
    }
    assert (source.split_by, source.classes.labels) == ("folders image", ("Healthy", "BLAST"))
    assert [item.path.name for item in source.unusable] == ["notes.txt"]


def test_fine_tuning_a_source_that_nobody_knows_the_training_of_is_refused(source, tmp_path):
    inputs = ConversionInputs(source, ConversionSettings(), tmp_path, no_progress)
    with pytest.raises(ConversionError, match="int8-qat fine-tunes a run of `leukolite train`"):
        convert_model(inputs, VARIANTS["int8-qat"])
