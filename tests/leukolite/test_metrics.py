import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from leukolite import metrics as m
from leukolite.classes import Classes

BINARY = Classes.of(["healthy", "blast"], ["blast"])
MULTI = Classes.of(["a", "b", "c", "d"])


def random_verdicts(classes: int, n: int = 200, seed: int = 0, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truths and better-than-chance probabilities; `levels`: rounded to so many, for ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    scores = rng.uniform(0, 1, (n, classes)) + 0.5 * np.eye(classes)[truth]
    if levels:
        scores = np.ceil(scores * levels)
    return truth, scores / scores.sum(axis=1, keepdims=True)


def measured(truth: np.ndarray, probabilities: np.ndarray, classes: Classes) -> m.Metrics:
    return m.compute_metrics(truth.tolist(), probabilities.argmax(axis=1).tolist(), probabilities, classes)


def test_binary_metrics_are_scikit_learns():
    truth, probabilities = random_verdicts(2)
    verdicts = probabilities.argmax(axis=1)
    found = measured(truth, probabilities, BINARY)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, verdicts, average="binary")
    assert [found.precision, found.recall, found.f1] == pytest.approx([precision, recall, f1])
    assert found.accuracy == pytest.approx(accuracy_score(truth, verdicts))
    assert found.auc == pytest.approx(roc_auc_score(truth, probabilities[:, 1]))
    assert found.confusion == confusion_matrix(truth, verdicts).tolist()


def test_metrics_of_many_classes_are_scikit_learns_macro_averages():
    truth, probabilities = random_verdicts(4)
    verdicts = probabilities.argmax(axis=1)
    found = measured(truth, probabilities, MULTI)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, verdicts, average="macro")
    assert [found.precision, found.recall, found.f1] == pytest.approx([precision, recall, f1])
    assert found.accuracy == pytest.approx(accuracy_score(truth, verdicts))
    assert found.auc == pytest.approx(roc_auc_score(truth, probabilities, multi_class="ovr", average="macro"))
    assert found.confusion == confusion_matrix(truth, verdicts).tolist()


def with_rare_class(classes: int) -> tuple[np.ndarray, np.ndarray]:
    truth, probabilities = random_verdicts(classes)
    kept = (truth > 0) | (np.arange(len(truth)) % 5 == 0)
    return truth[kept], probabilities[kept]


@pytest.mark.parametrize("classes", [BINARY, MULTI], ids=["two", "four"])
def test_averages_over_the_classes_are_scikit_learns_for_two_classes_too(classes):
    truth, probabilities = with_rare_class(len(classes.labels))
    verdicts, found = probabilities.argmax(axis=1), measured(truth, probabilities, classes)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, verdicts, average="macro")
    assert [found.macro_precision, found.macro_recall, found.macro_f1] == pytest.approx([precision, recall, f1])
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, verdicts))
    assert found.weighted_f1 == pytest.approx(f1_score(truth, verdicts, average="weighted"))


@pytest.mark.parametrize("classes", [BINARY, MULTI], ids=["two", "four"])
def test_the_accuracy_of_a_class_is_that_of_telling_it_from_the_rest(classes):
    truth, probabilities = with_rare_class(len(classes.labels))
    verdicts = probabilities.argmax(axis=1)
    rows = measured(truth, probabilities, classes).classes
    assert [row.accuracy for row in rows] == [
        pytest.approx(accuracy_score(truth == k, verdicts == k)) for k in range(len(classes.labels))
    ]


def test_the_accuracies_of_the_classes_are_those_that_el_shenbary_prints_of_its_matrix():
    confusion = np.array([[132, 19, 0, 0], [10, 282, 2, 1], [0, 3, 286, 0], [0, 0, 0, 241]])  # its Table V, AlexNet
    found = [m.class_metrics(confusion, k, label, None).accuracy for k, label in enumerate("abcd")]
    assert [round(100 * accuracy, 2) for accuracy in found] == [97.03, 96.41, 99.49, 99.90]


def test_the_averages_are_those_that_makem_prints_of_its_matrix():
    truth = np.repeat([0, 1], [481, 226])  # its fold 0 at sigma 10: 478 of 481 and 193 of 226 right
    verdicts = np.concatenate([np.repeat([0, 1], [478, 3]), np.repeat([0, 1], [33, 193])])
    found = m.compute_metrics(truth.tolist(), verdicts.tolist(), np.eye(2)[verdicts], Classes.of(["all", "hem"], ["all"]))
    printed = [round(value, 2) for value in (found.macro_precision, found.macro_recall, found.macro_f1, found.accuracy)]
    assert (printed, round(found.balanced_accuracy, 3)) == ([0.96, 0.92, 0.94, 0.95], 0.924)


