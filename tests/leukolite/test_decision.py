import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from leukolite.decision import UNCALIBRATED, Decision, calibrate, decide, fit_band, fit_temperature, fit_threshold

HEALTHY, BLAST = 0, 1
probabilities = hnp.arrays(float, st.integers(2, 6), elements=st.floats(0.001, 1)).map(lambda scores: scores / scores.sum())


def verdict(blast: float, decision: Decision) -> int | None:
    return decide(np.array([1 - blast, blast]), decision, [BLAST])


@given(probabilities)
def test_temperature_one_changes_nothing(given_probabilities):
    assert np.array_equal(calibrate(given_probabilities, 1.0), given_probabilities)


@given(probabilities, st.floats(0.05, 20))
def test_calibration_keeps_the_order_and_the_sum(given_probabilities, temperature):
    calibrated = calibrate(given_probabilities, temperature)
    assert calibrated.sum() == pytest.approx(1)
    order = np.argsort(given_probabilities)
    assert (np.diff(calibrated[order]) >= 0).all()


@given(probabilities)
def test_a_high_temperature_doubts_and_a_low_one_is_surer(given_probabilities):
    colder, warmer = (calibrate(given_probabilities, temperature).max() for temperature in (0.5, 2.0))
    assert warmer <= colder + 1e-12


def test_a_quantised_zero_is_not_taken_for_certainty():
    assert calibrate(np.array([0.0, 1.0]), 2.0)[0] > 0.01


def test_calibration_works_on_a_batch_row_by_row():
    batch = np.array([[0.9, 0.1], [0.3, 0.7]])
    assert np.array_equal(calibrate(batch, 3.0), np.stack([calibrate(row, 3.0) for row in batch]))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in honest])
    overconfident = honest**temperature / (honest**temperature).sum(axis=1, keepdims=True)
    assert fit_temperature(overconfident, truth) == pytest.approx(temperature, rel=0.1)


def test_a_model_that_is_always_right_is_not_called_certain_of_everything():
    rng = np.random.default_rng(0)
    right = rng.uniform(0.7, 0.95, 60)
    temperature = fit_temperature(np.stack([right, 1 - right], axis=1), np.zeros(60, int))
    assert 0.2 < temperature < 1
    assert calibrate(np.array([0.55, 0.45]), temperature)[0] < 0.75


def test_without_a_threshold_the_top_class_wins():
    assert decide(np.array([0.2, 0.5, 0.3]), UNCALIBRATED, [0]) == 1


@pytest.mark.parametrize(("blast", "expected"), [(0.29, HEALTHY), (0.30, BLAST), (0.9, BLAST)])
def test_the_threshold_is_the_least_malignant_probability_for_a_malignant_verdict(blast, expected):
    assert verdict(blast, Decision(threshold=0.3)) == expected


def test_a_threshold_does_not_touch_more_than_two_classes():
    assert decide(np.array([0.4, 0.35, 0.25]), Decision(threshold=0.1), [BLAST]) == 0


@pytest.mark.parametrize(("blast", "expected"), [(0.39, HEALTHY), (0.4, None), (0.5, None), (0.6, None), (0.61, BLAST)])
def test_the_band_of_a_threshold_is_of_the_malignant_probability(blast, expected):
    assert verdict(blast, Decision(threshold=0.5, abstain=(0.4, 0.6))) is expected


@pytest.mark.parametrize(("blast", "expected"), [(0.2, HEALTHY), (0.3, None), (0.7, None), (0.8, BLAST)])
def test_without_a_threshold_the_band_is_of_the_top_probability(blast, expected):
    assert verdict(blast, Decision(abstain=(0.0, 0.75))) is expected


@given(probabilities, st.floats(0.01, 0.99), st.integers(0, 1))
def test_every_verdict_is_a_class(given_probabilities, threshold, malignant):
    assert decide(given_probabilities, Decision(threshold=threshold), [malignant]) in range(len(given_probabilities))


@pytest.mark.parametrize("band", [(0.6, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1.0)])
def test_a_band_that_is_none_is_refused(band):
    with pytest.raises(ValidationError, match=r"ordered band within 0\.\.1|finite number"):
        Decision(abstain=band)


@pytest.mark.parametrize("change", [{"temperature": 0}, {"temperature": -1}, {"threshold": 0}, {"threshold": 1}, {"bias": 0}])
def test_a_decision_out_of_range_is_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        Decision(**change)


# fits


def test_a_threshold_keeps_the_recall_asked_for_and_then_separates_best():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7])
    malignant = np.array([False, False, True, False, True, True])
    assert fit_threshold(scores, malignant, least_recall=1.0) == pytest.approx(0.25)
    assert fit_threshold(scores, malignant, least_recall=0.6) == pytest.approx(0.5), "of equals the nearest to one half"


def test_of_thresholds_that_separate_all_the_nearest_to_one_half_is_taken():
    scores, malignant = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    assert fit_threshold(scores, malignant, least_recall=1.0) == 0.5


def test_a_recall_that_no_threshold_reaches_is_no_error():
    scores, malignant = np.array([0.0, 0.0, 0.3]), np.array([True, False, False])
    assert 0 < fit_threshold(scores, malignant, least_recall=1.0) < 1


@given(
    st.lists(st.tuples(st.integers(0, 256), st.booleans()), min_size=4, max_size=80).filter(
        lambda rows: len({malignant for _, malignant in rows}) == 2
    )
)
def test_no_threshold_among_the_scores_keeps_all_recall_and_separates_better(rows):
    scores, malignant = np.array([row[0] / 256 for row in rows]), np.array([row[1] for row in rows])
    least = float((scores[malignant] >= 0.5).mean())
    chosen = fit_threshold(scores, malignant, least)
    assert 0 < chosen < 1
    assert (scores[malignant] >= chosen).mean() >= least - 1e-9
    at = {t: (scores[malignant] >= t).mean() + (scores[~malignant] < t).mean() for t in (chosen, 0.5)}
    assert at[chosen] >= at[0.5] - 1e-9


def test_a_band_is_the_smallest_that_leaves_few_enough_errors():
    top = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    correct = np.array([False, True, False, True, True, True])
    low, high = fit_band(top, correct, None, target_error=0.0)
    assert (low, high) == (0.0, pytest.approx(0.7, abs=1e-5))
    assert fit_band(top, correct, None, target_error=0.21) == (0.0, pytest.approx(0.5, abs=1e-5))


def test_a_band_about_a_threshold_reaches_equally_far_to_both_sides():
    malignant_probability = np.array([0.05, 0.1, 0.35, 0.45, 0.9, 0.95])
    correct = np.array([True, True, True, False, True, True])
    low, high = fit_band(malignant_probability, correct, 0.4, target_error=0.0)
    assert (low, high) == (pytest.approx(0.35, abs=1e-5), pytest.approx(0.45, abs=1e-5))


def test_no_band_is_made_that_takes_the_verdict_of_half_the_images():
    top = np.linspace(0.5, 1, 10)
    correct = np.arange(10) < 6  # the surest are wrong
    assert fit_band(top, correct, None, target_error=0.0) is None
