"""`leukolite train` from the command to the run folder, on a network small enough to train in a second or two."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.path_text import text_of_path
from leukolite.train import fit
from leukolite.train.runs import load_run

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="training needs Keras; pip install 'leukolite[train]'")

FILES = ["confusion.png", "history.csv", "history.png", "model.keras", "run.json", "split.json"]
SMALL = ("--epochs", 2, "--set", "side=32")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def train(call, cells) -> Callable[..., Path]:
    """Trains on `cells` and gives the run folder."""

    def run(out: Path, *options: object, recipe: tuple[object, ...] = ("small_cnn",)) -> Path:
        result = call(leukolite, "train", *recipe, "--data", cells, "--out", out, *SMALL, *options)
        assert result.exit_code == 0, result.output
        return out

    return run


# the run folder


def test_a_run_folder_is_whole_and_alone(finished_run):
    assert names(finished_run) == FILES
    assert names(finished_run.parent) == [finished_run.name]


def test_the_record_says_how_it_was_made(finished_run, cells):
    run = load_run(finished_run)
    assert (run.labels, run.malignant, run.unit, run.dataset) == (["blast", "healthy"], ["blast"], "cell", "synthetic")
    assert (run.data, run.seed, run.split_by) == (str(cells), 0, "image")
    assert (run.recipe.epochs, run.recipe.side, run.input.height, run.input.width) == (2, 32, 32, 32)
    assert run.input.kernel == "halve-linear"
    assert set(run.versions) >= {"python", "leukolite", "keras", "backend", "numpy"}
    assert run.best_epoch in (1, 2)
    assert run.unusable == 0


def test_the_record_names_the_recipe_it_was_trained_by(finished_run):
    assert json.loads((finished_run / "run.json").read_text())["recipe"]["name"] == "small_cnn"


def test_a_run_of_before_recipes_were_named_still_loads(finished_run, tmp_path):
    old = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((old / "run.json").read_text())
    del record["recipe"]["name"]
    (old / "run.json").write_text(json.dumps(record))
    assert load_run(old).recipe.name is None


def test_a_run_of_before_recipes_were_named_is_found_finished_by_resume(call, finished_run, cells, tmp_path):
    old = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((old / "run.json").read_text())
    del record["recipe"]["name"]
    (old / "run.json").write_text(json.dumps(record))
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--out", old, *SMALL, "--resume")
    assert result.exit_code == 0, result.output
    assert "epoch" not in result.stderr


def test_the_split_names_every_file_once_with_its_hash(finished_run, cells):
    parts = json.loads((finished_run / "split.json").read_text())
    assert {name: len(entries) for name, entries in parts.items()} == {"train": 28, "validation": 4, "test": 8}
    files = {entry["path"]: entry["sha256"] for entries in parts.values() for entry in entries}
    assert len(files) == 40
    assert all(hashlib.sha256((cells / path).read_bytes()).hexdigest() == digest for path, digest in files.items())
    assert load_run(finished_run).split["test"] == {"blast": 4, "healthy": 4}


@pytest.mark.long
def test_folders_that_split_the_data_are_the_split_unless_another_is_asked_for(call, cells, tmp_path):
    for k, path in enumerate(sorted(cells.glob("*/*.png"))):
        place = tmp_path / "data" / ("test_data" if k % 4 == 0 else "Train") / path.parent.name.upper() / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    result = call(leukolite, "train", "small_cnn", "--data", tmp_path / "data", "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    assert "note: split by its folders, train, test; validation is split off train" in result.stderr
    run, parts = load_run(tmp_path / "run"), json.loads((tmp_path / "run" / "split.json").read_text())
    assert (run.split_by, run.labels) == ("folders image", ["BLAST", "HEALTHY"])
    assert {name: {entry["path"].split("/")[0] for entry in entries} for name, entries in parts.items()} == {
        "train": {"Train"},
        "validation": {"Train"},
        "test": {"test_data"},
    }
    call(leukolite, "train", "small_cnn", "--data", tmp_path / "data", "--out", tmp_path / "other", *SMALL, "--split", "image")
    assert load_run(tmp_path / "other").split_by == "image"


def test_folders_that_do_not_split_are_refused_as_a_split(refuses, cells, tmp_path):
    words = ("train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL, "--split", "folders")
    assert "no training part, there is no train, validation or test" in refuses(leukolite, *words)


@pytest.mark.long
def test_a_table_gives_labels_and_subjects_and_a_repeated_run_reads_it_again(call, cells, tmp_path):
    rows = ["image;diagnosis;patient"]
    for k, path in enumerate(sorted(cells.glob("*/*.png"))):
        name = f"cell{k:02}.png"
        (tmp_path / "pool").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "pool" / name)
        rows.append(f"{name};{path.parent.name};{path.parent.name}{k % 10}")
    table = tmp_path / os.fsdecode(b"labels\xe9.csv")  # no name that JSON holds as it is
    table.write_text("\n".join(rows), encoding="utf-8-sig")
    words = ("--data", tmp_path / "pool", "--labels-csv", table, "--malignant", "blast", "--unit", "cell", "--split", "subject")
    result = call(leukolite, "train", "small_cnn", *words, "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 0, result.output
    run = load_run(tmp_path / "run")
    assert (run.dataset, run.labels, run.split_by, run.labels_csv) == (
        "table",
        ["blast", "healthy"],
        "subject",
        text_of_path(table),
    )
    again = call(leukolite, "train", "--from", tmp_path / "run", "--out", tmp_path / "again", *SMALL)
    assert again.exit_code == 0, again.output
    assert history(tmp_path / "again") == history(tmp_path / "run")


def test_the_history_has_a_row_an_epoch(finished_run):
    rows = history(finished_run)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(rows[0])


def test_validation_and_test_are_measured_and_training_is_not(finished_run):
    metrics = load_run(finished_run).metrics
    assert {part: row.n for part, row in metrics.items()} == {"validation": 4, "test": 8}
    assert metrics["test"].positive == "blast"


@pytest.mark.parametrize("name", ["history.png", "confusion.png"])
def test_the_pictures_are_pictures(finished_run, name):
    with Image.open(finished_run / name) as picture:
        assert min(picture.size) > 100


@pytest.mark.long
def test_the_same_seed_gives_the_same_history_and_another_seed_another(train, finished_run, tmp_path):
    assert history(train(tmp_path / "again")) == history(finished_run)
    assert history(train(tmp_path / "other", "--seed", 1)) != history(finished_run)


@pytest.mark.long
def test_a_run_repeated_from_its_folder_has_the_same_history(train, finished_run, tmp_path):
    again = train(tmp_path / "again", recipe=("--from", finished_run))
    assert history(again) == history(finished_run)
    assert json.loads((again / "split.json").read_text()) == json.loads((finished_run / "split.json").read_text())


def test_an_older_run_is_replaced(train, finished_run, tmp_path):
    old = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (old / "of the old run").write_text("x")
    assert names(train(old, "--epochs", 1, "--force")) == FILES
    assert load_run(old).recipe.epochs == 1


def test_a_finished_run_is_not_replaced_unasked(refuses, cells, finished_run):
    before = (finished_run / "run.json").read_bytes()
    line = refuses(leukolite, "train", "small_cnn", "--data", cells, "--out", finished_run, "--epochs", 1)
    assert line.endswith("UTC); choose another place; --force replaces it")
    assert (finished_run / "run.json").read_bytes() == before


def test_folds_are_not_replaced_unasked_and_none_is_trained_before_that_is_said(refuses, cells, finished_run, tmp_path):
    command = (leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "folds", "--split", "image", "--folds", 2)
    for k in range(2):
        shutil.copytree(finished_run, tmp_path / "folds" / f"fold-{k}")
        assert "fold-0: exists" in refuses(*command)
    shutil.rmtree(tmp_path / "folds" / "fold-0")
    assert "fold-1: exists" in refuses(*command)
    assert names(tmp_path / "folds") == ["fold-1"]


def test_a_preview_leaves_the_run_that_is_there_alone(call, cells, finished_run, tmp_path):
    preview = ("train", "small_cnn", "--data", cells, "--out", finished_run, "--preview", tmp_path / "p.png")
    assert call(leukolite, *preview).exit_code == 0
    assert "p.png: exists" in call(leukolite, *preview).stderr
    assert call(leukolite, *preview, "--force").exit_code == 0


@pytest.mark.long
def test_folds_leave_a_run_each_and_one_line_over_all(call, cells, tmp_path):
    out = tmp_path / "folds"
    options = ("--epochs", 1, "--set", "side=32", "--split", "image", "--folds", 2)
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert names(out) == ["fold-0", "fold-1"]
    measured = [load_run(out / name).metrics["test"].n for name in names(out)]
    assert sum(measured) == 40
    assert "all 40 images together" in result.stdout
    shutil.rmtree(out / "fold-1")
    before = (out / "fold-0" / "model.keras").stat().st_mtime_ns
    assert call(leukolite, "train", "small_cnn", "--data", cells, "--out", out, *options, "--resume").exit_code == 0
    assert names(out) == ["fold-0", "fold-1"]
    assert (out / "fold-0" / "model.keras").stat().st_mtime_ns == before


def test_a_finished_run_is_not_made_again_by_resume_and_never_by_other_settings(refuses, call, cells, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    before = (run / "model.keras").stat().st_mtime_ns
    command = ("train", "small_cnn", "--data", cells, "--out", run, *SMALL, "--resume")
    assert call(leukolite, *command).exit_code == 0
    assert (run / "model.keras").stat().st_mtime_ns == before
    assert "a finished run of another seed" in refuses(leukolite, *command, "--seed", 5)


def test_a_stopped_training_is_not_lost_by_starting_again(refuses, cells, tmp_path):
    kept = tmp_path / ".run.resume" / "epoch-0090"
    kept.mkdir(parents=True)
    line = refuses(leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL)
    assert line.endswith("stopped after 90 epochs; go on with it, or delete that folder; --resume goes on with it")
    assert kept.is_dir()


@pytest.mark.long
def test_weights_that_have_seen_the_test_part_are_refused_and_what_they_have_seen_is_remembered(
    refuses, train, cells, finished_run, tmp_path
):
    weights = finished_run / "model.keras"
    command = ("train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL, "--weights", weights)
    line = refuses(leukolite, *command, "--seed", 99)
    assert "images of this split's validation and test parts; repeat the split of" in line
    assert line.endswith(f" {finished_run}; leukolite train --split RUN takes the split of a run")
    run = load_run(train(tmp_path / "same", "--weights", weights, "--split", finished_run))
    split = json.loads((finished_run / "split.json").read_text())
    assert set(run.seen_before) == {entry["sha256"] for part in ("train", "validation") for entry in split[part]}
    assert run.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_results_go_to_stdout_and_progress_to_stderr(call, cells, tmp_path):
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL)
    assert "recipe small_cnn (network small_cnn) on synthetic: train 28, validation 4, test 8 images" in result.stdout
    assert f"run folder: {tmp_path / 'run'}" in result.stdout
    assert len(result.stdout.partition("no better than guessing")[0].splitlines()) == 4
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]


@pytest.mark.parametrize(
    ("confusion", "says"),
    [
        (
            [[0, 40], [0, 40]],
            "answers healthy to 80 of 80, is right on 50.0% of 80 labelled pictures and recognises 0 of 40 pictures of blast",
        ),
        ([[22, 18], [19, 21]], "is right on 53.8% of 80 labelled pictures, which is not more than chance above the 50.0%"),
        ([[38, 2], [1, 39]], None),
    ],
)
def test_a_network_that_is_no_better_than_guessing_is_told_in_the_last_line(call, finished_run, cells, tmp_path, confusion, says):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    record = json.loads((run / "run.json").read_text())
    record["metrics"]["test"]["confusion"] = confusion
    (run / "run.json").write_text(json.dumps(record))
    last = call(leukolite, "train", "small_cnn", "--data", cells, "--out", run, *SMALL, "--resume").stdout.splitlines()[-1]
    assert last.startswith("run folder: " if says is None else "no better than guessing: on its test part the network ")
    assert says is None or says in last


def test_files_that_were_skipped_are_listed_and_counted(call, cells, tmp_path):
    data = Path(shutil.copytree(cells, tmp_path / "cells"))
    (data / "blast" / "bad.jpg").write_text("no image")
    result = call(leukolite, "train", "small_cnn", "--data", data, "--out", tmp_path / "run", *SMALL, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert f"{data / 'blast' / 'bad.jpg'}: not an image" in result.stderr
    assert "1 file skipped" in result.stdout
    assert load_run(tmp_path / "run").unusable == 1


def test_plain_folders_are_asked_to_name_what_is_malignant(call, cells, tmp_path):
    data = Path(shutil.copytree(cells, tmp_path / "cells"))
    (data / "synthetic.json").unlink()
    command = (leukolite, "train", "small_cnn", "--data", data, *SMALL, "--epochs", 1)
    assert "name them with --malignant" in call(*command, "--preview", tmp_path / "seen.png").stderr
    none = call(*command, "--preview", tmp_path / "again.png", "--malignant", "none")
    assert (none.exit_code, "--malignant" in none.stderr) == (0, False)
    result = call(*command, "--out", tmp_path / "run", "--malignant", "BLAST", "--unit", "cell")
    assert "--malignant" not in result.stderr
    assert (load_run(tmp_path / "run").malignant, load_run(tmp_path / "run").unit) == (["blast"], "cell")


def test_a_preview_is_a_picture_and_trains_nothing(call, cells, tmp_path):
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--preview", tmp_path / "seen.png")
    assert result.exit_code == 0, result.output
    assert names(tmp_path) == ["seen.png"]
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.size[0] > 8 * 96


# a training that fails or is stopped leaves no run folder


class StoppedError(BaseException):
    """Stands for whatever ends a process: no code of leukolite's catches it."""


