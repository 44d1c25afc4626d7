"""Copies of one image are found, different images are not taken for copies, and groups are transitive."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leukolite.synthetic import LABELS, render_cell
from leukolite.train.duplicates import group, near_duplicates


def cells(n: int) -> np.ndarray:
    return np.stack([render_cell(np.random.default_rng(i), LABELS[i % 2], size=64) for i in range(n)])


def test_different_cells_are_no_copies() -> None:
    assert near_duplicates(cells(12)) == []


def test_a_recompressed_copy_is_found() -> None:
    pictures = cells(6)
    _, data = cv2.imencode(".jpg", pictures[4], [cv2.IMWRITE_JPEG_QUALITY, 80])
    pictures[1] = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert near_duplicates(pictures) == [(1, 4)]


def test_a_slightly_brighter_copy_is_found() -> None:
    pictures = cells(6)
    pictures[5] = np.clip(pictures[2] * 1.05 + 3, 0, 255).astype(np.uint8)
    assert near_duplicates(pictures) == [(2, 5)]


def test_no_images_have_no_copies() -> None:
    assert near_duplicates(np.empty((0, 8, 8, 3), np.uint8)) == []


def test_groups_join_pairs_and_keys_transitively() -> None:
    groups = group(6, [(0, 1)], [["a", "b", "b", None, None, "c"]])
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 4


def test_a_missing_key_joins_nothing() -> None:
    assert len(set(group(4, [], [[None] * 4]).tolist())) == 4


@given(st.integers(1, 20), st.data())
def test_every_pair_ends_in_one_group(n: int, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30))
    groups = group(n, pairs)
    assert all(groups[i] == groups[j] for i, j in pairs)
