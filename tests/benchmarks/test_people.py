"""`leukolite evaluate` on people: folds pooled, people who were seen, baselines, what is said of a split by image."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolite.benchmarks import evaluate as evaluation_of
from leukolite.benchmarks.fold_runs import open_folds
from leukolite.benchmarks.people_seen import SeenPeople, seen_of_run
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.errors import DatasetError, TrainingError
from leukolite.people import hashed_people
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle, open_bundle
from leukolite.synthetic import LABELS, render_cell
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.recipes import RECIPES
from leukolite.train.runs import Run, split_record
from leukolite.train.splits import Split, k_folds
from leukolite.train.subjects import SubjectPattern

SHIPPED = "synthetic-cells"
PATTERN = r"(p\d+)_"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people a class, four cells each."""
    root = tmp_path_factory.mktemp("data") / "people"
    for k, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for person in range(4):
            for i in range(4):
                pixels = render_cell(np.random.default_rng([k, person, i]), label, size=64)
                Image.fromarray(pixels).save(root / label / f"p{4 * k + person}_{i}.png")
    return root


@pytest.fixture(scope="module")
def dataset(people: Path) -> Dataset:
    return open_dataset(people, subject_from=SubjectPattern(PATTERN))


def persons(dataset: Dataset) -> np.ndarray:
    return np.unique([sample.subject for sample in dataset.samples], return_inverse=True)[1]


def leave_run(place: Path, dataset: Dataset, split: Split, split_by: str) -> None:
    """A run folder whose network nobody opens."""
    run = Run(
        schema_version=1,
        recipe=RECIPES["small_cnn"],
        unit="cell",
        labels=list(dataset.labels),
        malignant=["blast"],
        input={"height": 64, "width": 64},
        dataset=dataset.layout,
        data=str(dataset.root),
        dataset_fingerprint=dataset.fingerprint(),
        unusable=0,
        subject_from=PATTERN,
        split_by=split_by,
        split={},
        seed=0,
        versions={},
        best_epoch=1,
        seconds=1.0,
        metrics={},
    )
    place.mkdir(parents=True)
    (place / "run.json").write_text(run.model_dump_json())
    (place / "model.keras").write_bytes(b"")
    (place / "split.json").write_text(split_record(dataset, split, np.arange(len(dataset.samples))))


