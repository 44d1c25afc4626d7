import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.noise import add_gaussian_noise, check_sigma, noise_rng

GREY = np.full((120, 120, 3), 128, np.uint8)


def noise(sigma: float, seed: int = 0, pixels: np.ndarray = GREY) -> np.ndarray:
    return add_gaussian_noise(pixels, sigma, np.random.default_rng(seed))


def test_sigma_zero_gives_an_equal_copy():
    copy = noise(0)
    assert np.array_equal(copy, GREY)
    assert copy is not GREY


def test_the_capture_itself_is_never_changed():
    pixels = GREY.copy()
    noise(10, pixels=pixels)
    assert np.array_equal(pixels, GREY)


def test_the_same_seed_gives_the_same_image_and_another_another():
    assert np.array_equal(noise(5, seed=1), noise(5, seed=1))
    assert not np.array_equal(noise(5, seed=1), noise(5, seed=2))


@pytest.mark.parametrize("sigma", [2, 5, 10, 25])
def test_mid_grey_keeps_its_mean_and_gains_sigma(sigma):
    noisy = noise(sigma).astype(float)
    assert abs(noisy.mean() - 128) < 0.2 * sigma / 2
    assert abs(noisy.std() - math.sqrt(sigma**2 + 1 / 12)) < 0.03 * sigma  # 1/12: rounding to whole levels


def test_each_channel_is_drawn_on_its_own():
    channels = noise(10).reshape(-1, 3).astype(float)
    correlations = np.corrcoef(channels.T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.05


@pytest.mark.parametrize("level", [0, 255])
def test_levels_are_clipped_and_never_wrap(level):
    noisy = noise(10, pixels=np.full_like(GREY, level)).astype(int)
    assert np.abs(noisy - level).max() < 60
    assert 0.4 < (noisy == level).mean() < 0.6


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 255), st.integers(0, 2**32))
def test_any_noise_keeps_shape_and_type(height, width, sigma, seed):
    noisy = noise(sigma, seed, np.zeros((height, width, 3), np.uint8))
    assert (noisy.shape, noisy.dtype) == ((height, width, 3), np.uint8)


@pytest.mark.parametrize("sigma", [-1, -1e-9, math.nan, math.inf, 256])
def test_a_sigma_that_noise_cannot_have_is_refused(sigma):
    with pytest.raises(ValueError, match="sigma must be a number from 0 to 255"):
        noise(sigma)


@pytest.mark.parametrize("sigma", [0, 0.5, 255])
def test_the_ends_of_the_range_are_allowed(sigma):
    assert check_sigma(sigma) == sigma


def test_pixels_that_are_not_bytes_are_refused():
    with pytest.raises(ValueError, match="expected uint8 pixels, found float64"):
        noise(1, pixels=GREY.astype(float))


def test_an_images_noise_does_not_depend_on_what_was_classified_before_it():
    alone = add_gaussian_noise(GREY, 5, noise_rng(0, 7, 5))
    for index in range(7):
        add_gaussian_noise(GREY, 5, noise_rng(0, index, 5))
    assert np.array_equal(add_gaussian_noise(GREY, 5, noise_rng(0, 7, 5)), alone)


@pytest.mark.parametrize("other", [(1, 7, 5.0), (0, 8, 5.0), (0, 7, 5.001)])
def test_seed_image_and_sigma_each_give_their_own_noise(other):
    assert noise_rng(0, 7, 5.0).integers(2**60) != noise_rng(*other).integers(2**60)


def test_noise_on_strips_is_the_noise_on_the_whole():
    pixels = np.random.default_rng(0).integers(0, 256, (1201, 1203, 3), np.uint8)
    whole = np.random.default_rng(5).standard_normal(pixels.shape, dtype=np.float32) * np.float32(10) + pixels
    assert np.array_equal(
        add_gaussian_noise(pixels, 10, np.random.default_rng(5)), np.clip(np.rint(whole), 0, 255).astype(np.uint8)
    )
