"""A model of no use is known by its confusion matrix, and one that is of use is never taken for it."""

import numpy as np
import pytest

from leukolite.classes import Classes
from leukolite.metrics import confusion_matrix
from leukolite.usefulness import informedness, no_better_than_guessing, uselessness

TWO = Classes.of(("healthy", "blast"), ("blast",))
FOUR = Classes.of(("Benign", "Early", "Pre", "Pro"), ("Early", "Pre", "Pro"))


@pytest.mark.parametrize(
    ("confusion", "says"),
    [
        ([[104, 0], [104, 0]], "is right on 50.0% of 208 labelled pictures and recognises 0 of 104 pictures of blast"),
        ([[0, 104], [0, 104]], "not more than chance above the 50.0% of always saying healthy"),
        ([[57, 47], [49, 55]], "not more than chance above the 50.0%"),
        ([[0, 104], [104, 0]], "recognises 0 of 104 pictures of blast"),
        ([[900, 0], [100, 0]], "recognises 0 of 100 pictures of blast"),
        ([[630, 270], [60, 40]], "not more than chance above the 90.0% of always saying healthy"),
        ([[2, 0], [2, 0]], "recognises 0 of 2 pictures of blast"),
    ],
)
def test_a_model_of_two_classes_that_is_of_no_use_is_refused(confusion, says):
    assert says in str(uselessness(np.array(confusion), TWO))


@pytest.mark.parametrize(
    "confusion",
    [
        [[104, 0], [0, 104]],
        [[60, 40], [40, 60]],
        [[2, 0], [0, 2]],
        [[9, 0], [0, 1]],  # too few for an interval, and yet without an error
        [[18, 1], [0, 1]],
        [[16, 7], [5, 12]],  # 70% of 40 is not surely more than 57.5%, and yet surely no chance
        [[57, 0], [0, 3]],  # of uneven classes always saying the commonest is right on 95%
        [[720, 180], [10, 90]],  # a screening model: right on 81% where always saying healthy is right on 90%
        [[990, 0], [2, 8]],
    ],
)
def test_a_model_of_two_classes_that_is_of_use_is_not(confusion):
    assert uselessness(np.array(confusion), TWO) is None


@pytest.mark.parametrize(
    "confusion",
    [
        [[0, 104], [0, 104]],
        [[40, 960], [20, 980]],
        [[4_500, 95_500], [1_000, 99_000]],  # surely better than chance, and yet one answer
    ],
)
def test_one_answer_to_nearly_everything_is_told(confusion):
    confusion = np.array(confusion)
    assert uselessness(confusion, TWO) is not None
    assert f"answers blast to {confusion[:, 1].sum()} of {confusion.sum()}" in str(no_better_than_guessing(confusion, TWO))


@pytest.mark.parametrize("confusion", [[[50, 50], [40, 60]], [[50, 0], [50, 0]], [[48, 2], [1, 49]]])
def test_people_are_told_when_conversion_would_refuse_and_never_else(confusion):
    said, refused = (ask(np.array(confusion), TWO) for ask in (no_better_than_guessing, uselessness))
    assert (said is None) == (refused is None)
    assert refused is None or said.endswith(refused)


@pytest.mark.parametrize(
    "confusion",
    [
        [[970, 0], [0, 30]],  # nearly all pictures are healthy, and right
        [[970, 0], [20, 10]],  # most of the rare class is missed, not nearly all
        [[5, 0], [0, 5]],
    ],
)
def test_one_class_of_nearly_all_pictures_is_not_taken_for_one_answer(confusion):
    assert uselessness(np.array(confusion), TWO) is None


@pytest.mark.parametrize("confusion", [[[0, 0], [0, 50]], [[0, 0], [2, 48]], [[48, 2], [0, 0]], [[0, 0], [1, 2]]])
def test_pictures_of_one_class_alone_do_not_make_a_guess(confusion):
    assert uselessness(np.array(confusion), TWO) is None


def test_pictures_of_one_class_alone_that_are_mostly_wrong_do():
    assert "is right on 10.0% of 50" in str(uselessness(np.array([[5, 45], [0, 0]]), TWO))
    assert "recognises 0 of 50 pictures of blast" in str(uselessness(np.array([[0, 0], [50, 0]]), TWO))


def test_without_pictures_nothing_is_said():
    assert uselessness(np.zeros((2, 2), int), TWO) is None


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_random_verdicts_are_no_better_than_guessing_and_good_ones_are(share):
    rng = np.random.default_rng(0)
    truth = (rng.uniform(size=600) < share).astype(int)
    guesses = (rng.uniform(size=600) < share).astype(int)
    good = np.where(rng.uniform(size=600) < 0.03, 1 - truth, truth)
    assert "not more than chance above" in str(uselessness(confusion_matrix(truth, guesses, 2), TWO))
    assert uselessness(confusion_matrix(truth, good, 2), TWO) is None


def test_each_malignant_class_must_be_found_and_all_of_them_together():
    good = np.diag([50, 50, 50, 50])
    assert uselessness(good, FOUR) is None
    blind = good.copy()
    blind[2] = [0, 50, 0, 0]
    assert "recognises 0 of 50 pictures of Pre" in str(uselessness(blind, FOUR))
    blinder = np.zeros((4, 4), int)
    blinder[:, 1] = 50
    assert "recognises 0 of 50 pictures of Pre and 0 of 50 pictures of Pro" in str(uselessness(blinder, FOUR))
    healthy = np.zeros((4, 4), int)
    healthy[:, 0] = [50, 10, 10, 10]
    assert "0 of 30 pictures of malignant classes a malignant label" in str(uselessness(healthy, FOUR))


def test_a_benign_class_that_is_never_found_is_no_reason_by_itself():
    assert uselessness(np.array([[0, 3, 0, 0], [0, 50, 0, 0], [0, 0, 50, 0], [0, 0, 0, 50]]), FOUR) is None


def test_a_malignant_class_without_a_picture_is_not_missed():
    assert uselessness(np.diag([50, 50, 0, 50]), FOUR) is None


def test_without_a_malignant_class_accuracy_alone_counts():
    assert uselessness(np.diag([5, 5]), Classes.of(("a", "b"))) is None
    assert "always saying a" in str(uselessness(np.array([[5, 0], [5, 0]]), Classes.of(("a", "b"))))


def test_informedness_is_0_for_one_answer_and_1_for_all_right():
    assert informedness(np.array([[90, 0], [10, 0]])) == 0
    assert informedness(np.diag([90, 10])) == 1
    assert informedness(np.array([[0, 5], [5, 0]])) == -1