def test_records_of_before_the_averages_still_load():
    new = measured(*random_verdicts(2), BINARY)
    added = {"balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_f1"}
    old = new.model_dump(exclude=dict.fromkeys(added, True) | {"classes": {"__all__": {"accuracy"}}})
    read = m.Metrics.model_validate(old)
    assert (read.accuracy, read.balanced_accuracy, read.classes[0].accuracy) == (new.accuracy, None, None)
    assert read.model_dump(exclude_defaults=True) == old  # so the hash of a manifest of before is the same


def test_without_a_verdict_the_averages_are_none():
    found = m.compute_metrics([0, 1], [None, None], np.eye(2), BINARY)
    assert {found.balanced_accuracy, found.macro_precision, found.macro_recall, found.macro_f1, found.weighted_f1} == {None}
    assert [row.accuracy for row in found.classes] == [None, None]


def test_each_class_against_the_rest_is_scikit_learns():
    truth, probabilities = random_verdicts(4)
    precision, recall, f1, n = precision_recall_fscore_support(truth, probabilities.argmax(axis=1))
    rows = measured(truth, probabilities, MULTI).classes
    assert tuple(row.label for row in rows) == MULTI.labels
    assert [row.n for row in rows] == n.tolist()
    assert [(row.precision, row.recall, row.f1) for row in rows] == [
        pytest.approx(expected) for expected in zip(precision, recall, f1, strict=True)
    ]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_is_scikit_learns_also_with_ties(pairs):
    is_positive, scores = (np.array(column) for column in zip(*pairs, strict=True))
    if is_positive.all() or not is_positive.any():
        assert m.auc(is_positive, scores) is None
    else:
        assert m.auc(is_positive, scores) == pytest.approx(roc_auc_score(is_positive, scores))


def test_macro_auc_with_ties_is_scikit_learns():
    truth, probabilities = random_verdicts(3, levels=3)
    assert len(np.unique(probabilities)) < 40
    assert m.macro_auc(truth, probabilities) == pytest.approx(roc_auc_score(truth, probabilities, multi_class="ovr"))


def test_specificity_is_the_share_of_the_rest_that_was_not_called_so():
    confusion = np.array([[5, 1, 2], [0, 7, 3], [4, 0, 6]])
    assert m.class_metrics(confusion, 0, "a", None).specificity == pytest.approx((7 + 3 + 0 + 6) / 20)


def test_of_two_classes_the_specificity_of_one_is_the_recall_of_the_other():
    truth, probabilities = random_verdicts(2)
    healthy, blast = measured(truth, probabilities, BINARY).classes
    assert blast.specificity == healthy.recall
    assert healthy.specificity == blast.recall


def test_the_metrics_of_two_classes_are_those_of_the_positive_one():
    found = measured(*random_verdicts(2), Classes.of(BINARY.labels, ["healthy"]))
    healthy = found.classes[0]
    assert (found.precision, found.recall, found.specificity) == (healthy.precision, healthy.recall, healthy.specificity)
    assert found.auc == healthy.auc


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_is_scipys(counts):
    expected = binomtest(*counts).proportion_ci(method="wilson")
    assert m.wilson_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_holds_the_rate_and_mirrors_with_it(counts):
    successes, n = counts
    low, high = m.wilson_interval(successes, n)
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1
    assert m.wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low))


@given(st.integers(1, 10**6))
def test_the_wilson_interval_of_none_begins_at_0_and_of_all_ends_at_1(n):
    assert m.wilson_interval(0, n)[0] == 0.0
    assert m.wilson_interval(n, n)[1] == 1.0


def test_nothing_has_no_interval():
    assert m.wilson_interval(0, 0) is None
    assert m.bootstrap_interval(lambda chosen: 1.0, 0) is None


def test_the_bootstrap_interval_of_a_mean_is_about_the_normal_one():
    values = np.random.default_rng(0).normal(10, 2, 400)
    low, high = m.bootstrap_interval(lambda chosen: float(values[chosen].mean()), 400)
    half = 1.96 * 2 / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)