@pytest.fixture
def folds(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folds by subject, whose networks are the shipped bundle."""
    for k, split in enumerate(k_folds(dataset, persons(dataset), 2, 0)):
        leave_run(tmp_path / "folds" / f"fold-{k}", dataset, split, "2 folds subject")
    bundle = open_bundle(find_bundle(Path(SHIPPED)))
    monkeypatch.setattr(evaluation_of, "open_classifier_of", lambda _: open_classifier(bundle, RuntimeOptions()))
    return tmp_path / "folds"


@pytest.fixture
def evaluated(call: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[dict[str, Any], Any]]:
    def evaluate(model: object, data: Path, *options: object) -> tuple[dict[str, Any], Any]:
        result = call(leukolite, "evaluate", model, "--data", data, "--json", tmp_path / "e.json", "--force", *options)
        assert result.exit_code == 0, result.output
        return json.loads((tmp_path / "e.json").read_text()), result

    return evaluate


def test_a_folder_of_folds_pools_what_each_says_of_its_own_test_part(evaluated, folds: Path, people: Path) -> None:
    found, result = evaluated(folds, people, "--noise", "0,20")
    assert (found["model"], found["n"], found["seen_in_training"]) == ("folds", 32, 0)
    assert (found["people"]["people"], found["people"]["protocol"]) == (8, "fitted on the same folds")
    assert sorted(row["person"] for row in found["people"]["rows"]) == [f"p{k}" for k in range(8)]
    assert [row["cells"] for row in found["people"]["rows"]] == [4] * 8
    assert [row["sigma"] for row in found["people"]["results"]] == [0, 20]
    assert [one["name"] for one in found["people"]["baselines"]] == ["majority class", "cell area"]
    assert "people right by majority" in result.stdout


def test_folds_of_which_one_is_missing_are_one_line(refuses, folds: Path, people: Path) -> None:
    (folds / "fold-1").rename(folds / "aside")
    line = refuses(leukolite, "evaluate", folds, "--data", people)
    assert "1 finished fold, the last fold-0, and 16 images of the split that none of them tests" in line


def test_folds_of_two_splits_are_refused(folds: Path, dataset: Dataset) -> None:
    split = Split(tuple(range(20)), tuple(range(20, 24)), tuple(range(24, 32)))
    leave_run(folds / "fold-2", dataset, split, "2 folds subject")
    with pytest.raises(TrainingError, match=r"not folds of one split|the split leaks"):
        open_folds(folds)


def test_a_person_on_two_sides_of_a_fold_is_refused(refuses, folds: Path, people: Path) -> None:
    path = folds / "fold-0" / "split.json"
    record = json.loads(path.read_text())
    record["train"].append(record["test"].pop())
    path.write_text(json.dumps(record))
    assert "the split leaks" in refuses(leukolite, "evaluate", folds, "--data", people)


def test_a_person_on_two_sides_of_a_saved_split_is_refused(refuses, folds: Path, people: Path, tmp_path: Path) -> None:
    path = folds / "fold-0" / "split.json"
    record = json.loads(path.read_text())
    record["train"].append(record["test"].pop())
    path.write_text(json.dumps(record))
    for split in (path, path.parent):
        line = refuses(leukolite, "evaluate", SHIPPED, "--data", people, "--subject-from", PATTERN, "--split", split)
        assert "the split leaks" in line
        assert "have one subject" in line


def test_data_without_the_images_of_a_fold_is_refused(refuses, folds: Path, people: Path, tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "fewer" / label).mkdir(parents=True)
        for path in sorted((people / label).iterdir())[1:]:
            (tmp_path / "fewer" / label / path.name).write_bytes(path.read_bytes())
    assert "not in this folder: 2 images that" in refuses(leukolite, "evaluate", folds, "--data", tmp_path / "fewer")


def test_folds_say_already_who_is_measured_by_which_network(refuses, folds: Path, people: Path) -> None:
    line = refuses(leukolite, "evaluate", folds, "--data", people, "--split", "leave-one-subject-out")
    assert "the folds of this model say already" in line


def test_a_single_model_has_baselines_cross_validated_by_leaving_one_person_out(evaluated, people: Path) -> None:
    found, _ = evaluated(SHIPPED, people, "--subject-from", PATTERN)
    assert found["people"]["protocol"] == "cross-validated on these images, leave-one-subject-out"
    assert found["people"]["beats_area"] is True
    found, _ = evaluated(SHIPPED, people, "--subject-from", PATTERN, "--split", "subject", "--folds", 2)
    assert found["people"]["protocol"] == "cross-validated on these images, 2 folds by subject"


def test_without_known_people_nothing_is_said_of_them(evaluated, people: Path) -> None:
    found, result = evaluated(SHIPPED, people)
    assert found["people"] is None
    assert "people" not in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--split", "subject"), 1, "say how many with --folds N"),
        (("--split", "leave-one-subject-out"), 1, "names no subjects"),
        (("--split", "kfold:3"), 2, "has moved"),
        (("--folds", 3), 2, "--folds goes with"),
        (("--split", "nowhere"), 1, "nowhere: no such run or split.json"),
        (("--split", "folders"), 1, "expected a training part and one to measure"),
        (("--subject-from", "(x)(y)"), 2, "exactly one group"),
        (("--subject-from", "UID_(.)"), 1, "finds no subject in 32 of 32 pictures"),
        (("--subject-from", PATTERN, "--split", "subject", "--folds", 9), 1, "fewer groups of images than 9 folds"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line(refuses, people: Path, options: tuple[object, ...], code: int, said: str) -> None:
    assert said in refuses(leukolite, "evaluate", SHIPPED, "--data", people, *options, code=code)


# people who were seen


def opened(people: Path, dataset: Dataset, seen: set[str], split_by: str) -> evaluation_of.EvaluatedModel:
    """The shipped bundle, as if it had been trained on the first cell of each of those people."""
    model = evaluation_of.open_model(find_bundle(Path(SHIPPED)), RuntimeOptions())
    first = [sample for sample in dataset.samples if sample.subject in seen and sample.path.stem.endswith("_0")]
    salt = "0" * 64

    hashes = frozenset(hashed_people(seen, salt))
    return replace(
        model,
        seen=frozenset(sample.sha256[:12] for sample in first),
        seen_people=SeenPeople(split_by, dataset.layout, salt, hashes),
    )


def evaluate(model: evaluation_of.EvaluatedModel, people: Path, *, unseen: bool) -> evaluation_of.Evaluation:
    return evaluation_of.evaluate(model, people, (0.0,), seed=0, unseen_only=unseen, subject_from=SubjectPattern(PATTERN))


def test_unseen_leaves_out_all_of_the_people_of_a_model_that_was_split_by_subject(people: Path, dataset: Dataset) -> None:
    found = evaluate(opened(people, dataset, {"p0", "p5"}, "subject"), people, unseen=True)
    assert (found.n, found.dropped) == (24, 2)
    assert found.people is not None
    assert (found.people.left_out_people, found.people.left_out_images) == (2, 6)
    assert {row.person for row in found.people.first.rows} == {f"p{k}" for k in (1, 2, 3, 4, 6, 7)}
    assert found.notes[-1] == "left out: 6 other pictures of 2 people of whom synthetic-cells was trained or chosen"


def test_a_model_that_was_split_by_image_says_so_and_leaves_out_its_images_alone(people: Path, dataset: Dataset) -> None:
    found = evaluate(opened(people, dataset, {"p0", "p5"}, "image"), people, unseen=True)
    assert (found.n, found.dropped) == (30, 2)
    assert found.notes[-1].endswith(
        "was by image, so cells of one person are on both sides: 2 of these 8 people; figures over people flatter"
    )


def test_people_of_whom_none_was_seen_need_no_warning(people: Path, dataset: Dataset) -> None:
    model = opened(people, dataset, {"p0"}, "image")
    others = replace(model, seen_people=replace(model.seen_people, hashes=frozenset({"0" * 16})))
    assert evaluate(others, people, unseen=True).notes == ()


def test_a_model_of_which_all_people_were_seen_leaves_nothing_to_measure(people: Path, dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="or with others of the same people; none is left to measure it by"):
        evaluate(opened(people, dataset, {f"p{k}" for k in range(8)}, "subject"), people, unseen=True)


def test_a_run_remembers_of_whom_it_was_trained_and_chosen(folds: Path, dataset: Dataset) -> None:
    fold = open_folds(folds)[0]
    seen = seen_of_run(fold.run, [*fold.split["train"], *fold.split["validation"]])
    tested = {entry.subject for entry in fold.split["test"]}
    assert seen.among(dataset) == {sample.subject for sample in dataset.samples} - tested


def test_the_test_part_of_a_run_is_measured_and_its_training_part_fits_the_baselines(
    evaluated, folds: Path, people: Path
) -> None:
    run = folds / "fold-1"
    found, _ = evaluated(SHIPPED, people, "--subject-from", PATTERN, "--split", run)
    assert (found["n"], found["people"]["people"]) == (16, 4)
    assert found["people"]["protocol"] == f"fitted on the training part of {run}"
