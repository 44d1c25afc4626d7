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
