"""From truths and probabilities to accuracy, recall, specificity, F1, AUC, their 95% intervals, and calibration.

Plain NumPy, because a Pi must be able to compute them; the tests hold them against scikit-learn.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from pydantic import Field

from leukolite.classes import Classes
from leukolite.frozen import Frozen

BOOTSTRAP_RESAMPLES = 1000
_Z_95 = 1.959963984540054  # two-sided 95% quantile of the normal distribution

Interval = tuple[float, float]


class ClassMetrics(Frozen):
    """One class against the rest. A rate whose denominator is empty is None; see `class_metrics`."""

    label: str
    n: int
    precision: float
    recall: float | None
    recall_interval: Interval | None
    specificity: float | None
    specificity_interval: Interval | None
    f1: float
    auc: float | None
    accuracy: float | None = Field(
        default=None, description="share of all images rightly told to be of the class or not; None in older records too"
    )


class Metrics(Frozen):
    """How a classifier did on `n` images with a verdict.

    For two classes precision, recall, specificity, F1 and AUC are those of the `positive` class; for more they are
    macro averages over the classes that have images. Intervals are 95%: Wilson for rates, bootstrap for AUC.

    What is averaged over the classes stands beside it for two classes too, as some papers print it; records of before have none.
    """

    n: int
    abstained: int
    correct: int
    positive: str | None
    accuracy: float | None
    accuracy_interval: Interval | None
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    auc: float | None
    auc_interval: Interval | None
    ece: float | None = Field(description="expected calibration error, 15 bins")
    confusion: list[list[int]] = Field(description="row: truth, column: verdict, in the order of the labels")
    classes: list[ClassMetrics]
    balanced_accuracy: float | None = Field(default=None, description="mean recall of the classes that have images")
    macro_precision: float | None = Field(default=None, description="mean over the same classes")
    macro_recall: float | None = Field(default=None, description="the same as the balanced accuracy")
    macro_f1: float | None = None
    weighted_f1: float | None = Field(default=None, description="of the classes, weighted by their images")


def confusion_matrix(truth: np.ndarray, verdicts: np.ndarray, classes: int) -> np.ndarray:
    """Counts, shape (classes, classes); row: truth, column: verdict; both given as class indices."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth, verdicts), 1)
    return matrix


def balanced_accuracy(confusion: np.ndarray) -> float | None:
    """Mean recall of the classes that have images; None where there are none. `confusion` as of `confusion_matrix`."""
    n = confusion.sum(axis=1)
    return _mean([float(confusion[k, k] / n[k]) for k in range(len(n)) if n[k]])


def weighted_f1(confusion: np.ndarray) -> float | None:
    """F1 of each class, weighted by its number of images; None where there are none. `confusion` as of `confusion_matrix`.

    Source: the metric of the C-NMC 2019 challenge.
    """
    n, predicted, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    if not n.sum():
        return None
    f1 = 2 * hits / np.maximum(n + predicted, 1)
    return float((f1 * n).sum() / n.sum())


