"""People: linked ids, subjects from a pattern or a table, splits in which nobody is on two sides, baselines."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from leukolite.class_folders import PARTS
from leukolite.classes import Classes
from leukolite.cli import main as leukolite
from leukolite.errors import DatasetError, TrainingError
from leukolite.people import people_metrics
from leukolite.synthetic import render_cell
from leukolite.train.baselines import area_baseline, majority_baseline
from leukolite.train.cell_area import cell_area
from leukolite.train.datasets import Dataset, Sample, open_dataset
from leukolite.train.fit import Prepared, make_splits, prepare
from leukolite.train.label_table import LabelTable
from leukolite.train.people import describe_people, is_same_picture, links_of
from leukolite.train.people_report import no_better_than_area
from leukolite.train.recipes import RECIPES, resolve
from leukolite.train.runs import load_split, split_record
from leukolite.train.splits import leave_one_out
from leukolite.train.subjects import SubjectPattern

RECIPE = resolve(RECIPES["small_cnn"], {"side": 32})
PATTERN = SubjectPattern(r"(p\d+)_")
CLASSES = Classes.of(("all", "hem"), ("all",))


def cell(k: int, person: int, i: int, label: str = "blast") -> np.ndarray:
    return render_cell(np.random.default_rng([k, person, i]), label, size=64)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people a class, their ids in two cases; p1 has a cell of p0 again, as JPEG, and p5 the very bytes of one of p4's."""
    root = tmp_path_factory.mktemp("linked")
    for k, label in enumerate(("blast", "healthy")):
        (root / label).mkdir()
        for person in range(4):
            for i in range(4):
                name = f"{'pP'[i % 2]}{4 * k + person}_{i}.png"
                cv2.imwrite(str(root / label / name), cell(k, person, i, label))
    again = cv2.imread(str(root / "blast" / "p0_0.png"))
    cv2.imwrite(str(root / "blast" / "p1_again.jpg"), again, [cv2.IMWRITE_JPEG_QUALITY, 85])
    (root / "healthy" / "p5_again.png").write_bytes((root / "healthy" / "P4_1.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def prepared(linked: Path) -> Prepared:
    return prepare(open_dataset(linked, subject_from=PATTERN), RECIPE)


# who is one person


def test_pictures_that_are_the_same_under_two_ids_link_them(prepared: Prepared) -> None:
    assert links_of(prepared.dataset) == (("P0", "P1"), ("P4", "P5"))
    (line,) = describe_people(prepared.dataset)
    assert "8 subject ids, 6 people" in line
    assert "linked: P0 and P1; P4 and P5: pictures of theirs are the same" in line


def test_a_linked_pair_of_ids_stays_on_one_side(prepared: Prepared) -> None:
    samples = prepared.dataset.samples
    for seed in range(4):
        for split_by in ("subject", "leave-one-subject-out"):
            for split in make_splits(prepared, RECIPE, split_by, seed).splits:
                sides = [{samples[i].person for i in split.part(part)} for part in PARTS]
                assert not sides[0] & sides[1]
                assert not sides[2] & (sides[0] | sides[1])
                of_ids = [{samples[i].subject for i in split.part(part)} for part in PARTS]
                assert all(("P0" in ids) == ("P1" in ids) for ids in of_ids)


def test_a_linked_pair_on_two_sides_of_a_saved_split_is_refused(prepared: Prepared, tmp_path: Path) -> None:
    (split,) = make_splits(prepared, RECIPE, "subject", 0).splits
    apart = prepared.copies * 0 + np.arange(len(prepared.copies))
    moved = next(i for i in split.train if prepared.dataset.samples[i].linked is not None)
    leaky = replace(split, train=tuple(i for i in split.train if i != moved), test=(*split.test, moved))
    (tmp_path / "split.json").write_text(split_record(prepared.dataset, leaky, apart))
    with pytest.raises(TrainingError, match="the split leaks"):
        load_split(tmp_path / "split.json", by_subject=True)


def test_ids_of_two_spellings_are_one_person(linked: Path) -> None:
    ids = {sample.subject for sample in open_dataset(linked, subject_from=PATTERN).samples}
    assert len(ids) == 8
    assert len({str(subject).lower() for subject in ids}) == 8


def test_cnmcs_ids_are_one_person_whatever_their_case(tmp_path: Path) -> None:
    for label, name in (("all", "UID_H1_1_1_all"), ("all", "uid_h1_2_1_all"), ("hem", "UID_2_1_1_hem")):
        (tmp_path / label).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / label / f"{name}.bmp"), cell(0, len(name), ord(name[0])))
    assert {sample.subject for sample in open_dataset(tmp_path).samples} == {"H1", "2"}


