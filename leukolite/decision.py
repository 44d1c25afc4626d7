"""From a network's probabilities to a verdict: temperature, threshold, abstention."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from leukolite.frozen import Frozen

ABSTAIN = "abstain"  # in the place of a label
SMALLEST_PROBABILITY = 1 / 512  # half a step of a uint8 softmax output: what a quantised 0 stands for


class Decision(Frozen):
    """How probabilities become a label; part of a bundle's manifest, fitted on the quantised model's outputs."""

    temperature: float = Field(default=1.0, gt=0, description="softmax temperature (Guo et al. 2017)")
    threshold: float | None = Field(
        default=None, gt=0, lt=1, description="two classes, one malignant: its least probability for a malignant verdict"
    )
    abstain: tuple[float, float] | None = Field(
        default=None, description="band of the deciding probability (the malignant one, else the top one) without a verdict"
    )

    @model_validator(mode="after")
    def _band_is_ordered(self) -> "Decision":
        if self.abstain is not None and not 0 <= self.abstain[0] <= self.abstain[1] <= 1:
            raise ValueError(f"abstain must be an ordered band within 0..1, found {self.abstain}")
        return self


UNCALIBRATED = Decision()


def calibrate(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at another softmax temperature: p ** (1 / temperature), normalised. Shape and order stay.

    With temperature 1 they are passed on as they are.
    """
    if temperature == 1.0:
        return probabilities
    powered = np.maximum(probabilities, SMALLEST_PROBABILITY) ** (1 / temperature)
    return powered / powered.sum(axis=-1, keepdims=True)


LOG_TEMPERATURE_SPREAD = 0.5  # temperatures from 0.6 to 1.65 are nothing unusual


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
    kept = recall >= min(least_recall, recall.max()) - 1e-9
    youden = np.where(kept, recall + specificity, -1.0)
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


def decide(probabilities: np.ndarray, decision: Decision, malignant: Sequence[int]) -> int | None:
    """The verdict's class index; None where the model abstains.

    Args:
        probabilities: calibrated, shape (classes,).
        malignant: indices of the malignant classes.
    """
    top = int(probabilities.argmax())
    deciding = float(probabilities[top])
    if decision.threshold is not None and len(probabilities) == 2 and len(malignant) == 1:
        deciding = float(probabilities[malignant[0]])
        top = malignant[0] if deciding >= decision.threshold else 1 - malignant[0]
    if decision.abstain is not None and decision.abstain[0] <= deciding <= decision.abstain[1]:
        return None
    return top
