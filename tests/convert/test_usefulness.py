"""Which label an output means and what a sigmoid stands for, as labelled pictures tell it."""

import numpy as np
import pytest

from leukolite.convert.usefulness import best_order, chance_of_gain, positive_of_sigmoid


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 3, 0), (3, 2, 1, 0)])
def test_the_order_of_the_labels_is_read_from_the_confusion(order):
    confusion = np.zeros((4, 4), int)
    for output, label in enumerate(order):
        confusion[label, output] = 40
    confusion += 2
    assert best_order(confusion) == order


def test_a_gain_on_few_pictures_may_be_chance():
    right, wrong = np.ones(5, bool), np.zeros(5, bool)
    assert chance_of_gain(wrong, right) == pytest.approx(1 / 32)
    assert chance_of_gain(right, right) == 1
    assert chance_of_gain(right, wrong) == 1


def test_the_pictures_tell_what_a_sigmoid_means_or_do_not():
    truth = np.repeat([0, 1], 30)
    rng = np.random.default_rng(0)
    probabilities = np.clip(0.3 * truth + rng.uniform(0.2, 0.5, 60), 0, 1)
    assert positive_of_sigmoid(probabilities, truth)[0] == 1
    assert positive_of_sigmoid(1 - probabilities, truth)[0] == 0
    assert positive_of_sigmoid(rng.uniform(0, 1, 60), truth)[0] is None
    assert positive_of_sigmoid(np.full(60, 0.5), truth) == (None, 0.5)
    assert positive_of_sigmoid(np.array([0.1, 0.9]), np.array([0, 1]))[0] is None
