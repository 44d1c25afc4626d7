"""Is another way to feed a model clearly better on labelled pictures? What says that it is of no use is in the core."""

from collections.abc import Sequence

import numpy as np

from leukolite.errors import ConversionError

LEAST_GAIN, CHANCE = 0.05, 0.01  # of accuracy, and of a false alarm: another way to feed a model is clearly better
NOTED_GAIN, NOTED_CHANCE = 0.01, 0.05  # worth a line


class UselessModelError(ConversionError):
    """The labelled pictures speak against a model, or against what was said of it.

    Args:
        remedies: what was said and fits instead, each as (what: values, channels, crop, labels or positive; value); none: nothing
            that was tried fits.
    """

    def __init__(self, message: str, remedies: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.remedies = tuple(remedies)


def best_order(confusion: np.ndarray) -> tuple[int, ...]:
    """Which label each output would have to mean for most pictures to be right: index of the label, output by output."""
    from scipy.optimize import linear_sum_assignment

    _, labels = linear_sum_assignment(confusion.T, maximize=True)
    return tuple(int(label) for label in labels)


def chance_of_gain(was_right: np.ndarray, is_right: np.ndarray) -> float:
    """How likely equally good verdicts gain as much by chance: McNemar's exact test, one-sided.

    Args:
        was_right, is_right: of each picture, shape (n,).
    """
    from scipy.stats import binomtest

    gained, lost = int((is_right & ~was_right).sum()), int((was_right & ~is_right).sum())
    return float(binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue) if gained + lost else 1.0


def positive_of_sigmoid(probabilities: np.ndarray, truth: np.ndarray) -> tuple[int | None, float]:
    """Which of two classes one sigmoid stands for, by the pictures; None: they do not tell. And the area under the ROC curve of
    class 1.

    Args:
        probabilities: shape (n,).
        truth: 0 or 1, shape (n,), of both.
    """
    from scipy.stats import mannwhitneyu

    ones, zeros = probabilities[truth == 1], probabilities[truth == 0]
    result = mannwhitneyu(ones, zeros)
    area = float(result.statistic / (len(ones) * len(zeros)))
    tells = result.pvalue < CHANCE and abs(area - 0.5) >= 2 * LEAST_GAIN
    return int(area > 0.5) if tells else None, area
