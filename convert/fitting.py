"""Temperature, threshold and abstain band of a converted model, fitted on its own outputs of the validation part."""

from collections.abc import Sequence

import numpy as np

from leukolite.decision import Decision, calibrate, decide, fit_band, fit_temperature, fit_threshold
from leukolite.manifest import BandFit
from leukolite.metrics import expected_calibration_error

LEAST_FOR_FIT = 50  # images; with fewer a fitted number says more about chance than about the model


def fit_decision(
    outputs: np.ndarray,
    floats: np.ndarray,
    truth: np.ndarray,
    labels: Sequence[str],
    malignant: Sequence[str],
    *,
    target_error: float,
    abstains: bool,
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
    indices = [list(labels).index(label) for label in malignant]
    has_threshold = len(labels) == 2 and len(malignant) == 1
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


def ece(outputs: np.ndarray, truth: np.ndarray, temperature: float) -> float | None:
    """Expected calibration error of probabilities, shape (n, classes), at a temperature."""
    return expected_calibration_error(truth, calibrate(outputs, temperature))
