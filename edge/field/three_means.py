"""Exact k-means with K = 3 on 8-bit values: the best of all pairs of thresholds, by prefix sums of the histogram.

The clusters of one-dimensional k-means are intervals (Fisher 1958, On Grouping for Maximum Homogeneity), so the best of the
some 32,000 pairs is the optimum that Farag et al. 2025 (IAENG Engineering Letters) look for by iteration. As it is exact, the
same picture gives the same cells.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_LEVELS = 256


@dataclass(frozen=True, slots=True)
class ThreeMeans:
    """Three clusters of levels: up to `low`, from there up to `high`, and above.

    Attributes:
        centres: the clusters' means, ascending.
    """

    low: int
    high: int
    centres: tuple[float, float, float]


def three_means(histogram: np.ndarray) -> ThreeMeans | None:
    """The three clusters with the least sum of squared distances to their means.

    Args:
        histogram: counts of the levels 0..255, shape (256,).

    Returns:
        None where fewer than three levels occur.
    """
    if np.count_nonzero(histogram) < 3:
        return None
    counts = np.concatenate(([0.0], np.cumsum(histogram, dtype=np.float64)))
    sums = np.concatenate(([0.0], np.cumsum(histogram * np.arange(_LEVELS, dtype=np.float64))))
    first, last = _explained(counts, sums, 0, _CUTS), _explained(counts, sums, _CUTS, _LEVELS)
    between = _explained(counts, sums, _CUTS[:, None], _CUTS[None, :])
    total = np.where(_CUTS[:, None] < _CUTS[None, :], first[:, None] + between + last[None, :], -1.0)
    low, high = (int(cut) for cut in np.unravel_index(int(total.argmax()), total.shape))
    edges = (0, low, high, _LEVELS)
    means = [(sums[b] - sums[a]) / (counts[b] - counts[a]) for a, b in pairwise(edges)]
    return ThreeMeans(low - 1, high - 1, (float(means[0]), float(means[1]), float(means[2])))


_CUTS = np.arange(_LEVELS)


def _explained(counts: np.ndarray, sums: np.ndarray, start: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
    """(sum of the levels)^2 / count of each interval [start, stop): the more of it, the less is left within; -inf if empty."""
    n = counts[stop] - counts[start]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 0, (sums[stop] - sums[start]) ** 2 / n, -np.inf)
