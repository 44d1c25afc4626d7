import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leukolite.synthetic import render_cell
from leukolite.train.duplicates import group, near_duplicates


def cells(count: int) -> list[np.ndarray]:
    return [render_cell(np.random.default_rng(i), ("blast", "healthy")[i % 2], size=96) for i in range(count)]


def saved_as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def test_no_images_have_no_pairs():
    assert near_duplicates(np.empty((0, 8, 8, 3), np.uint8)) == []


def test_the_same_picture_saved_again_is_found_and_other_cells_are_not():
    pictures = cells(6)
    pictures += [pictures[2].copy(), saved_as_jpeg(pictures[4], 60)]
    pairs = near_duplicates(np.stack(pictures))
    assert pairs == [(2, 6), (4, 7)]


def test_a_flat_picture_is_no_error():
    near_duplicates(np.zeros((2, 32, 32, 3), np.uint8))


def test_what_belongs_together_through_a_third_is_one_group():
    groups = group(5, [(0, 1), (1, 2)])
    assert groups[0] == groups[1] == groups[2]
    assert len({int(g) for g in groups}) == 3


def test_images_of_one_key_are_one_group_and_none_joins_nothing():
    groups = group(4, [], [["a", None, "a", None]])
    assert groups[0] == groups[2]
    assert len({int(g) for g in groups}) == 3


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_numbered_from_zero_and_hold_every_pair(pairs):
    groups = group(20, pairs)
    assert groups.shape == (20,)
    assert set(groups.tolist()) == set(range(groups.max() + 1))
    assert all(groups[i] == groups[j] for i, j in pairs)
