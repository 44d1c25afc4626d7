"""`leukolite convert` from the run folder to the bundle."""

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
from leukolite.cli import main as leukolite
from leukolite.convert.card import model_card
from leukolite.judge import open_judge
from leukolite.runtime import TfliteRuntime
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


def test_a_bundle_is_five_files(tiny_bundle):
    assert names(tiny_bundle) == ["README.md", "golden.npz", "labels.txt", "manifest.json", "model.tflite"]
    assert names(tiny_bundle.parent) == [tiny_bundle.name]


def test_a_bundle_opens_with_its_golden_outputs(bundle):
    judge = open_judge(bundle)
    assert judge.labels == ["blast", "healthy"]


def test_no_float_is_left_inside(bundle):
    dtypes = TfliteRuntime(bundle.model).tensor_dtypes().values()
    assert not [dtype for dtype in dtypes if dtype.startswith("float")]


def test_raw_bytes_go_in(bundle):
    tensor = bundle.manifest.input_tensor
    assert (tensor.dtype, tensor.zero_point) == ("uint8", 0)
    assert tensor.scale == pytest.approx(1 / 255, rel=1e-5)
    assert open_judge(bundle).table is None


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


def test_the_test_part_is_measured_at_each_noise_level(bundle):
    measured = bundle.manifest.measured
    assert measured.part == "test"
    assert [(row.sigma, row.n) for row in measured.results] == [(0, 8), (10, 8)]
    assert 0 <= measured.float_agreement <= 1


def test_two_classes_with_one_malignant_are_decided_at_one_half(bundle):
    assert bundle.manifest.decision.threshold == 0.5
    assert bundle.manifest.decision.temperature == 1, "four validation images are too few to fit a temperature"


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


def test_in_a_process_of_its_own_it_says_what_it_did_and_nothing_else(finished_run, tmp_path):
    command = [sys.executable, "-c", "from leukolite.cli import main; main()", "convert", str(finished_run)]
    options = ["--out", str(tmp_path / "tiny"), "--noise", "5"]
    result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "tensorflow" not in result.stdout.lower()
    lines = result.stdout.splitlines()
    assert lines[0] == f"{tmp_path / 'tiny'}: int8, 0.02 MB, 28 calibration images"
    assert lines[1].startswith("test part, 8 images: float ")
    agreed = int(lines[1].rpartition(" ")[2])
    assert sum(line.startswith("  flipped: ") for line in lines) == 8 - agreed
    assert [line.split(":")[0] for line in lines[-2:]] == ["  sigma 0", "  sigma 5"]
    assert len(lines) < 30


@pytest.fixture
def moved(finished_run, cells, tmp_path) -> Callable[[], tuple[Path, Path]]:
    """A copy of the run and of its data, which `--data` names."""

    def copy() -> tuple[Path, Path]:
        run = Path(shutil.copytree(finished_run, tmp_path / "run"))
        return run, Path(shutil.copytree(cells, tmp_path / "data"))

    return copy


def test_data_that_moved_is_found_and_the_name_can_be_chosen(call, moved, tiny_bundle, tmp_path):
    run, data = moved()
    options = ("--data", data, "--calibration", 8, "--noise", "0,10", "--name", "renamed")
    result = call(leukolite, "convert", run, "--out", tmp_path / "bundle", *options)
    assert result.exit_code == 0, result.output
    first, second = (json.loads((folder / "manifest.json").read_text()) for folder in (tiny_bundle, tmp_path / "bundle"))
    assert second["name"] == "renamed"
    assert second | {"name": "tiny"} == first, "a conversion hangs on nothing but the run, its images and the seed"
    assert (tmp_path / "bundle" / "model.tflite").read_bytes() == (tiny_bundle / "model.tflite").read_bytes()


def refused(refuses: Callable[..., str], run: Path, tmp_path: Path, *options: object, code: int = 1) -> str:
    """The line of a conversion that must fail and write nothing."""
    before = names(tmp_path)
    line = refuses(leukolite, "convert", run, "--out", tmp_path / "bundle", *options, code=code)
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
    result = call(leukolite, "convert", run, "--out", tmp_path / "bundle", "--data", data, "--noise", "0")
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


@pytest.mark.parametrize("option", [("--noise", "-1"), ("--noise", "abc"), ("--calibration", 0), ("--seed", -1)], ids=str)
def test_a_value_out_of_range_is_a_wrong_call(refuses, finished_run, tmp_path, option):
    assert option[0] in refused(refuses, finished_run, tmp_path, *option, code=2)
