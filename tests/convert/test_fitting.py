import numpy as np
import pytest

from leukolite.convert.fitting import LEAST_FOR_FIT, ece, fit_decision
from leukolite.decision import calibrate, decide

LABELS, MALIGNANT = ["healthy", "blast"], ["blast"]


def scores(n: int, seed: int, sharpness: float = 1.0, doubt: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and truths of a classifier whose probabilities are exact at sharpness 1 and too sure above."""
    rng = np.random.default_rng(seed)
    blast = rng.beta(doubt, doubt, n)
    truth = (rng.random(n) < blast).astype(int)
    return calibrate(np.column_stack([1 - blast, blast]), 1 / sharpness), truth


def fitted(outputs: np.ndarray, truth: np.ndarray, *, error: float = 0.02, abstains: bool = True):
    return fit_decision(outputs, outputs, truth, LABELS, MALIGNANT, target_error=error, abstains=abstains)


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
    decision, _ = fit_decision(shifted, outputs, truth, LABELS, MALIGNANT, target_error=1.0, abstains=False)
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
    decision, _ = fit_decision(outputs, outputs, truth, ["a", "b", "c"], ["b", "c"], target_error=0.1, abstains=True)
    assert decision.threshold is None
