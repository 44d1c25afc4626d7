import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.classes import Classes
from leukolite.convert.fitting import LEAST_FOR_FIT, ece, fit_band, fit_decision, fit_temperature, fit_threshold
from leukolite.decision import calibrate, decide

CLASSES = Classes.of(("healthy", "blast"), ("blast",))


def scores(n: int, seed: int, sharpness: float = 1.0, doubt: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and truths of a classifier whose probabilities are exact at sharpness 1 and too sure above."""
    rng = np.random.default_rng(seed)
    blast = rng.beta(doubt, doubt, n)
    truth = (rng.random(n) < blast).astype(int)
    return calibrate(np.column_stack([1 - blast, blast]), 1 / sharpness), truth


def fitted(outputs: np.ndarray, truth: np.ndarray, *, error: float = 0.02, abstains: bool = True):
    return fit_decision(outputs, outputs, truth, CLASSES, target_error=error, abstains=abstains)


def test_too_few_images_fit_nothing():
    outputs, truth = scores(LEAST_FOR_FIT - 1, 0, sharpness=2)
    decision, band = fitted(outputs, truth)
    assert (decision.temperature, decision.threshold, decision.abstain, band) == (1.0, 0.5, None, None)


def test_a_model_that_is_too_sure_is_calibrated_on_images_it_was_not_fitted_on():
    decision, _ = fitted(*scores(2000, 1, sharpness=2))
    outputs, truth = scores(2000, 2, sharpness=2)
    assert decision.temperature == pytest.approx(2, rel=0.2)
    assert ece(outputs, truth, decision.temperature) < ece(outputs, truth, 1.0) / 2


def test_the_threshold_keeps_the_float_models_recall():
    outputs, truth = scores(600, 3)
    shifted = outputs.copy()
    shifted[:, 1] *= 0.5  # quantisation that takes half of every malignant probability
    shifted[:, 0] = 1 - shifted[:, 1]
    decision, _ = fit_decision(shifted, outputs, truth, CLASSES, target_error=1.0, abstains=False)
    verdicts = np.array([decide(row, decision, [1]) for row in calibrate(shifted, decision.temperature)])
    least = (outputs[truth == 1, 1] >= 0.5).mean()
    assert (verdicts[truth == 1] == 1).mean() >= least
    assert (shifted[truth == 1].argmax(axis=1) == 1).mean() < least, "at one half it would be lost"


def test_the_band_leaves_at_most_the_errors_asked_for():
    outputs, truth = scores(800, 4, doubt=0.2)
    decision, band = fitted(outputs, truth, error=0.03)
    verdicts = [decide(row, decision, [1]) for row in calibrate(outputs, decision.temperature)]
    decided = [(v, t) for v, t in zip(verdicts, truth, strict=True) if v is not None]
    wrong = sum(v != t for v, t in decided)
    assert 0 < wrong / len(decided) <= 0.03
    assert (len(verdicts) - len(decided), wrong) == (band.abstained, band.errors_outside)
    assert band.errors_before > wrong


def test_a_band_is_in_force_only_where_it_was_asked_for():
    outputs, truth = scores(800, 4, doubt=0.2)
    decision, band = fitted(outputs, truth, error=0.03, abstains=False)
    assert decision.abstain is None
    assert band.band is not None
    assert not band.in_force


def test_a_model_without_errors_needs_no_band():
    truth = np.arange(100) % 2
    _, band = fitted(np.eye(2)[truth] * 0.8 + 0.1, truth)
    assert (band.band, band.errors_before) == (None, 0)


def test_several_classes_have_no_threshold():
    truth = np.arange(90) % 3
    outputs = np.eye(3)[truth] * 0.7 + 0.1
    decision, _ = fit_decision(outputs, outputs, truth, Classes.of(("a", "b", "c"), ("b", "c")), target_error=0.1, abstains=True)
    assert decision.threshold is None


# temperature, threshold and band, each by itself


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
