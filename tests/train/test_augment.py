import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.noise import add_gaussian_noise
from leukolite.train.augment import Augmentation, augment, restain

PICTURE = np.random.default_rng(0).integers(0, 256, (31, 24, 3), dtype=np.uint8)
EVERYTHING = Augmentation(
    noise_sigmas=(0, 3, 9),
    rotation=45,
    horizontal_flip=True,
    vertical_flip=True,
    shift=0.1,
    zoom=(0.8, 1.0),
    shear=3,
    brightness=(0.8, 1.2),
    stain=0.05,
    dyes=0.2,
)


def changed(spec: Augmentation, seed: int = 0, pixels: np.ndarray = PICTURE) -> np.ndarray:
    return augment(pixels, spec, np.random.default_rng(seed))


def test_the_defaults_change_nothing():
    assert np.array_equal(changed(Augmentation()), PICTURE)


def test_the_picture_given_is_left_as_it_was():
    before = PICTURE.copy()
    changed(EVERYTHING)
    changed(Augmentation())[:] = 0
    assert np.array_equal(PICTURE, before)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another():
    assert np.array_equal(changed(EVERYTHING, 3), changed(EVERYTHING, 3))
    assert not np.array_equal(changed(EVERYTHING, 3), changed(EVERYTHING, 4))


def ranges(low: float, high: float) -> st.SearchStrategy:
    return st.tuples(st.floats(low, high), st.floats(low, high)).map(lambda pair: tuple(sorted(pair)))


@given(
    st.builds(
        Augmentation,
        noise_sigmas=st.lists(st.floats(0, 255), min_size=1, max_size=3).map(tuple),
        rotation=st.floats(0, 180),
        horizontal_flip=st.booleans(),
        vertical_flip=st.booleans(),
        shift=st.floats(0, 0.99),
        zoom=ranges(0.05, 20),
        shear=st.floats(0, 44),
        brightness=ranges(0.01, 100),
        stain=st.floats(0, 0.99),
        dyes=st.floats(0, 0.99),
    ),
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_shape_and_type_stay_whatever_the_ranges(spec, seed, shape):
    result = changed(spec, seed, PICTURE[: shape[0], : shape[1]])
    assert (result.shape, result.dtype) == (PICTURE[: shape[0], : shape[1]].shape, np.uint8)


@pytest.mark.parametrize(
    ("spec", "mirrored"),
    [(Augmentation(horizontal_flip=True), PICTURE[:, ::-1]), (Augmentation(vertical_flip=True), PICTURE[::-1])],
    ids=["horizontal", "vertical"],
)
def test_a_mirror_mirrors_about_half_of_the_time_and_does_nothing_else(spec, mirrored):
    results = [changed(spec, seed) for seed in range(100)]
    flipped = sum(np.array_equal(result, mirrored) for result in results)
    kept = sum(np.array_equal(result, PICTURE) for result in results)
    assert flipped + kept == 100
    assert 30 <= flipped <= 70  # within 4 standard deviations of a half


def test_noise_alone_is_the_noise_of_the_rest_of_leukolite():
    rng = np.random.default_rng(5)
    clean = augment(PICTURE, Augmentation(), rng)  # draws all but the noise
    assert np.array_equal(changed(Augmentation(noise_sigmas=(9,)), 5), add_gaussian_noise(clean, 9, rng))


def test_noise_levels_come_in_equal_parts():
    levels = Augmentation(noise_sigmas=(0, 100))
    clean = sum(np.array_equal(changed(levels, seed), PICTURE) for seed in range(100))
    assert 30 <= clean <= 70


def test_brightness_multiplies_the_grey_levels():
    result = changed(Augmentation(brightness=(0.5, 0.5)))
    assert np.array_equal(result, np.rint(PICTURE * 0.5))


def test_bright_pictures_are_clipped_and_do_not_wrap():
    assert changed(Augmentation(brightness=(10, 10)), pixels=np.full((4, 4, 3), 200, np.uint8)).min() == 255


def test_a_stain_changes_the_channels_apart():
    grey = np.full((4, 4, 3), 100, np.uint8)
    red, green, blue = changed(Augmentation(stain=0.3), pixels=grey)[0, 0]
    assert len({int(red), int(green), int(blue)}) == 3


def test_zoom_below_one_enlarges():
    cell = np.zeros((101, 101, 3), np.uint8)
    cell[40:61, 40:61] = 255
    larger = changed(Augmentation(zoom=(0.5, 0.5)), pixels=cell)
    assert (larger > 127).sum() == pytest.approx(4 * (cell > 127).sum(), rel=0.1)


def test_a_turn_keeps_the_centre_in_the_centre():
    dot = np.zeros((101, 101, 3), np.uint8)
    dot[48:53, 48:53] = 255
    assert changed(Augmentation(rotation=180), pixels=dot)[50, 50].min() == 255


@pytest.mark.parametrize(
    "fields",
    [
        {"noise_sigmas": (-1,)},
        {"noise_sigmas": ()},
        {"noise_sigmas": (float("nan"),)},
        {"rotation": 181},
        {"shift": 1},
        {"shear": 45},
        {"stain": 1},
        {"zoom": (0, 1)},
        {"zoom": (1.0, 0.8)},
        {"brightness": (-1, 1)},
        {"brightness": (1, float("inf"))},
        {"colour": 1},
    ],
    ids=str,
)
def test_ranges_that_cannot_be_are_refused_before_the_first_picture(fields):
    with pytest.raises(ValidationError):
        Augmentation(**fields)


def test_the_same_amount_of_each_dye_changes_no_pixel_by_more_than_its_rounding():
    assert np.abs(restain(PICTURE, np.ones(3)).astype(int) - PICTURE).max() <= 1


@pytest.mark.parametrize("dye", [0, 1])
def test_more_of_a_dye_darkens_what_it_stains_and_leaves_glass_and_black_alone(dye):
    stained = np.array([[[90, 60, 150], [220, 120, 130], [255, 255, 255], [0, 0, 0]]], dtype=np.uint8)
    amounts = np.array([1.4 if k == dye else 1.0 for k in range(3)])
    darker = restain(stained, amounts)
    assert darker[0, dye].astype(int).sum() < stained[0, dye].astype(int).sum()
    assert np.array_equal(darker[0, 2:], stained[0, 2:])