def test_the_bootstrap_leaves_out_resamples_without_a_value():
    assert m.bootstrap_interval(lambda chosen: None, 5) is None
    assert m.bootstrap_interval(lambda chosen: 0.5 if chosen[0] else None, 5) == (0.5, 0.5)


def test_the_auc_interval_holds_the_auc():
    found = measured(*random_verdicts(2, n=60), BINARY)
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]


def test_truths_of_one_class_have_no_auc_and_no_specificity():
    truth, probabilities = np.ones(20, int), random_verdicts(2, n=20)[1]
    found = measured(truth, probabilities, BINARY)
    assert (found.auc, found.auc_interval, found.specificity) == (None, None, None)
    assert found.recall == found.accuracy


def test_macro_averages_leave_out_classes_without_images():
    truth, probabilities = random_verdicts(3)
    with_a_fourth = np.column_stack([probabilities, np.zeros(len(truth))])
    three, four = measured(truth, probabilities, Classes.of(MULTI.labels[:3])), measured(truth, with_a_fourth, MULTI)
    assert (four.precision, four.recall, four.f1) == (three.precision, three.recall, three.f1)
    assert four.auc == three.auc


def test_abstentions_are_counted_and_left_out_of_the_rest():
    truth, probabilities = random_verdicts(2, n=60)
    verdicts = probabilities.argmax(axis=1).tolist()
    abstaining = m.compute_metrics(truth, [None] * 20 + verdicts[20:], probabilities, BINARY)
    rest = m.compute_metrics(truth[20:], verdicts[20:], probabilities[20:], BINARY)
    assert abstaining == rest.model_copy(update={"abstained": 20})


@pytest.mark.parametrize("classes", [2, 4])
def test_balanced_accuracy_and_weighted_f1_are_those_of_scikit_learn(classes):
    truth, probabilities = random_verdicts(classes, n=60)
    verdicts = probabilities.argmax(axis=1).tolist()
    confusion = m.confusion_matrix(truth, verdicts, classes)
    assert m.balanced_accuracy(confusion) == pytest.approx(balanced_accuracy_score(truth, verdicts))
    assert m.weighted_f1(confusion) == pytest.approx(f1_score(truth, verdicts, average="weighted"))


def test_without_images_there_is_no_balanced_accuracy_and_no_weighted_f1():
    nothing = np.zeros((2, 2), dtype=int)
    assert m.balanced_accuracy(nothing) is None
    assert m.weighted_f1(nothing) is None


def test_a_classifier_that_always_abstains_has_no_rates():
    found = m.compute_metrics([0, 1], [None, None], np.full((2, 2), 0.5), BINARY)
    assert (found.n, found.abstained) == (0, 2)
    assert {found.accuracy, found.precision, found.recall, found.f1, found.auc, found.ece} == {None}


def test_no_images_at_all_are_measured_without_complaint():
    assert m.compute_metrics([], [], np.zeros((0, 2)), BINARY).n == 0


def test_confidence_that_comes_true_has_no_calibration_error():
    probabilities = np.tile([0.8, 0.2], (50, 1))
    assert m.expected_calibration_error(np.repeat([0, 1], [40, 10]), probabilities) == pytest.approx(0)


def test_the_calibration_error_is_the_gap_weighted_by_the_bins_images():
    probabilities = np.array([[1.0, 0.0]] * 4 + [[0.6, 0.4]] * 6)
    truth = np.array([0, 0, 1, 1] + [0] * 6)  # gaps: 1 - 0.5 and 0.6 - 1
    assert m.expected_calibration_error(truth, probabilities) == pytest.approx(0.4 * 0.5 + 0.6 * 0.4)


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(0, 30), st.integers(0, 1000), st.booleans())
def test_rates_are_rates_and_counts_add_up(classes, n, seed, has_positive):
    truth, probabilities = random_verdicts(classes, n, seed)
    labels = MULTI.labels[:classes]
    found = measured(truth, probabilities, Classes.of(labels, labels[:1] if has_positive else ()))
    rates = [found.accuracy, found.precision, found.recall, found.specificity, found.f1, found.auc, found.ece]
    assert all(rate is None or 0 <= rate <= 1 for rate in rates)
    assert np.sum(found.confusion) == found.n == n
    assert np.trace(found.confusion) == found.correct
    assert [row.n for row in found.classes] == np.sum(found.confusion, axis=1).tolist()