def leftovers(folder: Path) -> list[str]:
    """All but the checkpoints, which `--resume` needs."""
    return [name for name in names(folder) if name != ".run.resume"]


@pytest.mark.parametrize("place", ["load_cached", "doubled", "plot_confusion"])
def test_an_end_in_the_middle_leaves_no_run_folder(call, cells, tmp_path, monkeypatch, place):
    def stop(*_: object, **__: object) -> None:
        raise StoppedError

    monkeypatch.setattr(fit, place, stop)
    options = ("--set", "balance=desaturate", "--epochs", 1, "--set", "side=32")
    with pytest.raises(StoppedError):
        call(leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *options)
    assert leftovers(tmp_path) == []


def test_a_failure_at_the_very_end_is_made_good_by_resume_without_training_again(
    call, finished_run, cells, tmp_path, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    command = (leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "plot_confusion", full)
        result = call(*command)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'run'}: cannot be written (disk full)")
    assert leftovers(tmp_path) == []
    result = call(*command, "--resume")
    assert result.exit_code == 0, result.output
    assert "epoch" not in result.stderr
    assert names(tmp_path) == ["run"]
    assert history(tmp_path / "run") == history(finished_run)
    assert load_run(tmp_path / "run").metrics == load_run(finished_run).metrics


def test_a_loss_that_is_no_number_is_an_error_with_a_remedy(call, cells, tmp_path):
    options = ("--epochs", 1, "--set", "side=32", "--set", "learning_rate=1e30")
    result = call(leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *options)
    assert result.exit_code == 1
    assert "lower the learning rate" in result.stderr.splitlines()[-1]
    assert leftovers(tmp_path) == []


