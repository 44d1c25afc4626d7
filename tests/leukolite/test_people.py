"""Figures over people: intervals, majority, ids."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from leukolite.classes import Classes
from leukolite.metrics import bootstrap_interval
from leukolite.people import hashed_people, hashed_person, keeps_people_apart, people_metrics, person_key

CLASSES = Classes.of(("all", "hem"), ("all",))


def cells_that_agree(people: int = 12, cells: int = 20) -> tuple[list[str], list[int], list[int], np.ndarray]:
    """Half of the people of each class; of every third person all cells are wrong, of the others all are right."""
    names = [f"{k}" for k in range(people) for _ in range(cells)]
    truth = [k % 2 for k in range(people) for _ in range(cells)]
    verdicts = [t if k % 3 else 1 - t for k in range(people) for t in [k % 2] * cells]
    return names, truth, verdicts, np.eye(2)[verdicts]


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


def test_an_interval_over_people_is_wider_than_over_cells_where_cells_of_a_person_agree():
    names, truth, verdicts, scores = cells_that_agree()
    found = people_metrics(names, truth, verdicts, scores, CLASSES)
    right = np.array(truth) == np.array(verdicts)
    over_cells = bootstrap_interval(lambda chosen: float(right[chosen].mean()), len(right))
    assert found.accuracy.value == pytest.approx(right.mean())
    assert width(found.accuracy.interval) > 3 * width(over_cells)


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    scores = np.clip(rng.normal(0.4 + 0.2 * (truth == 0), 0.2), 0, 1)  # of 'all', the positive one
    verdicts = np.where(scores > 0.5, 0, 1)
    names = [str(k) for k in rng.integers(0, 9, 300)]
    found = people_metrics(names, truth.tolist(), verdicts.tolist(), np.stack([scores, 1 - scores], axis=1), CLASSES)
    assert found.auc.value == pytest.approx(roc_auc_score(truth == 0, scores))
    assert found.weighted_f1.value == pytest.approx(f1_score(truth, verdicts, average="weighted"))
    for figure in found.figures().values():
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]


def test_three_classes_have_the_mean_area_of_each_against_the_rest():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    scores = rng.dirichlet(np.ones(3), 200) + np.eye(3)[truth] * 0.3
    classes = Classes.of(("a", "b", "c"))
    found = people_metrics([str(k % 7) for k in range(200)], truth.tolist(), scores.argmax(axis=1).tolist(), scores, classes)
    each = [roc_auc_score(truth == k, scores[:, k]) for k in range(3)]
    assert found.auc.value == pytest.approx(np.mean(each))


def test_the_same_seed_gives_the_same_intervals():
    assert people_metrics(*cells_that_agree(), CLASSES) == people_metrics(*cells_that_agree(), CLASSES)


def test_a_row_a_person_says_how_many_cells_are_right_and_whether_more_than_half_are():
    names = ["9"] * 4 + ["17"] * 3 + ["H1"] * 2
    truth = [0, 0, 0, 0, 0, 0, 0, 1, 1]
    verdicts = [0, 0, 1, 1, 0, 0, 1, None, 1]
    found = people_metrics(names, truth, verdicts, np.eye(2)[truth], CLASSES)
    rows = [(row.person, row.label, row.cells, row.abstained, row.right, row.is_right_by_majority) for row in found.rows]
    assert rows == [("9", "all", 4, 0, 2, False), ("17", "all", 3, 0, 2, True), ("H1", "hem", 1, 1, 1, True)]
    assert found.right_by_majority == 2


def test_one_person_of_one_class_has_no_area_and_no_nonsense():
    found = people_metrics(["1"] * 3, [0, 0, 0], [0, 0, 1], np.eye(2)[[0, 0, 1]], CLASSES)
    assert (found.auc.value, found.auc.interval) == (None, None)
    assert found.accuracy.interval == pytest.approx((2 / 3, 2 / 3))


def test_a_person_without_any_verdict_is_no_error():
    found = people_metrics(["1", "2"], [0, 1], [None, None], np.eye(2), CLASSES)
    assert found.accuracy.value is None
    assert [row.share_right for row in found.rows] == [None, None]


@pytest.mark.parametrize("other", ["h12", " H12", "H12 ", "\u00a0h12"])
def test_spellings_of_one_id_are_one_person(other):
    assert person_key(other) == person_key("H12")
    assert hashed_person(other, "salt") == hashed_person("H12", "salt")


def test_hashed_ids_depend_on_the_salt_and_hold_no_id():
    one, other = hashed_people(["Jane Doe", None, "jane doe"], "a" * 64), hashed_people(["Jane Doe"], "b" * 64)
    assert len(one) == 1
    assert one != other
    assert all(char in "0123456789abcdef" for char in one[0])


@pytest.mark.parametrize(
    ("split_by", "apart"),
    [
        ("image", False),
        ("subject", True),
        ("kfold:5 subject", True),
        ("kfold:5 image", False),
        ("5 folds subject", True),
        ("5 folds image", False),
        ("leave-one-subject-out", True),
        ("folders subject", True),
        ("folders image", False),
        ("/runs/b", False),
    ],
)
def test_what_a_record_of_a_split_says_of_people(split_by, apart):
    assert keeps_people_apart(split_by) is apart