def test_ids_of_a_table_are_one_person_whatever_their_case_and_blanks(tmp_path: Path) -> None:
    rows = ["file,label,patient", "0.png,sick,Ann", "1.png,sick, ann ", "2.png,well,BOB\u00a0", "3.png,well,bob"]
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), cell(0, 0, i))
    (tmp_path / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    dataset = open_dataset(tmp_path, LabelTable(tmp_path / "labels.csv"))
    assert [sample.subject for sample in dataset.samples] == ["Ann", "Ann", "BOB", "BOB"]


@pytest.mark.parametrize("turn", [lambda p: p, np.flipud, np.fliplr, np.rot90, lambda p: np.roll(p, 2, axis=1)])
def test_a_cell_saved_again_turned_or_shifted_is_surely_the_same(turn, tmp_path: Path) -> None:
    picture = cell(0, 0, 0)
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    cv2.imwrite(str(tmp_path / "other.jpg"), np.ascontiguousarray(turn(picture)), [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert is_same_picture(tmp_path / "one.png", tmp_path / "other.jpg")


def test_two_cells_are_not_the_same_and_neither_are_flat_or_damaged_pictures(tmp_path: Path) -> None:
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), cell(0, 0, i))
    assert not any(is_same_picture(tmp_path / f"{i}.png", tmp_path / f"{j}.png") for i in range(6) for j in range(i))
    cv2.imwrite(str(tmp_path / "flat.png"), np.full((64, 64, 3), 200, np.uint8))
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    for odd in ("flat.png", "damaged.png"):
        assert not is_same_picture(tmp_path / odd, tmp_path / odd)


def test_of_cnmcs_look_alikes_only_the_same_cells_link_their_ids(shared_data: Path) -> None:
    fold = shared_data / "C-NMC_Leukemia" / "training_data" / "fold_0"
    all_, hem = (lambda name: next(fold.rglob(f"{name}.*"))), (lambda name: next(fold.rglob(f"{name}.*")))
    assert is_same_picture(all_("UID_17_18_2_all"), all_("UID_20_34_2_all"))
    assert is_same_picture(all_("UID_17_28_4_all"), all_("UID_20_32_3_all"))
    assert not is_same_picture(hem("UID_H12_32_2_hem"), hem("UID_H24_33_10_hem"))
    assert not is_same_picture(hem("UID_H12_15_3_hem"), hem("UID_H24_19_11_hem"))


# subjects from a pattern


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(p\d", "is no regular expression"),
        (r"p\d+_", "exactly one group in brackets, which is the subject's id, found 0 groups"),
        (r"(p)(\d+)_", "found 2 groups"),
        ("*", "is no regular expression"),
        ("(\udce9)", "expected text in UTF-8"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        SubjectPattern(pattern)
    assert said in str(error.value)


@pytest.mark.parametrize("pattern", [r"UID_(\w+?)_", r"p\d+_(x*)", r"blast/(p\d+)_"])
def test_pictures_that_a_pattern_does_not_fit_are_one_line(pattern: str, linked: Path) -> None:
    with pytest.raises(DatasetError, match=r"finds no subject in \d+ of 34 pictures, as in (blast|healthy)/") as error:
        open_dataset(linked, subject_from=SubjectPattern(pattern))
    assert "\n" not in str(error.value)


def test_a_pattern_is_searched_below_the_data_folder_alone(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for person in ("one", "two"):
            (tmp_path / "patient_zero" / label / f"patient_{person}").mkdir(parents=True)
            cv2.imwrite(
                str(tmp_path / "patient_zero" / label / f"patient_{person}" / "1.png"), cell(0, ord(label), ord(person[0]))
            )
    dataset = open_dataset(tmp_path / "patient_zero", subject_from=SubjectPattern("patient_([a-z]+)"))
    assert {sample.subject for sample in dataset.samples} == {"one", "two"}


def test_the_survey_counts_people(call, linked: Path, tmp_path: Path) -> None:
    result = call(leukolite, "data", linked, "--subject-from", r"(p\d+)_", "--json", tmp_path / "data.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "data.json").read_text())
    assert found["people"] == 6
    assert found["linked"] == [["P0", "P1"], ["P4", "P5"]]
    assert sum(found["subjects"].values()) == 8


# splits


def named(people: dict[str, int]) -> Dataset:
    """Two classes by the first letter, so many images a person, without files."""
    samples = [
        Sample(Path(f"/data/{name}_{i}.png"), int(name[0] == "H"), name, f"{name}-{i}".encode().hex().zfill(64))
        for name, n in people.items()
        for i in range(n)
    ]
    return Dataset(Path("/data"), "c-nmc", "cell", ("all", "hem"), ("all",), tuple(samples), ())


def persons(dataset: Dataset) -> np.ndarray:
    return np.unique([sample.subject for sample in dataset.samples], return_inverse=True)[1]


def test_leave_one_subject_out_tests_every_person_exactly_once() -> None:
    dataset = named({"A1": 30, "A2": 5, "A3": 9, "H1": 20, "H2": 3, "H3": 4})
    splits = leave_one_out(dataset, persons(dataset), 0)
    tested = [{dataset.samples[i].subject for i in split.test} for split in splits]
    assert sorted(map(sorted, tested)) == [["A1"], ["A2"], ["A3"], ["H1"], ["H2"], ["H3"]]
    assert sorted(i for split in splits for i in split.test) == list(range(len(dataset.samples)))
    for split in splits:
        sides = [{dataset.samples[i].subject for i in split.part(part)} for part in PARTS]
        assert len(set.union(*sides)) == sum(map(len, sides)) == 6
        assert all(n > 0 for part in PARTS[:2] for n in dataset.counts(split.part(part)).values())


def test_leave_one_subject_out_of_too_few_people_is_one_line() -> None:
    dataset = named({"A1": 30, "A2": 5, "A3": 9, "H1": 20, "H2": 3})
    with pytest.raises(DatasetError, match="class hem has 2 people, and to leave one out needs 3"):
        leave_one_out(dataset, persons(dataset), 0)


def test_pictures_without_a_person_are_named_where_a_split_is_by_subject(linked: Path) -> None:
    dataset = named({"A1": 3, "H1": 3})
    some = replace(dataset, samples=(replace(dataset.samples[0], subject=None), *dataset.samples[1:]))
    blank = Prepared(
        some, prepare(open_dataset(linked), RECIPE).spec, np.zeros((6, 1, 1, 3), np.uint8), persons(dataset), persons(dataset)
    )
    with pytest.raises(TrainingError, match=r"names no subject of 1 of 6 images \(A1_0.png\)"):
        make_splits(blank, RECIPE, "leave-one-subject-out", 0)


# baselines


def test_the_area_of_a_cut_out_cell_is_its_pixels_that_are_not_black() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[30:70, 20:80] = (120, 60, 140)
    assert cell_area(picture) == 40 * 60


def test_the_area_of_a_cell_on_a_light_ground_is_about_that_of_what_is_stained() -> None:
    picture = np.full((120, 120, 3), 235, np.uint8)
    cv2.circle(picture, (60, 60), 25, (110, 50, 150), -1)
    cv2.circle(picture, (10, 10), 5, (110, 50, 150), -1)  # a platelet at the rim
    assert cell_area(picture) == pytest.approx(np.pi * 25**2, rel=0.1)
    assert cell_area(np.full((50, 50, 3), 200, np.uint8)) == pytest.approx(0, abs=0)


def people_whose_area_tells(
    rng: np.random.Generator,
) -> tuple[list[str], np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Twelve people of 20 cells; the blasts of class 0 are larger."""
    names = [str(k) for k in range(12) for _ in range(20)]
    truth = np.repeat(np.arange(12) % 2, 20)
    areas = rng.normal(1000 - 400 * truth, 150)
    person = np.repeat(np.arange(12), 20)
    return names, truth, areas, [(np.flatnonzero(person != k), np.flatnonzero(person == k)) for k in range(12)]


def test_a_useless_network_is_reported_as_not_beating_the_area() -> None:
    rng = np.random.default_rng(0)
    names, truth, areas, folds = people_whose_area_tells(rng)
    found = area_baseline(areas, truth, folds, 2)
    area = people_metrics(
        [names[i] for i in found.indices], truth[found.indices].tolist(), found.verdicts.tolist(), found.probabilities, CLASSES
    )
    assert area.auc.value is not None
    assert area.auc.value > 0.9
    guesses = rng.dirichlet(np.ones(2), len(truth))
    useless = people_metrics(names, truth.tolist(), guesses.argmax(axis=1).tolist(), guesses, CLASSES)
    line = no_better_than_area(useless, area)
    assert line is not None
    assert line.startswith("no better than the cell's area alone (accuracy ")
    assert f"AUC {useless.auc.value:.2f}, area {area.auc.value:.2f}" in line
    perfect = people_metrics(names, truth.tolist(), truth.tolist(), np.eye(2)[truth], CLASSES)
    assert no_better_than_area(perfect, area) is None


def test_an_area_that_says_nothing_ranks_about_like_chance_whoever_is_left_out() -> None:
    rng = np.random.default_rng(3)
    names, truth, _, folds = people_whose_area_tells(rng)
    found = area_baseline(rng.normal(1000, 100, len(truth)), truth, folds, 2)
    area = people_metrics(
        [names[i] for i in found.indices], truth[found.indices].tolist(), found.verdicts.tolist(), found.probabilities, CLASSES
    )
    assert 0.3 < float(area.auc.value or 0) < 0.7


def test_the_majority_is_one_class_over_all_folds() -> None:
    _, truth, _, folds = people_whose_area_tells(np.random.default_rng(0))
    found = majority_baseline(truth, folds, 2)
    assert set(found.verdicts.tolist()) == {0}
    assert sorted(found.indices.tolist()) == list(range(len(truth)))


def test_a_fold_whose_people_are_of_one_class_has_a_baseline_too() -> None:
    truth = np.array([0, 0, 1, 1])
    folds = [(np.array([0, 1]), np.array([2, 3])), (np.array([2, 3]), np.array([0, 1]))]
    assert area_baseline(np.arange(4.0), truth, folds, 2).verdicts.tolist() == [0, 0, 1, 1]
