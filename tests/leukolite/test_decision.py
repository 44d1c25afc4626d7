import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from leukolite.decision import UNCALIBRATED, Decision, calibrate, decide

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