# what it refuses: one line, an exit code, nothing written


def test_a_folder_of_somebody_elses_files_is_never_replaced(refuses, cells, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "precious.tif").write_text("mine")
    assert "choose another place" in refuses(leukolite, "train", "small_cnn", "--data", cells, "--out", slides, *SMALL)
    assert names(tmp_path) == ["slides"]
    assert names(slides) == ["precious.tif"]


def test_a_place_below_a_file_is_refused(refuses, cells, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert "choose another place" in refuses(leukolite, "train", "small_cnn", "--data", cells, "--out", out, *SMALL)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (("--set", "epochs"), 2, "expected FIELD=VALUE"),
        (("--set", "bogus=1"), 1, "the recipe has no field 'bogus'"),
        (("--set", "split=0.5,0.1,0.1"), 1, "recipe field split"),
        (("--epochs", 0), 2, "--epochs"),
        (("--batch-size", 0), 2, "--batch-size"),
        (("--unit", "smear"), 2, "--unit"),
        (("--malignant", "blast,martian"), 2, "expected the malignant labels among 'blast', 'healthy', or none, found 'martian'"),
        (("--weights", "nowhere.weights.h5"), 1, "no such weights file"),
        (("--weights", "imagenet"), 1, "has no ImageNet weights"),
        (("--split", "nowhere"), 1, "nowhere"),
        (("--split", "kfold:5"), 2, "`--split kfold:5` has moved: use `--split subject --folds 5`, or `--split image --folds 5`"),
        (("--split", "kfold:x"), 2, "`--split kfold:x` has moved: use `--split subject --folds N`"),
        (("--split", "image", "--folds", 1), 2, "--folds"),
        (("--split", "image", "--folds", 99), 1, "fewer groups of images than 99 folds"),
        (("--split", "leave-one-subject-out", "--folds", 3), 2, "which has a fold a person"),
        (("--folds", 3), 2, "--folds goes with --split image or --split subject, found no --split"),
        (("--split", "subject"), 1, "names no subjects; say them with --subject-from PATTERN"),
        (("--split", "leave-one-subject-out"), 1, "names no subjects"),
        (("--subject-from", "(\\d"), 2, "is no regular expression"),
        (("--subject-from", r"\d+"), 2, "expected a regular expression with exactly one group"),
        (("--subject-from", r"(\d)(\d)"), 2, "found 2 groups"),
        (("--subject-from", r"UID_(\w+?)_"), 1, "finds no subject in 40 of 40 pictures, as in"),
        (("--resume",), 1, "no stopped training to resume"),
        (("--from", "nowhere"), 1, "no such run"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line(refuses, cells, tmp_path, options, code, expected):
    command = (leukolite, "train", "small_cnn", "--data", cells, "--out", tmp_path / "run", *SMALL)
    assert expected in refuses(*command, *options, code=code)
    assert names(tmp_path) == []


def test_data_that_cannot_be_used_is_refused(refuses, tmp_path):
    (tmp_path / "empty").mkdir()
    for data, expected in (("nowhere", "no such folder"), ("empty", "unknown layout")):
        line = refuses(leukolite, "train", "small_cnn", "--data", tmp_path / data, "--out", tmp_path / "run", *SMALL)
        assert expected in line
    assert names(tmp_path) == ["empty"]


def test_a_class_with_too_few_images_is_refused_by_name(refuses, cells, tmp_path):
    data = tmp_path / "cells"
    for name, count in (("blast", 20), ("healthy", 2)):
        (data / name).mkdir(parents=True)
        for i in range(count):
            shutil.copy(cells / name / f"{i:03}.png", data / name)
    command = (leukolite, "train", "small_cnn", "--data", data, "--out", tmp_path / "run", *SMALL)
    assert "class healthy has 2 images" in refuses(*command, notes=1)
    assert names(tmp_path) == ["cells"]


def test_a_recipe_and_a_place_are_wanted(refuses, cells, tmp_path):
    assert "name a RECIPE" in refuses(leukolite, "train", "--data", cells, "--out", tmp_path / "run", code=2)
    assert "--data" in refuses(leukolite, "train", "small_cnn", "--out", tmp_path / "run", code=2)
    assert "--out" in refuses(leukolite, "train", "small_cnn", "--data", cells, code=2)
    assert "resnet" in refuses(leukolite, "train", "resnet", "--data", cells, "--out", tmp_path / "run", code=2)


def test_the_list_of_recipes_fits_80_columns(call):
    result = call(leukolite, "train", "--list")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "mobilenet_m" in result.stdout


# leukolite synthetic


def test_synthetic_cells_are_a_dataset_and_hang_on_the_seed_alone(call, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        result = call(leukolite, "synthetic", "--out", tmp_path / name, "--count", 2, "--size", 32, "--seed", seed)
        assert result.exit_code == 0, result.output
    content = {name: (tmp_path / name / "blast" / "00001.png").read_bytes() for name in "abc"}
    assert content["a"] == content["b"] != content["c"]
    with Image.open(tmp_path / "a" / "healthy" / "00000.png") as picture:
        assert (picture.size, picture.mode) == ((32, 32), "RGB")


def test_synthetic_cells_never_go_among_other_files(refuses, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    assert "choose another place" in refuses(leukolite, "synthetic", "--out", tmp_path / "mine", "--count", 1)
    assert names(tmp_path / "mine") == ["a.txt"]
