"""What a picture looks like: the numbers stay with what they are not about, and move with what they are about."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.appearance import ImageStats, measure
from leukolite.manifest import RANGES
from leukolite.noise import add_gaussian_noise
from leukolite.synthetic import LABELS, render_cell, render_field

CELLS = [render_cell(np.random.default_rng(i), LABELS[i % 2], size=224) for i in range(60)]
STATS = [measure(cell) for cell in CELLS]
FIELD = render_field(np.random.default_rng(1), width=480, height=480).pixels

cells = st.sampled_from(CELLS)


def cut_out(cell: np.ndarray) -> np.ndarray:
    """The middle of a picture on black, as C-NMC's cells are."""
    mask = cv2.circle(np.zeros(cell.shape[:2], np.uint8), (112, 112), 45, 1, -1)
    return cell * mask[..., np.newaxis]


@given(cells)
def test_swapped_channels_turn_the_sign_of_red_over_blue_and_leave_the_stain(cell):
    right, swapped = measure(cell), measure(np.ascontiguousarray(cell[..., ::-1]))
    assert swapped.stain == pytest.approx(right.stain, abs=1e-4)
    assert swapped.red_over_blue == pytest.approx(-right.red_over_blue, abs=1e-4)


@given(cells, st.floats(0.6, 1.0))
def test_less_light_leaves_colour_and_focus_nearly_as_they_were(cell, factor):
    right, darker = measure(cell), measure(cv2.convertScaleAbs(cell, alpha=factor))
    assert darker.light == pytest.approx(factor * right.light, abs=2)
    assert darker.stain == pytest.approx(right.stain, abs=0.15)
    assert darker.red_over_blue == pytest.approx(right.red_over_blue, abs=0.15)
    assert darker.focus == pytest.approx(right.focus, abs=0.15)


@given(cells, st.integers(0, 3))
def test_a_turned_picture_looks_the_same(cell, turns):
    right, turned = measure(cell), measure(np.ascontiguousarray(np.rot90(cell, turns)))
    assert turned.light == right.light
    assert turned.focus == pytest.approx(right.focus, abs=0.02)
    assert turned.stain == pytest.approx(right.stain, abs=0.02)


@pytest.mark.parametrize("picture", [CELLS[0], CELLS[1], cut_out(CELLS[0]), FIELD], ids=["blast", "healthy", "cut out", "field"])
def test_more_blur_is_less_focus(picture):
    focus = [measure(picture).focus, *(measure(cv2.GaussianBlur(picture, (0, 0), sigma)).focus for sigma in (1.0, 2.0, 4.0))]
    assert focus == sorted(focus, reverse=True)


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_noise_never_makes_a_picture_look_blurred_nor_changes_its_stain_much(sigma):
    for i, cell in enumerate(CELLS[:10]):
        right, noisy = measure(cell), measure(add_gaussian_noise(cell, sigma, np.random.default_rng(i)))
        assert noisy.focus >= right.focus
        assert noisy.stain == pytest.approx(right.stain, abs=0.2)
        assert noisy.red_over_blue == pytest.approx(right.red_over_blue, abs=0.2)


def test_the_black_around_a_cell_is_not_taken_for_a_lack_of_light():
    alone = measure(cut_out(CELLS[0]))
    assert 0.1 < alone.lit < 0.2
    assert alone.light > 50


def test_noise_on_the_black_around_a_cell_stays_black():
    noisy = add_gaussian_noise(cut_out(CELLS[0]), 20.0, np.random.default_rng(0))
    assert measure(noisy).lit == pytest.approx(measure(cut_out(CELLS[0])).lit, abs=0.02)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_any_picture_has_finite_numbers(height, width, seed):
    rng = np.random.default_rng(seed)
    found = measure(rng.integers(0, rng.integers(1, 257), (height, width, 3), dtype=np.uint8))
    assert all(np.isfinite(getattr(found, name)) for name in (*RANGES, "contrast"))
    assert 0 <= found.lit <= 1
    assert 0 <= found.blown <= 1


def test_threads_that_measure_at_once_do_not_disturb_each_other():
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(measure, CELLS * 5)) == STATS * 5


def test_a_picture_that_is_measured_stays_as_it_is():
    for picture in (CELLS[0], np.ascontiguousarray(CELLS[0][:112, :112])):
        before = picture.copy()
        assert measure(picture) == measure(picture[::-1][::-1])
        assert np.array_equal(picture, before)


def test_a_picture_without_light_measures_as_nothing():
    assert measure(np.zeros((224, 224, 3), np.uint8)) == ImageStats(0, 0, 0, 0, 0, 0, 0)
