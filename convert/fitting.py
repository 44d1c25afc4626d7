"""Temperature, threshold and abstain band of a converted model, fitted on its own outputs of the validation part."""

import numpy as np

from leukolite.classes import Classes
from leukolite.decision import Decision, calibrate, decide
from leukolite.manifest import BandFit
from leukolite.metrics import expected_calibration_error

LEAST_FOR_FIT = 50  # images; with fewer a fitted number says more about chance than about the model
LOG_TEMPERATURE_SPREAD = 0.5  # temperatures from 0.6 to 1.65 are nothing unusual


def fit_decision(
    outputs: np.ndarray, floats: np.ndarray, truth: np.ndarray, classes: Classes, *, target_error: float, abstains: bool
) -> tuple[Decision, BandFit | None]:
    """Fit a decision.

    The threshold, of two classes with one malignant, keeps the recall that the float model has at one half; with fewer than
    `LEAST_FOR_FIT` images it is one half, the temperature 1, and there is no band.

    Args:
        outputs: the converted model's probabilities of the validation part at sigma 0, shape (n, classes).
        floats: the float model's, of the same shape.
        truth: class indices, shape (n,).
        target_error: share of wrong verdicts outside the abstain band.
        abstains: put the band in force.
    """
    indices = classes.malignant_indices
    has_threshold = len(classes) == 2 and len(indices) == 1
    if len(truth) < LEAST_FOR_FIT:
        return Decision(threshold=0.5 if has_threshold else None), None
    temperature = fit_temperature(outputs, truth)
    calibrated = calibrate(outputs, temperature)
    threshold = None
    if has_threshold:
        is_malignant = truth == indices[0]
        threshold = 0.5
        if 0 < is_malignant.sum() < len(truth):
            least = float((floats[is_malignant, indices[0]] >= 0.5).mean())
            threshold = round(fit_threshold(calibrated[:, indices[0]], is_malignant, least), 6)
    decision = Decision(temperature=temperature, threshold=threshold)
    verdicts = np.array([decide(row, decision, indices) for row in calibrated])
    deciding = calibrated.max(axis=1) if threshold is None else calibrated[:, indices[0]]
    band = fit_band(deciding, verdicts == truth, threshold, target_error)
    inside = np.zeros(len(truth), bool) if band is None else (deciding >= band[0]) & (deciding <= band[1])
    fitted = BandFit(
        target_error=target_error,
        band=band,
        n=len(truth),
        abstained=int(inside.sum()),
        errors_before=int((verdicts != truth).sum()),
        errors_outside=int((verdicts != truth)[~inside].sum()),
        in_force=abstains and band is not None,
    )
    return decision.model_copy(update={"abstain": band if fitted.in_force else None}), fitted


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The most probable temperature, between 0.05 and 20 (golden-section search on its logarithm).

    Its logarithm is expected to be 0 +- `LOG_TEMPERATURE_SPREAD`: some hundred images outweigh that by far, but a model
    without an error on them, whose likelihood only grows as the temperature falls, is not called certain of everything.

    Args:
        probabilities: the quantised model's outputs, shape (n, classes).
        truth: class indices, shape (n,).
    """

    def loss(log_temperature: float) -> float:
        calibrated = calibrate(probabilities, float(np.exp(log_temperature)))
        surprise = float(-np.log(calibrated[np.arange(len(truth)), truth]).sum())
        return surprise + (log_temperature / LOG_TEMPERATURE_SPREAD) ** 2 / 2

    low, high = np.log(0.05), np.log(20.0)
    ratio = (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 4)


def fit_threshold(malignant_probability: np.ndarray, is_malignant: np.ndarray, least_recall: float) -> float:
    """The threshold of greatest Youden index (Youden 1950) among those that keep the recall; of equals the nearest to 0.5.

    Args:
        malignant_probability: calibrated outputs of the quantised model, shape (n,).
        is_malignant: bool, shape (n,), with both sides present.
        least_recall: of the malignant class, 0 to 1: what the float model has on these images. Where no threshold
            reaches it, the greatest recall that there is.

    Returns:
        Between 0 and 1, both excluded.
    """
    scores = np.unique(malignant_probability)
    candidates = np.unique([0.5, *(scores[:-1] + scores[1:]) / 2, scores[0] / 2, (scores[-1] + 1) / 2])
    candidates = candidates[(candidates > 0) & (candidates < 1)]
    called = malignant_probability >= candidates[:, np.newaxis]
    recall, specificity = called[:, is_malignant].mean(axis=1), (~called[:, ~is_malignant]).mean(axis=1)
    keeps_recall = recall >= min(least_recall, recall.max()) - 1e-9
    youden = np.where(keeps_recall, recall + specificity, -1.0)
    best = candidates[youden >= youden.max() - 1e-9]
    return float(best[np.abs(best - 0.5).argmin()])


def fit_band(
    deciding: np.ndarray, is_correct: np.ndarray, threshold: float | None, target_error: float
) -> tuple[float, float] | None:
    """The smallest abstain band with at most `target_error` wrong verdicts among those outside it.

    With a threshold the band reaches equally far to both sides of it; without one it is all top probabilities up to a
    bound. The error rate is that of the images given, not a promise: its interval is as wide as they are few.

    Args:
        deciding: calibrated, shape (n,): the malignant probability where there is a threshold, else the top one.
        is_correct: bool, shape (n,), of the verdicts without abstention.
        target_error: share of the verdicts outside the band, 0 to 1.

    Returns:
        A band for `Decision.abstain`; None where none is needed, or none leaves half of the images a verdict.
    """
    distance = deciding if threshold is None else np.abs(deciding - threshold)
    if (~is_correct).mean() <= target_error:
        return None
    for reach in np.unique(distance[~is_correct]):
        outside = distance > reach
        if outside.sum() < len(distance) / 2:
            return None
        if (~is_correct[outside]).mean() <= target_error:
            reach = float(reach) + 1e-6  # the band includes its ends, whatever the rounding
            if threshold is None:
                return 0.0, min(1.0, reach)
            return max(0.0, threshold - reach), min(1.0, threshold + reach)
    return None


def ece(outputs: np.ndarray, truth: np.ndarray, temperature: float) -> float | None:
    """Expected calibration error of probabilities, shape (n, classes), at a temperature."""
    return expected_calibration_error(truth, calibrate(outputs, temperature))
