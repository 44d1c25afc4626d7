import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.preprocess import InputSpec, crop_and_resize, input_table, to_input

SPEC = InputSpec(height=32, width=32)


def random_pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_frame_of_the_networks_size_passes_through_unchanged():
    pixels = random_pixels(32, 32)
    assert np.array_equal(crop_and_resize(pixels, SPEC), pixels)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(32, 48, 0, 8), (47, 32, 7, 0), (32, 35, 0, 1)])
def test_the_square_is_cut_from_the_centre(height, width, top, left):
    pixels = random_pixels(height, width)
    assert np.array_equal(crop_and_resize(pixels, SPEC), pixels[top : top + 32, left : left + 32])


def test_the_crop_fraction_is_of_the_shorter_side():
    pixels = random_pixels(40, 50)
    spec = InputSpec(height=32, width=32, crop_fraction=0.8)
    assert np.array_equal(crop_and_resize(pixels, spec), pixels[4:36, 9:41])


def test_shrinking_averages_whole_blocks():
    pixels = random_pixels(64, 64)
    blocks = pixels.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(crop_and_resize(pixels, SPEC) - blocks).max() <= 0.5


@given(st.integers(33, 90), st.integers(0, 9))
def test_shrinking_keeps_the_mean(side, seed):
    pixels = random_pixels(side, side, seed)
    assert abs(crop_and_resize(pixels, SPEC).mean() - pixels.mean()) < 0.5


@pytest.mark.parametrize("side", [16, 32, 100])
def test_channels_keep_their_order(side):
    pixels = np.full((side, side, 3), (10, 20, 30), np.uint8)
    assert (crop_and_resize(pixels, SPEC) == (10, 20, 30)).all()


@given(st.integers(1, 70), st.integers(1, 70), st.integers(8, 40), st.integers(8, 40), st.floats(0.01, 1))
def test_any_size_becomes_the_networks_within_the_captures_levels(height, width, to_height, to_width, crop_fraction):
    pixels = random_pixels(height, width)
    spec = InputSpec(height=to_height, width=to_width, crop_fraction=crop_fraction)
    resized = crop_and_resize(pixels, spec)
    assert (resized.shape, resized.dtype) == ((to_height, to_width, 3), np.uint8)
    assert resized.flags.c_contiguous
    assert pixels.min() <= resized.min() <= resized.max() <= pixels.max()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32, 3), np.float32),
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((1, 32, 32, 3), np.uint8),
        np.zeros((0, 32, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype} {pixels.shape}",
)
def test_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(ValueError, match=r"expected uint8 pixels of shape \(h, w, 3\), found"):
        crop_and_resize(pixels, SPEC)


def test_raw_bytes_need_no_table():
    assert input_table(SPEC, "uint8", 1 / 255, 0) is None


def test_an_int8_input_of_the_same_range_is_the_grey_level_less_128():
    table = input_table(SPEC, "int8", 1 / 255, -128)
    assert table.dtype == np.int8
    assert np.array_equal(table, np.arange(256) - 128)


def test_a_float_input_is_scaled_and_offset():
    spec = InputSpec(height=32, width=32, scale=1 / 127.5, offset=-1)
    table = input_table(spec, "float32", 1.0, 0)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, np.arange(256) / 127.5 - 1, atol=1e-6)


@given(
    st.sampled_from(["uint8", "int8", "int16"]), st.floats(1e-4, 2), st.floats(-3, 3), st.floats(1e-4, 2), st.integers(-128, 127)
)
def test_quantised_levels_round_then_clip(dtype, scale, offset, quantum, zero_point):
    table = input_table(InputSpec(height=32, width=32, scale=scale, offset=offset), dtype, quantum, zero_point)
    table = np.arange(256) if table is None else table
    limits = np.iinfo(dtype)
    exact = np.clip((np.arange(256) * scale + offset) / quantum + zero_point, limits.min, limits.max)
    assert np.abs(table - exact).max() <= 0.5 + 1e-6


def test_the_table_is_applied_after_the_resize_and_a_batch_axis_added():
    pixels = random_pixels(64, 64)
    table = input_table(SPEC, "int8", 1 / 255, -128)
    batch = to_input(pixels, SPEC, table)
    assert (batch.shape, batch.dtype) == ((1, 32, 32, 3), np.int8)
    assert np.array_equal(batch[0], crop_and_resize(pixels, SPEC).astype(int) - 128)


def test_without_a_table_the_resized_bytes_go_in():
    pixels = random_pixels(64, 64)
    assert np.array_equal(to_input(pixels, SPEC, None)[0], crop_and_resize(pixels, SPEC))


@pytest.mark.parametrize(
    "change", [{"crop_fraction": 0}, {"crop_fraction": 1.1}, {"height": 4}, {"scale": 0}, {"channels": "BGR"}, {"mean": 1}]
)
def test_a_spec_out_of_range_is_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        InputSpec(**{"height": 32, "width": 32, **change})
