"""`leukolite reproduce`: every fold in both arms, ours beside the paper's, and on again after a stop."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from leukolite.benchmarks.reproduce import ARMS, KNOWN, FoldResult, Published, folds_of, load_published, tables
from leukolite.classes import Classes
from leukolite.cli import main
from leukolite.errors import LeukoliteError
from leukolite.manifest import NoiseMetrics
from leukolite.metrics import compute_metrics
from leukolite.synthetic import render_cell
from leukolite.train.datasets import open_dataset
from leukolite.train.runs import load_run

CLASSES = Classes.of(["all", "hem"], ["all"])
SMALL = ("small_cnn", "--epochs", 1, "--set", "side=32", "--set", "balance=desaturate", "--noise", "0,10", "--cache", "none")


@pytest.fixture(scope="module")
def cnmc(tmp_path_factory):
    root = tmp_path_factory.mktemp("cnmc")
    for fold in (0, 1):
        for label, count, drawn in (("all", 20, "blast"), ("hem", 10, "healthy")):
            folder = root / f"fold_{fold}" / label
            folder.mkdir(parents=True)
            for i in range(count):
                subject = f"{'H' if label == 'hem' else ''}{i % 5 + 1}"
                pixels = render_cell(np.random.default_rng([fold, i, count]), drawn, size=48)
                Image.fromarray(pixels).save(folder / f"UID_{subject}_{i}_1_{label}.png")
    return root


@pytest.fixture(scope="module")
def done(cnmc, call, tmp_path_factory):
    pytest.importorskip("keras")
    out = tmp_path_factory.mktemp("reproduced") / "out"
    result = call(main, "reproduce", *SMALL, "--data", cnmc, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result


def test_every_fold_is_measured_in_both_arms_at_each_noise_level(done):
    found = json.loads((done[0] / "tables.json").read_text())["measured"]
    assert [(one["fold"], one["arm"]) for one in found] == [
        (f"fold_{k}", arm) for k in (0, 1) for arm in ("imbalanced", "balanced")
    ]
    assert all([row["sigma"] for row in one["results"]] == [0, 10] for one in found)
    assert all(row["n"] == 6 for one in found for row in one["results"])  # a fifth of 20 and of 10


def test_only_the_balanced_arm_shows_the_smaller_class_twice(done):
    found = json.loads((done[0] / "tables.json").read_text())["measured"]
    assert {one["arm"]: one["images_per_epoch"] for one in found} == {"imbalanced": 14 + 7, "balanced": 14 + 2 * 7}


def test_the_paper_s_figure_stands_beside_ours(done):
    assert (done[0] / "tables.txt").read_text() in done[1].output
    accuracy = next(line for line in done[1].output.splitlines() if line.split()[:1] == ["accuracy"])
    assert accuracy.count("|") == 2
    assert "|96.0" in accuracy
    assert "|95.0" in accuracy


def test_noise_is_put_where_the_paper_put_it_and_the_tables_say_so(done):
    found = json.loads((done[0] / "tables.json").read_text())
    assert found["noise_at"] == "input"
    reached = [row["effective_sigma"] for one in found["measured"] for row in one["results"]]
    assert [round(sigma) for sigma in reached] == [0, 10] * 4
    assert "noise at the network's input" in " ".join(done[1].output.split())


def test_the_paper_s_auc_stands_beside_our_balanced_accuracy_and_our_own_beside_nothing(done):
    given = [
        Published(fold="fold_0", arm="balanced", sigma=0, metric=name, value=0.25) for name in ("auc", "recall", "precision")
    ]
    row = NoiseMetrics(sigma=0, **dict(compute_metrics([0, 0, 0, 1], [0, 0, 1, 1], np.eye(2)[[0, 0, 1, 1]], CLASSES)))
    run = load_run(done[0] / "fold_0" / "balanced")
    measured = [FoldResult("fold_0", arm, run, (row,)) for arm in ARMS]
    first = tables(measured, given, (0,), "input")[0]
    cells = dict(zip(first.columns[0].cells, first.columns[1].cells, strict=True))
    assert cells == {
        "accuracy": "75.0|-",
        "precision (macro)": "75.0|25.0",
        "recall (macro)": "83.3|25.0",
        "F1 (macro)": "73.3|-",
        "balanced accuracy (printed there as AUC)": "83.3|25.0",
        "spec. (of all)": "100.0|-",
        "AUC of the curve": "83.3|-",
    }


def test_the_tables_fit_80_columns(done):
    assert max(map(len, (done[0] / "tables.txt").read_text().splitlines())) <= 80


def test_pictures_of_both_arms_are_left(done):
    for arm in ("imbalanced", "balanced"):
        assert (done[0] / "fold_1" / f"{arm}-pictures" / "roc.png").is_file()


@pytest.mark.long
def test_what_is_finished_is_not_trained_again(done, cnmc, call):
    before = (done[0] / "fold_0" / "balanced" / "run.json").stat().st_mtime_ns
    again = call(main, "reproduce", *SMALL, "--data", cnmc, "--out", done[0])
    assert again.exit_code == 0
    assert again.stdout == done[1].stdout
    assert (done[0] / "fold_0" / "balanced" / "run.json").stat().st_mtime_ns == before


def test_tables_of_other_noise_levels_are_not_replaced_unasked(done, cnmc, refuses):
    before = (done[0] / "tables.json").read_bytes()
    line = refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", done[0], "--noise", "0,3")
    assert "tables.json: exists, with other noise levels" in line
    assert line.endswith("--force replaces it")
    assert (done[0] / "tables.json").read_bytes() == before


def test_tables_with_noise_in_another_place_are_not_replaced_unasked(done, cnmc, refuses, tmp_path):
    line = refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", done[0], "--noise-at", "capture")
    assert "tables.json: exists, with other noise levels, noise put elsewhere" in line
    older = shutil.copytree(done[0], tmp_path / "out")  # whose noise was on the capture, before that was recorded
    record = json.loads((older / "tables.json").read_text())
    del record["noise_at"]
    (older / "tables.json").write_text(json.dumps(record))
    assert "noise put elsewhere" in refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", older)


def test_other_settings_are_refused_in_the_same_place(done, cnmc, refuses):
    line = refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", done[0], "--seed", 1)
    assert "another seed" in line


def test_a_damaged_record_is_refused(done, cnmc, refuses, tmp_path):
    place = shutil.copytree(done[0], tmp_path / "out")
    (place / "reproduce.json").write_text("{")
    assert "damaged" in refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", place)


def test_a_record_of_a_newer_schema_asks_for_a_newer_leukolite(done, cnmc, refuses, tmp_path):
    place = shutil.copytree(done[0], tmp_path / "out")
    record = json.loads((place / "reproduce.json").read_text())
    (place / "reproduce.json").write_text(json.dumps(record | {"schema": 99}))
    line = refuses(main, "reproduce", *SMALL, "--data", cnmc, "--out", place)
    assert "a reproduction of schema 99; leukolite " in line
    assert line.endswith("update leukolite; or choose another --out")


def test_other_data_than_cnmc_is_refused(cells, refuses, tmp_path):
    assert "C-NMC" in refuses(main, "reproduce", *SMALL, "--data", cells, "--out", tmp_path / "out")


def test_a_single_fold_is_found_by_its_name(cnmc):
    assert list(folds_of(open_dataset(cnmc / "fold_1"))) == ["fold_1"]
    assert {name: len(fold.samples) for name, fold in folds_of(open_dataset(cnmc)).items()} == {"fold_0": 30, "fold_1": 30}


def test_figures_from_the_paper_can_be_given(tmp_path):
    given = Published(fold="fold_0", arm="balanced", sigma=0, metric="accuracy", value=0.961)
    (tmp_path / "paper.json").write_text(f"[{given.model_dump_json()}]")
    found = load_published(tmp_path / "paper.json")
    assert given in found
    assert len(found) == len(KNOWN)


@pytest.mark.parametrize(
    ("content", "says"), [("[1]", "0:"), ('[{"fold": "fold_0", "arm": "best"}]', "0.arm"), ("no json", "JSON"), (None, "no such")]
)
def test_bad_figures_are_one_clear_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "paper.json").write_text(content)
    with pytest.raises(LeukoliteError, match=says) as caught:
        load_published(tmp_path / "paper.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--split", "kfold:3"), "`--split kfold:3` has moved: use `--split subject --folds 3`"),
        (("--split", "folders"), "expected image, subject or leave-one-subject-out, found 'folders'"),
        (("--split", "leave-one-subject-out", "--folds", 3), "which has a fold a person"),
        (("--subject-from", "UID_"), "exactly one group"),
    ],
    ids=str,
)
def test_a_split_that_this_has_not_is_one_line(cnmc, refuses, tmp_path, options, says):
    assert says in refuses(main, "reproduce", "small_cnn", "--data", cnmc, "--out", tmp_path / "out", *options, code=2)


@pytest.mark.long
def test_folds_by_subject_are_measured_together_and_over_people(cnmc, call, tmp_path, monkeypatch):
    pytest.importorskip("keras")
    monkeypatch.chdir(cnmc)
    out, by_subject = tmp_path / "out", ("--split", "subject", "--folds", 2)
    result = call(main, "reproduce", *SMALL, "--data", "fold_0", "--out", out, *by_subject)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "tables.json").read_text())
    assert found["split_by"] == "2 folds subject"
    for one in found["measured"]:
        assert (one["folds"], one["results"][0]["n"], one["people"]["people"]) == (2, 30, 10)
        assert one["people"]["protocol"] == "fitted on the same folds"
    assert sorted(path.name for path in (out / "fold_0" / "balanced").iterdir()) == ["fold-0", "fold-1"]
