import colorsys

import numpy as np

from leukolite.train.balance import desaturate, doubled


def test_desaturated_is_the_brightest_channel_three_times():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    value = [colorsys.rgb_to_hsv(*(pixel / 255))[2] * 255 for pixel in pixels.reshape(-1, 3)]
    assert np.array_equal(desaturate(pixels).reshape(-1, 3), np.rint(np.stack([value] * 3, axis=1)))


def test_a_class_is_doubled_where_the_largest_has_twice_its_images():
    truth = np.array([0] * 8 + [1] * 4 + [2] * 5)
    assert doubled(truth, range(17)) == [8, 9, 10, 11]


def test_only_the_training_part_counts():
    truth = np.array([0] * 8 + [1] * 8)
    assert doubled(truth, [0, 1, 2, 3, 8, 9]) == [8, 9]


def test_the_paper_doubles_the_healthy_cells():
    truth = np.array([0] * 1677 + [1] * 791)
    assert len(doubled(truth, range(len(truth)))) == 791


def test_nothing_is_doubled_where_classes_are_alike():
    assert doubled(np.array([0, 0, 1, 1]), range(4)) == []
