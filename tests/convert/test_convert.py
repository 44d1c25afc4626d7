"""`leukolite convert` from the run folder to the bundle."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.convert.card import model_card
from leukolite.convert.quantise import check_file
from leukolite.convert.variants import VARIANTS
from leukolite.decision import UNCALIBRATED, Decision
from leukolite.images import read_rgb
from leukolite.manifest import ConversionGate
from leukolite.runtime import TfliteRuntime
from leukolite.train.run_classifier import open_run_classifier
from leukolite.train.runs import load_run

pytestmark = pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")  # TensorFlow's, of every conversion


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def split_of(run: Path) -> dict[str, list[dict]]:
    return json.loads((run / "split.json").read_text())


@pytest.fixture(scope="module")
def bundle(tiny_bundle) -> Bundle:
    return Bundle.load(tiny_bundle)


# what a bundle is


def test_a_bundle_is_seven_files(tiny_bundle):
    made = ["README.md", "SHA256SUMS", "golden-verdicts.json", "golden.npz", "labels.txt", "manifest.json", "model.tflite"]
    assert names(tiny_bundle) == made
    assert names(tiny_bundle.parent) == [tiny_bundle.name]


def test_a_bundle_opens_with_its_golden_outputs(bundle):
    classifier = open_classifier(bundle)
    assert classifier.classes == Classes.of(("blast", "healthy"), ("blast",))


def test_no_float_is_left_inside(bundle):
    dtypes = TfliteRuntime(bundle.model).tensor_dtypes().values()
    assert not [dtype for dtype in dtypes if dtype.startswith("float")]


def test_raw_bytes_go_in(bundle):
    tensor = bundle.manifest.input_tensor
    assert (tensor.dtype, tensor.zero_point) == ("uint8", 0)
    assert tensor.scale == pytest.approx(1 / 255, rel=1e-5)
    assert open_classifier(bundle).table is None


def test_golden_captures_are_larger_than_the_input_and_not_square(bundle):
    _, height, width, _ = bundle.golden.frames.shape
    assert height != width
    assert min(height, width) > bundle.manifest.input.height
    assert len(np.unique(bundle.golden.frames, axis=0)) == len(bundle.golden.frames)


def test_the_manifest_repeats_the_run(bundle, finished_run):
    run, manifest = load_run(finished_run), bundle.manifest
    assert (manifest.labels, manifest.malignant, manifest.unit, manifest.input) == (
        run.labels,
        run.malignant,
        run.unit,
        run.input,
    )
    assert manifest.training.dataset_fingerprint == run.dataset_fingerprint
    assert manifest.training.split == run.split
    assert manifest.training.seed == run.seed


def test_seen_are_the_images_that_fitted_or_chose_the_model(bundle, finished_run):
    split = split_of(finished_run)
    seen = {entry["sha256"][:12] for part in ("train", "validation") for entry in split[part]}
    assert set(bundle.manifest.training.seen) == seen
    assert not seen & {entry["sha256"][:12] for entry in split["test"]}


def test_float_agreement_is_of_the_answers_before_temperature_and_threshold(bundle, finished_run, cells):
    split = split_of(finished_run)
    paths = [cells / entry["path"] for entry in split["test"]]
    raw = open_classifier(dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update={"decision": UNCALIBRATED})))
    float_classifier = open_run_classifier(finished_run)
    same = [raw(read_rgb(path)).index == float_classifier(read_rgb(path)).index for path in paths]
    assert bundle.manifest.measured.float_agreement == pytest.approx(np.mean(same))


def test_the_test_part_is_measured_at_each_noise_level(bundle):
    measured = bundle.manifest.measured
    assert measured.part == "test"
    assert [(row.sigma, row.n) for row in measured.results] == [(0, 8), (10, 8)]
    assert 0 <= measured.float_agreement <= 1


def test_four_validation_images_are_too_few_to_fit_a_decision(bundle):
    assert bundle.manifest.decision == Decision(threshold=0.5)
    assert bundle.manifest.fitted.band is None


def test_the_manifest_records_what_calibrated_it(bundle):
    calibration = bundle.manifest.calibration
    assert calibration.classes == {"blast": 14, "healthy": 14}, "all there are, where 200 are asked for"
    assert (calibration.count, calibration.seed, calibration.sigmas) == (28, 0, [0, 5, 10])


def test_the_manifest_records_what_quantisation_cost_at_both_noise_levels(bundle):
    gate = bundle.manifest.gate
    assert (gate.part, gate.max_drop, gate.max_recall_drop) == ("validation", 100, 100)
    assert [(level.sigma, level.n, list(level.recall)) for level in gate.levels] == [(0, 4, ["blast"]), (10, 4, ["blast"])]


def test_the_manifest_records_the_runtimes_that_were_tried(bundle):
    tried = {one.name: one.outcome for one in bundle.manifest.runtimes}
    assert tried == {"litert": "proved", "tflite-runtime": "untried"}


def test_the_manifest_names_no_place_of_this_machine(tiny_bundle, cells):
    text = (tiny_bundle / "manifest.json").read_text() + (tiny_bundle / "README.md").read_text()
    assert str(cells.parent) not in text


# its card


def test_the_card_is_made_of_the_manifest(tiny_bundle, bundle):
    assert (tiny_bundle / "README.md").read_text() == model_card(bundle.manifest, len(bundle.model))


def test_the_card_has_counts_intervals_and_the_warning(bundle):
    card = model_card(bundle.manifest, len(bundle.model))
    assert card.count("Research use only; never a diagnosis.") == 2
    assert "train: 28 images (blast 14, healthy 14)" in card
    assert "test: 8 images (blast 4, healthy 4)" in card
    first = bundle.manifest.measured.results[0]
    low, high = (100 * bound for bound in first.accuracy_interval)
    assert f"{100 * first.accuracy:.1f}% ({low:.1f}-{high:.1f})" in card
    assert "| 10 |" in card
    for label, row in zip(bundle.manifest.labels, first.confusion, strict=True):
        assert f"| **{label}** | {row[0]} | {row[1]} |" in card


def test_the_card_says_where_the_noise_was_put_and_how_much_of_it_reached_the_network(bundle):
    card = model_card(bundle.manifest, 1)
    assert ") on the capture; litert" in card
    (row,) = [row for row in bundle.manifest.measured.results if row.sigma == 10]
    assert f"| 10 | {row.effective_sigma:.1f} | {100 * row.balanced_accuracy:.1f}% |" in card
    at_input = bundle.manifest.measured.model_copy(update={"noise_at": "input"})
    assert ") at the network's input; litert" in model_card(bundle.manifest.model_copy(update={"measured": at_input}), 1)


def test_the_card_of_a_useless_network_says_so_in_one_line_and_that_of_another_does_not(bundle):
    def card_of(confusion: list[list[int]]) -> str:
        results = [row.model_copy(update={"confusion": confusion}) for row in bundle.manifest.measured.results]
        measured = bundle.manifest.measured.model_copy(update={"results": results})
        return model_card(bundle.manifest.model_copy(update={"measured": measured}), 1)

    (line,) = [line for line in card_of([[0, 40], [0, 40]]).splitlines() if "No better than guessing" in line]
    assert "answers healthy to 80 of 80, is right on 50.0%" in line
    assert "recognises 0 of 40 pictures of blast" in line
    assert "No better than guessing" not in card_of([[38, 2], [3, 37]])


def test_the_card_says_of_which_malignant_class_no_recall_was_held(bundle):
    gate = bundle.manifest.gate
    levels = [level.model_copy(update={"recall": {}, "float_recall": {}}) for level in gate.levels]
    empty = bundle.manifest.model_copy(update={"gate": gate.model_copy(update={"levels": levels})})
    assert "No image of blast is among them, so no recall of it was held." in model_card(empty, 1000)
    assert "no recall of it was held" not in model_card(bundle.manifest, 1000)


def test_the_recipes_name_is_in_manifest_and_card(bundle):
    assert bundle.manifest.training.recipe["name"] == "small_cnn"
    assert "- Recipe: `small_cnn` (network `small_cnn`), leukolite's own" in model_card(bundle.manifest, 1)


def test_the_card_of_a_bundle_of_before_recipes_were_named_has_the_network_alone(bundle):
    recipe = {key: value for key, value in bundle.manifest.training.recipe.items() if key != "name"}
    older = bundle.manifest.training.model_copy(update={"recipe": recipe})
    assert "- Recipe: `small_cnn`, leukolite's own" in model_card(bundle.manifest.model_copy(update={"training": older}), 1)


def test_a_card_without_training_or_measurements_still_says_what_it_is(bundle):
    bare = bundle.manifest.model_copy(update={"training": None, "measured": None})
    card = model_card(bare, 1_000_000)
    assert "Research use only" in card
    assert "## Measured" not in card


def test_a_bundle_measured_on_its_validation_part_says_that_the_figures_flatter(bundle):
    measured = bundle.manifest.measured.model_copy(update={"part": "validation"})
    card = model_card(bundle.manifest.model_copy(update={"measured": measured}), 1)
    assert "also chose the epoch, so the figures flatter" in card


# the command


ANY = ("--max-drop", 100, "--max-recall-drop", 100, "--allow-useless")  # two epochs make a network that anything turns round


@pytest.mark.long
def test_a_bundle_measured_with_noise_at_the_input_says_so_in_manifest_card_and_report(call, finished_run, tmp_path):
    out = tmp_path / "at-input"
    result = call(leukolite, "convert", finished_run, "--out", out, *ANY, "--noise", "0,10", "--noise-at", "input")
    assert result.exit_code == 0, result.output
    assert "at sigma 10, noise at the network's input" in result.stdout
    measured = json.loads((out / "manifest.json").read_text())["measured"]
    assert measured["noise_at"] == "input"
    assert 9 < measured["results"][1]["effective_sigma"] < 10.1
    assert ") at the network's input; litert" in (out / "README.md").read_text()


@pytest.mark.long
def test_in_a_process_of_its_own_it_says_what_it_did_and_nothing_else(finished_run, tmp_path):
    command = [sys.executable, "-c", "from leukolite.cli import main; main()", "convert", str(finished_run)]
    options = ["--out", str(tmp_path / "tiny"), "--noise", "5", "--json", str(tmp_path / "result.json"), *map(str, ANY)]
    result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "tensorflow" not in result.stdout.lower()
    objection, *lines = result.stdout.splitlines()
    assert objection.startswith("insisted on: on its validation part the run's float model is right on 50.0% of 4 labelled")
    assert lines[0].startswith(f"{tmp_path / 'tiny'}: int8 (full integer, int8), 0.02 MB, 0.")
    assert lines[0].endswith(" of float32, 28 calibration images")
    assert [line.split(",")[1] for line in lines if line.startswith("  validation part, ")] == [" n 4"] * 2
    assert any(line.startswith("  test part, n 8: accuracy ") for line in lines)
    said = json.loads((tmp_path / "result.json").read_text())
    (variant,) = said["variants"]
    assert sum(line.startswith("    flipped: ") for line in lines) == min(3, len(variant["flips"]))
    assert len(variant["flips"]) == sum(level["flips"] for level in variant["manifest"]["gate"]["levels"])
    assert said["float32"]["flips"] == 0
    assert said["float32"]["max_difference"] < 1e-4
    assert len(lines) < 30


def test_a_run_that_finds_no_blast_is_refused_unless_one_insists(refuses, finished_run, bundle, tmp_path):
    line = refuses(leukolite, "convert", finished_run, "--out", tmp_path / "bundle")
    assert "is right on 50.0% of 4 labelled pictures and recognises 0 of 2 pictures of blast; --allow-useless insists" in line
    assert line.startswith(f"Error: {finished_run}: on its validation part the run's float model ")
    assert names(tmp_path) == []
    (objection,) = bundle.manifest.objections
    assert objection in line
    assert objection in model_card(bundle.manifest, len(bundle.model))


@pytest.mark.long
def test_several_variants_are_a_folder_each_and_each_opens(call, finished_run, tmp_path):
    wanted = ["float32", "float16", "dynamic-range", "int16x8"]
    options = ("--to", ",".join(wanted), "--noise", "0", "--name", "tiny")
    result = call(leukolite, "convert", finished_run, "--out", tmp_path / "all", *options, *ANY)
    assert result.exit_code == 0, result.output
    assert names(tmp_path / "all") == sorted(wanted)
    for variant in wanted:
        bundle = Bundle.load(tmp_path / "all" / variant)
        assert (bundle.manifest.name, bundle.manifest.variant) == (f"tiny-{variant}", variant)
        assert open_classifier(bundle)(np.zeros((60, 50, 3), np.uint8)).label in ("blast", "healthy")
        assert (bundle.path / "README.md").read_text() == model_card(bundle.manifest, len(bundle.model))


def lossy(failing: str) -> Callable[[ConversionGate], list[str]]:
    """A gate at which the variant named does not pass; it tells variants by how far they are from the float model."""
    seen: list[ConversionGate] = []

    def failures(gate: ConversionGate) -> list[str]:
        seen.append(gate)
        return ["accuracy drops 9.0 points at sigma 10 (at most 0.5)"] if AUTO[len(seen) - 1] == failing else []

    return failures


AUTO = ("int8", "float16")


def test_auto_takes_the_first_that_passes_and_says_why_the_earlier_did_not(call, finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("leukolite.convert.make_bundle.AUTO_ORDER", AUTO)
    monkeypatch.setattr("leukolite.convert.make_bundle.failures", lossy("int8"))
    result = call(leukolite, "convert", finished_run, "--auto", "--out", tmp_path / "bundle", "--noise", "0", "--allow-useless")
    assert result.exit_code == 0, result.output
    assert Bundle.load(tmp_path / "bundle").manifest.variant == "float16"
    first = result.stdout.splitlines()[1]
    assert (
        first == "int8 (full integer, int8): not written, it fails the gate: accuracy drops 9.0 points at sigma 10 (at most 0.5)"
    )


def test_auto_stops_at_the_first_that_passes(call, finished_run, tmp_path, monkeypatch):
    monkeypatch.setattr("leukolite.convert.make_bundle.AUTO_ORDER", AUTO)
    monkeypatch.setattr("leukolite.convert.make_bundle.failures", lossy("float16"))
    result = call(leukolite, "convert", finished_run, "--auto", "--out", tmp_path / "bundle", "--noise", "0", "--allow-useless")
    assert result.exit_code == 0, result.output
    assert Bundle.load(tmp_path / "bundle").manifest.variant == "int8"


def test_what_fails_the_gate_is_not_written_and_the_old_bundle_stays(call, finished_run, tiny_bundle, tmp_path, monkeypatch):
    old = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    monkeypatch.setattr("leukolite.convert.make_bundle.failures", lossy("int8"))
    assert "--force replaces it" in call(leukolite, "convert", finished_run, "--out", old, "--noise", "0").stderr
    result = call(leukolite, "convert", finished_run, "--out", old, "--noise", "0", "--force", "--allow-useless")
    assert result.exit_code == 1
    assert "not written: int8; see above why" in result.stderr
    assert "it fails the gate: accuracy drops 9.0 points" in result.stdout
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before


@pytest.mark.long
def test_fine_tuned_int8_is_full_integer_and_near_the_float_model(call, finished_run, tmp_path):
    result = call(leukolite, "convert", finished_run, "--to", "int8-qat", "--out", tmp_path / "qat", "--noise", "0", *ANY)
    assert result.exit_code == 0, result.output
    bundle = Bundle.load(tmp_path / "qat")
    check_file(bundle.model, VARIANTS["int8-qat"], bundle.manifest.input)
    assert (bundle.manifest.fine_tuning.images, bundle.manifest.fine_tuning.epochs) == (28, 1)
    assert bundle.manifest.calibration is None
    litert = bundle.manifest.runtimes[0]
    assert litert.outcome == "proved"
    assert litert.max_difference < 0.1
    assert open_classifier(bundle).table is None, "raw bytes go in"


def test_the_study_shows_accuracy_for_each_number_of_images_and_writes_nothing(call, finished_run, tmp_path):
    result = call(leukolite, "calibration-study", finished_run, "--json", tmp_path / "study.json")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "study.json").read_text())["calibration_study"]
    assert [row["calibration"]["count"] for row in rows] == [16, 28]
    assert [row["calibration"]["classes"] for row in rows] == [{"blast": 8, "healthy": 8}, {"blast": 14, "healthy": 14}]
    assert names(tmp_path) == ["study.json"]


def test_a_study_of_a_folder_that_is_no_run_is_refused(refuses, tmp_path):
    assert "not a finished run" in refuses(leukolite, "calibration-study", tmp_path)


def test_a_study_without_a_run_is_a_wrong_call(refuses):
    assert "Missing argument 'RUN'" in refuses(leukolite, "calibration-study", code=2)


def test_a_study_whose_json_cannot_be_written_is_refused_before_the_work(refuses, finished_run, tmp_path):
    assert "cannot be written" in refuses(leukolite, "calibration-study", finished_run, "--json", tmp_path)


def test_the_study_by_its_spelling_of_before_is_sent_to_its_command(refuses, finished_run):
    line = refuses(leukolite, "convert", finished_run, "--calibration-study", code=2)
    assert "use `leukolite calibration-study RUN`" in line


def test_spellings_of_before_are_not_offered_any_more(call):
    shown = call(leukolite, "convert", "--help").stdout
    assert [word for word in ("--keras", "--labels", "--unit", "--values", "--calibration-study") if word in shown] == []


def test_a_conversion_without_a_run_is_a_wrong_call(refuses, tmp_path):
    assert "Missing argument 'RUN'" in refuses(leukolite, "convert", "--out", tmp_path / "bundle", code=2)


def test_without_a_place_to_write_to_the_call_is_wrong(refuses, finished_run):
    assert "Missing option '--out'" in refuses(leukolite, "convert", finished_run, code=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--auto", "--to", "int8"), "leave out --to"),
        (("--calibration-study",), "leukolite calibration-study RUN"),
        (("--to", "int8,int4"), "found 'int4'"),
        (("--on-black",), "goes with --cell-window"),
        (("--to", "float16", "--target", "edgetpu"), "--target compiles int8 or int8-qat"),
    ],
    ids=["auto and to", "study and out", "unknown variant", "black without a window", "accelerator of floats"],
)
def test_options_that_contradict_are_a_wrong_call(refuses, finished_run, tmp_path, options, said):
    assert said in refused(refuses, finished_run, tmp_path, *options, code=2)


def test_another_interpreter_is_tried_before_the_work(refuses, finished_run, tmp_path):
    assert "cannot be started" in refused(refuses, finished_run, tmp_path, "--check-with", tmp_path / "no-python")


def test_a_bundle_is_no_place_for_several(refuses, finished_run, tiny_bundle, tmp_path):
    old = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    line = refuses(leukolite, "convert", finished_run, "--to", "int8,float16", "--out", old)
    assert "a bundle, expected a folder for several of them" in line


@pytest.fixture
def moved(finished_run, cells, tmp_path) -> Callable[[], tuple[Path, Path]]:
    """A copy of the run and of its data, which `--data` names."""

    def copy() -> tuple[Path, Path]:
        run = Path(shutil.copytree(finished_run, tmp_path / "run"))
        return run, Path(shutil.copytree(cells, tmp_path / "data"))

    return copy


def test_data_that_moved_is_found_and_the_name_can_be_chosen(call, moved, tiny_bundle, tmp_path):
    run, data = moved()
    options = ("--data", data, "--noise", "0,10", "--name", "renamed", *ANY)
    result = call(leukolite, "convert", run, "--out", tmp_path / "bundle", *options)
    assert result.exit_code == 0, result.output
    first, second = (json.loads((folder / "manifest.json").read_text()) for folder in (tiny_bundle, tmp_path / "bundle"))
    assert second["name"] == "renamed"
    assert second | {"name": "tiny"} == first, "a conversion depends on nothing but the run, its images and the seed"
    assert (tmp_path / "bundle" / "model.tflite").read_bytes() == (tiny_bundle / "model.tflite").read_bytes()


def refused(refuses: Callable[..., str], run: Path, tmp_path: Path, *options: object, code: int = 1) -> str:
    """The line of a conversion that must fail and write nothing."""
    before = names(tmp_path)
    line = refuses(leukolite, "convert", run, "--out", tmp_path / "bundle", "--allow-useless", *options, code=code)
    assert names(tmp_path) == before
    return line


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_image_that_changed_since_the_training_is_refused_by_name(refuses, moved, tmp_path, part):
    run, data = moved()
    changed = data / split_of(run)[part][0]["path"]
    Image.new("RGB", (48, 48)).save(changed)
    line = refused(refuses, run, tmp_path, "--data", data)
    assert f"{changed}: the image has changed since the run was trained" in line


def test_an_image_that_is_gone_is_refused_by_name(refuses, moved, tmp_path):
    run, data = moved()
    gone = data / split_of(run)["train"][0]["path"]
    gone.unlink()
    line = refused(refuses, run, tmp_path, "--data", data)
    assert str(gone) in line
    assert "--data" in line


def test_an_image_that_cannot_be_read_any_more_is_refused(refuses, moved, tmp_path):
    run, data = moved()
    split = split_of(run)
    entry = split["test"][0]
    (data / entry["path"]).write_text("no image")
    entry["sha256"] = hashlib.sha256(b"no image").hexdigest()
    (run / "split.json").write_text(json.dumps(split))
    assert "not an image" in refused(refuses, run, tmp_path, "--data", data)


UNFINISHED: dict[str, Callable[[Path], object]] = {
    "no such folder": shutil.rmtree,
    "no record": lambda run: (run / "run.json").unlink(),
    "no model": lambda run: (run / "model.keras").unlink(),
    "no split": lambda run: (run / "split.json").unlink(),
    "a record that is no JSON": lambda run: (run / "run.json").write_text("{"),
    "a record of another version": lambda run: (run / "run.json").write_text('{"schema_version": 99}'),
    "a split that is no JSON": lambda run: (run / "split.json").write_text("["),
    "a split of another shape": lambda run: (run / "split.json").write_text('{"train": [1]}'),
    "a model that is text": lambda run: (run / "model.keras").write_text("no model"),
    "half a model": lambda run: (run / "model.keras").write_bytes((run / "model.keras").read_bytes()[:20_000]),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_or_damaged_run_is_refused(refuses, moved, tmp_path, name):
    run, data = moved()
    UNFINISHED[name](run)
    assert str(run) in refused(refuses, run, tmp_path, "--data", data)


@pytest.mark.parametrize("seed", range(6))
def test_a_run_whose_model_has_bad_bytes_is_refused_or_converted_but_never_a_traceback(call, moved, tmp_path, seed):
    run, data = moved()
    content = bytearray((run / "model.keras").read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 20):
        content[place] ^= 0xFF
    (run / "model.keras").write_bytes(bytes(content))
    result = call(leukolite, "convert", run, "--out", tmp_path / "bundle", "--data", data, "--noise", "0", *ANY)
    assert result.exit_code in (0, 1)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)


@pytest.mark.parametrize("name", ["my bundle", "a/b", "-rf", ".hidden", "x" * 101])
def test_a_name_that_no_bundle_can_have_is_refused_before_the_work(refuses, finished_run, tmp_path, name):
    assert "cannot be a bundle's name" in refused(refuses, finished_run, tmp_path, f"--name={name}")


def test_a_place_of_somebody_elses_files_is_refused_before_the_work(refuses, finished_run, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "precious.tif").write_text("mine")
    assert "choose another place" in refused(refuses, finished_run, tmp_path)
    assert names(tmp_path / "bundle") == ["precious.tif"]


@pytest.mark.parametrize(
    "option",
    [
        ("--noise", "-1"),
        ("--noise", "abc"),
        ("--calibration", 99),
        ("--calibration", 501),
        ("--seed", -1),
        ("--to", "int4"),
        ("--to", ""),
        ("--max-drop", -1),
        ("--abstain-error", 51),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_a_wrong_call(refuses, finished_run, tmp_path, option):
    assert option[0] in refused(refuses, finished_run, tmp_path, *option, code=2)
