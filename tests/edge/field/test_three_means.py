"""Exact k-means of 8-bit values."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leukolite.edge.field.three_means import three_means


def spread(levels: list[int], cuts: tuple[int, int]) -> float:
    """Sum of squared distances to the cluster means, in plain arithmetic."""
    low, high = cuts
    clusters = [[v for v in levels if v <= low], [v for v in levels if low < v <= high], [v for v in levels if v > high]]
    return sum(sum((v - sum(c) / len(c)) ** 2 for v in c) for c in clusters if c)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=25).filter(lambda levels: len(set(levels)) >= 3))
def test_no_other_pair_of_thresholds_does_better(levels):
    found = three_means(np.bincount(levels, minlength=256))
    assert found is not None
    best = min(spread(levels, cuts) for cuts in itertools.combinations(sorted(set(levels)), 2))
    assert abs(spread(levels, (found.low, found.high)) - best) < 1e-6 * max(best, 1)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=25).filter(lambda levels: len(set(levels)) >= 3))
def test_the_centres_are_the_clusters_means_in_order(levels):
    found = three_means(np.bincount(levels, minlength=256))
    assert found is not None
    low = [v for v in levels if v <= found.low]
    middle = [v for v in levels if found.low < v <= found.high]
    high = [v for v in levels if v > found.high]
    assert np.allclose(found.centres, [np.mean(low), np.mean(middle), np.mean(high)])


def test_fewer_than_three_levels_have_no_three_clusters():
    assert three_means(np.bincount([7, 7, 9], minlength=256)) is None
    assert three_means(np.zeros(256)) is None
