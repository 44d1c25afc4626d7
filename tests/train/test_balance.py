"""Balancing shows the smaller class's training images once more, without colour, and no others."""

import numpy as np

from leukolite.train.balance import desaturate, doubled


def test_a_desaturated_image_is_grey_and_keeps_its_value() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    grey = desaturate(pixels)
    assert (grey == grey[..., :1]).all()
    assert (grey[..., 0] == pixels.max(axis=2)).all()


def test_the_papers_training_part_is_doubled_from_791_to_1582() -> None:
    truth = np.array([0] * 1677 + [1] * 791 + [1] * 113)
    copies = doubled(truth, range(1677 + 791))
    assert len(copies) == 791
    assert {int(truth[i]) for i in copies} == {1}


def test_a_class_that_would_overtake_is_left_alone() -> None:
    assert doubled(np.array([0] * 10 + [1] * 6), range(16)) == []
