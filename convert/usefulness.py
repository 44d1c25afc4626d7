"""Is a model of use on labelled pictures, and is another way to feed it clearly better? Arithmetic on confusion matrices."""

from collections.abc import Sequence

import numpy as np

from leukolite.classes import Classes
from leukolite.errors import ConversionError
from leukolite.metrics import wilson_interval
from leukolite.wording import percent

INFORMED = 0.5  # share of the way from chance to always right, in balanced accuracy, that makes a model of use in any case
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


def accuracy_of(confusion: np.ndarray) -> float:
    """Share of the pictures that are right."""
    return float(np.trace(confusion) / confusion.sum())


def informedness(confusion: np.ndarray) -> float:
    """Balanced accuracy of the classes that have pictures, from chance (0) to always right (1); below 0: worse than chance."""
    rows = confusion.sum(axis=1) > 0
    recalls = np.diag(confusion)[rows] / confusion[rows].sum(axis=1)
    chance = 1 / max(len(recalls), 2)
    return float((recalls.mean() - chance) / (1 - chance))


def uselessness(confusion: np.ndarray, classes: Classes) -> str | None:
    """Why a model is of no use on these pictures; None: it is of use.

    It is of none where it finds no picture of a malignant class, or none of all malignant ones; and where it is no better than
    always saying the commonest class: the lower end of its accuracy's 95% interval is not above that class's share. A model
    whose balanced accuracy is far above chance, and surely above it, is of use all the same: of very uneven classes always
    saying the commonest is right so often that a good model can lose to it; and of few pictures, where no interval is narrow, one
    that is right more often than that, and surely more often than by chance.

    Args:
        confusion: row truth, column verdict.
    """
    counts, n = confusion.sum(axis=1), int(confusion.sum())
    malignant = [k for k in classes.malignant_indices if counts[k]]
    missed = [f"0 of {counts[k]} pictures of {classes.labels[k]}" for k in malignant if not confusion[k, k]]
    found = int(confusion[np.ix_(malignant, classes.malignant_indices)].sum())
    right = f"is right on {percent(accuracy_of(confusion))} of {n} labelled pictures"
    if len(malignant) > 1 and not found:
        return f"{right} and gives 0 of {counts[malignant].sum()} pictures of malignant classes a malignant label"
    if missed:
        return f"{right} and recognises {' and '.join(missed)}"
    common = int(counts.argmax())
    if _lowest(int(np.trace(confusion)), n) > counts[common] / n:
        return None
    is_sure, right_more = _beats_chance(confusion), np.trace(confusion) - counts[common]
    if (informedness(confusion) >= INFORMED and (is_sure or right_more >= 0)) or (is_sure and right_more > 0):
        return None
    always = f"the {percent(counts[common] / n)} of always saying {classes.labels[common]}"
    return f"{right}, which is not more than chance above {always}"


def _beats_chance(confusion: np.ndarray) -> bool:
    """Whether more verdicts are right than where the same verdicts meet the pictures in any order, at 2.5%.

    Source: mean and variance of a linear permutation statistic, Hoeffding 1951; with a correction for continuity.
    """
    n, truths, verdicts = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    mean = float(truths @ verdicts / n)
    spread = np.eye(len(truths)) - verdicts[:, np.newaxis] / n - truths[np.newaxis] / n + mean / n
    variance = float((np.outer(truths, verdicts) * spread**2).sum() / (n - 1)) if n > 1 else 0.0
    return bool(np.trace(confusion) - mean - 0.5 > 1.96 * variance**0.5)


def _lowest(right: int, n: int) -> float:
    """Lower end of the 95% interval of a share; 0 of no picture."""
    interval = wilson_interval(right, n)
    return 0.0 if interval is None else interval[0]


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