def wilson_interval(successes: int, n: int) -> Interval | None:
    """95% interval of a rate; None where n is 0. Source: Wilson 1927, JASA 22(158)."""
    if n == 0:
        return None
    rate, z2 = successes / n, _Z_95**2
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # both ends are exact, which sums of rounded terms are not
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def auc(is_positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        is_positive: bool, shape (n,).
        scores: float, shape (n,); higher means more likely positive.

    Returns:
        0..1, or None where one side is empty. Source: Mann and Whitney 1947.
    """
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[is_positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro_auc(truth: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean of the one-against-the-rest AUCs of the classes that have images; None where none is defined."""
    areas = [auc(truth == k, probabilities[:, k]) for k in range(probabilities.shape[1])]
    return _mean(areas)


def bootstrap_interval(statistic: Callable[[np.ndarray], float | None], n: int, *, seed: int = 0) -> Interval | None:
    """95% percentile interval of `statistic` over resamples of `n` images (Efron 1979).

    Args:
        statistic: takes image indices, shape (n,), drawn with replacement; may return None (left out).
    """
    rng = np.random.default_rng(seed)
    return percentile_interval(statistic(rng.integers(0, n, n)) for _ in range(BOOTSTRAP_RESAMPLES if n else 0))


def percentile_interval(draws: Iterable[float | None]) -> Interval | None:
    """The middle 95% of the draws that are defined; None where none is."""
    defined = [draw for draw in draws if draw is not None]
    if not defined:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> float | None:
    """Mean gap between confidence and accuracy, over equal-width confidence bins. Source: Guo et al. 2017.

    Args:
        truth: class indices, shape (n,).
        probabilities: shape (n, classes).
    """
    if len(truth) == 0:
        return None
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def class_metrics(confusion: np.ndarray, k: int, label: str, area: float | None) -> ClassMetrics:
    """Class `k` against the rest. Precision and F1 without any verdict for the class are 0, as scikit-learn has them."""
    hit = int(confusion[k, k])
    n, predicted = int(confusion[k].sum()), int(confusion[:, k].sum())
    others = int(confusion.sum()) - n
    rejected = others - (predicted - hit)
    return ClassMetrics(
        label=label,
        n=n,
        precision=hit / predicted if predicted else 0.0,
        recall=hit / n if n else None,
        recall_interval=wilson_interval(hit, n),
        specificity=rejected / others if others else None,
        specificity_interval=wilson_interval(rejected, others),
        f1=2 * hit / (n + predicted) if n + predicted else 0.0,
        auc=area,
        accuracy=(hit + rejected) / (n + others) if n + others else None,
    )


def compute_metrics(truth: Sequence[int], verdicts: Sequence[int | None], probabilities: np.ndarray, classes: Classes) -> Metrics:
    """All metrics of one set of verdicts.

    Args:
        truth: class indices, length n.
        verdicts: class indices, length n; None where the classifier abstained: counted, and left out of the rest.
        probabilities: shape (n, classes).
        classes: in the order of the probabilities; of two the positive one counts, of more all in macro averages.
    """
    labels, positive = classes.labels, classes.positive
    decided = [i for i, verdict in enumerate(verdicts) if verdict is not None]
    kept_truth = np.array([truth[i] for i in decided], dtype=int)
    kept_verdicts = np.array([verdicts[i] for i in decided], dtype=int)
    kept = np.asarray(probabilities, dtype=float).reshape(len(truth), len(labels))[decided]
    confusion = confusion_matrix(kept_truth, kept_verdicts, len(labels))
    rows = [class_metrics(confusion, k, label, auc(kept_truth == k, kept[:, k])) for k, label in enumerate(labels)]
    n, correct = len(decided), int(np.trace(confusion))

    def area(chosen: np.ndarray) -> float | None:
        if positive is None:
            return macro_auc(kept_truth[chosen], kept[chosen])
        k = list(labels).index(positive)
        return auc(kept_truth[chosen] == k, kept[chosen, k])

    averaged = [row for row in rows if row.n]
    present = averaged if positive is None else [row for row in rows if row.label == positive]
    return Metrics(
        n=n,
        abstained=len(verdicts) - n,
        correct=correct,
        positive=positive,
        accuracy=correct / n if n else None,
        accuracy_interval=wilson_interval(correct, n),
        precision=_mean([row.precision for row in present]) if n else None,
        recall=_mean([row.recall for row in present]),
        specificity=_mean([row.specificity for row in present]),
        f1=_mean([row.f1 for row in present]) if n else None,
        auc=area(np.arange(n)),
        auc_interval=bootstrap_interval(area, n),
        ece=expected_calibration_error(kept_truth, kept),
        confusion=confusion.tolist(),
        classes=rows,
        balanced_accuracy=balanced_accuracy(confusion),
        macro_precision=_mean([row.precision for row in averaged]),
        macro_recall=_mean([row.recall for row in averaged]),
        macro_f1=_mean([row.f1 for row in averaged]),
        weighted_f1=weighted_f1(confusion),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
