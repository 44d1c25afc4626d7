import math
import platform
from fractions import Fraction
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolite.preprocess import Crop, InputSpec, crop_and_resize, input_table, to_input

SPEC = InputSpec(height=32, width=32)
KERNELS = get_args(InputSpec.model_fields["kernel"].annotation)
HALVING = InputSpec(height=32, width=32, kernel="halve-linear")


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
def test_shrinking_by_area_keeps_the_mean(side, seed):
    pixels = random_pixels(side, side, seed)
    assert abs(crop_and_resize(pixels, SPEC).mean() - pixels.mean()) < 0.5


@given(st.integers(0, 4), st.integers(0, 9))
def test_a_halving_changes_the_mean_by_less_than_a_quarter_of_a_level(halvings, seed):
    side = 32 << halvings
    pixels = random_pixels(side, side, seed)
    assert 0 <= round(crop_and_resize(pixels, HALVING).mean() - pixels.mean(), 6) <= 0.25 * halvings


@given(st.sampled_from(KERNELS), st.integers(1, 200), st.integers(0, 255))
def test_a_constant_picture_stays_constant(kernel, side, level):
    pixels = np.full((side, side, 3), (level, 20, 255 - level), np.uint8)  # the channels keep their order, too
    assert (crop_and_resize(pixels, SPEC.model_copy(update={"kernel": kernel})) == pixels[0, 0]).all()


sides = st.integers(1, 300)
specs = st.builds(
    InputSpec,
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    crop_fraction=st.floats(0.01, 1),
    kernel=st.sampled_from(KERNELS),
)


@given(sides, sides, specs)
def test_any_size_becomes_the_networks_within_the_captures_levels(height, width, spec):
    pixels = random_pixels(height, width)
    resized = crop_and_resize(pixels, spec)
    assert (resized.shape, resized.dtype) == ((spec.height, spec.width, 3), np.uint8)
    assert resized.flags.c_contiguous
    assert pixels.min() <= resized.min() <= resized.max() <= pixels.max()


@given(sides, sides, specs)
def test_area_is_opencvs_resize_of_the_square(height, width, spec):
    spec = spec.model_copy(update={"kernel": "area"})
    pixels = random_pixels(height, width)
    side = max(1, round(min(height, width) * spec.crop_fraction))
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    kernel = cv2.INTER_AREA if side >= max(spec.height, spec.width) else cv2.INTER_LINEAR
    assert np.array_equal(crop_and_resize(pixels, spec), cv2.resize(square, (spec.width, spec.height), interpolation=kernel))


def interpolated(pixels: np.ndarray, target: int, *, stops_at_edge: bool) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sums along axis 0: first pixels' and second pixels' part, in 2048ths, each shape (target, ...)."""
    source = len(pixels)
    position = ((np.arange(target) + 0.5) / (target / source) - 0.5).astype(np.float32)
    first = np.floor(position).astype(int)
    part = position - first.astype(np.float32)
    if stops_at_edge:
        part[(first < 0) | (first >= source - 1)] = 0
    weights = [np.rint(share * np.float32(2048)).astype(int) for share in (1 - part, part)]
    shape = (-1, *[1] * (pixels.ndim - 1))
    columns = [pixels[np.clip(first + i, 0, source - 1)] for i in (0, 1)]
    if stops_at_edge:
        columns[0] = pixels[np.clip(first, 0, source - 1)]
    return columns[0] * weights[0].reshape(shape), columns[1] * weights[1].reshape(shape)


def halved_then_interpolated(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """The kernel `halve-linear` as docs/reference/bundle.md defines it, in integers, without OpenCV."""
    height, width = pixels.shape[:2]
    side, halvings = max(1, round(min(height, width) * spec.crop_fraction)), 0
    while side >= 2 ** (halvings + 1) * max(spec.height, spec.width):
        halvings += 1
    side -= side % 2**halvings
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side].astype(int)
    for _ in range(halvings):
        square = (square[0::2, 0::2] + square[1::2, 0::2] + square[0::2, 1::2] + square[1::2, 1::2] + 2) >> 2
    if square.shape[:2] != (spec.height, spec.width):
        along = np.add(*interpolated(square.swapaxes(0, 1), spec.width, stops_at_edge=True)).swapaxes(0, 1)
        upper, lower = interpolated(along >> 4, spec.height, stops_at_edge=False)
        square = ((upper >> 16) + (lower >> 16) + 2) >> 2
    return square.astype(np.uint8)


@given(sides, sides, specs)
def test_halve_linear_is_its_definition_in_integers(height, width, spec):
    spec = spec.model_copy(update={"kernel": "halve-linear"})
    pixels = random_pixels(height, width)
    gap = np.abs(crop_and_resize(pixels, spec).astype(int) - halved_then_interpolated(pixels, spec)).max()
    # one level: OpenCV interpolates otherwise on some processors; on x86-64 there is no difference
    assert gap <= (0 if platform.machine() == "x86_64" else 1)


@pytest.mark.parametrize(("side", "corner", "halvings"), [(64, 0, 1), (65, 0, 1), (127, 0, 1), (131, 1, 2), (263, 3, 3)])
def test_an_odd_square_is_cut_to_what_halves_evenly(side, corner, halvings):
    pixels = random_pixels(side, side)
    kept = side >> halvings << halvings
    inner = np.ascontiguousarray(pixels[corner : corner + kept, corner : corner + kept])
    assert (side - kept) // 2 == corner
    assert np.array_equal(crop_and_resize(pixels, HALVING), crop_and_resize(inner, HALVING))


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_a_whole_number_of_halvings_is_not_interpolated(halvings):
    square = pixels = random_pixels(32 << halvings, 32 << halvings)
    for _ in range(halvings):
        half = len(square) // 2
        square = (square.reshape(half, 2, half, 2, 3).sum(axis=(1, 3)) + 2) >> 2
    assert np.array_equal(crop_and_resize(pixels, HALVING), square)


def test_the_kernels_agree_where_nothing_is_halved_or_shrunk():
    for side in (20, 32):
        pixels = random_pixels(side, side)
        assert np.array_equal(crop_and_resize(pixels, SPEC), crop_and_resize(pixels, HALVING))


# the whole picture


crops = st.sampled_from(["stretch", "pad"])
whole_specs = st.builds(
    InputSpec, height=st.integers(8, 40), width=st.integers(8, 40), crop=crops, kernel=st.sampled_from(KERNELS)
)


def resized_in_integers(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """A whole picture by `halve-linear`, as docs/reference/bundle.md defines it."""
    halvings = 0
    while pixels.shape[0] >= 2 ** (halvings + 1) * height and pixels.shape[1] >= 2 ** (halvings + 1) * width:
        halvings += 1
    tall, wide = (length - length % 2**halvings for length in pixels.shape[:2])
    top, left = (pixels.shape[0] - tall) // 2, (pixels.shape[1] - wide) // 2
    part = pixels[top : top + tall, left : left + wide].astype(int)
    for _ in range(halvings):
        part = (part[0::2, 0::2] + part[1::2, 0::2] + part[0::2, 1::2] + part[1::2, 1::2] + 2) >> 2
    if part.shape[:2] != (height, width):
        along = np.add(*interpolated(part.swapaxes(0, 1), width, stops_at_edge=True)).swapaxes(0, 1)
        upper, lower = interpolated(along >> 4, height, stops_at_edge=False)
        part = ((upper >> 16) + (lower >> 16) + 2) >> 2
    return part.astype(np.uint8)


def inner_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Of a padded picture: the largest of its shape, the other side to the nearest pixel, halves up."""
    if Fraction(spec.width, width) <= Fraction(spec.height, height):
        return max(1, math.floor(Fraction(height * spec.width, width) + Fraction(1, 2))), spec.width
    return spec.height, max(1, math.floor(Fraction(width * spec.height, height) + Fraction(1, 2)))


@given(sides, sides, whole_specs)
def test_a_whole_picture_is_its_definition_in_integers(height, width, spec):
    spec = spec.model_copy(update={"kernel": "halve-linear"})
    pixels = random_pixels(height, width)
    found = crop_and_resize(pixels, spec)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((spec.height, spec.width, 3), np.uint8, True)
    tall, wide = (spec.height, spec.width) if spec.crop == "stretch" else inner_size(height, width, spec)
    expected = np.zeros_like(found)
    top, left = (spec.height - tall) // 2, (spec.width - wide) // 2
    expected[top : top + tall, left : left + wide] = resized_in_integers(pixels, tall, wide)
    gap = np.abs(found.astype(int) - expected).max()
    assert gap <= (0 if platform.machine() == "x86_64" else 1)


@given(sides, sides, whole_specs)
def test_stretching_by_area_is_opencvs_resize(height, width, spec):
    spec = spec.model_copy(update={"kernel": "area", "crop": "stretch"})
    pixels = random_pixels(height, width)
    kernel = cv2.INTER_AREA if height >= spec.height and width >= spec.width else cv2.INTER_LINEAR
    assert np.array_equal(crop_and_resize(pixels, spec), cv2.resize(pixels, (spec.width, spec.height), interpolation=kernel))


@given(st.sampled_from(KERNELS), st.integers(1, 200))
def test_a_square_is_the_same_whatever_the_crop(kernel, side):
    pixels = random_pixels(side, side)
    crop, *others = (crop_and_resize(pixels, SPEC.model_copy(update={"kernel": kernel, "crop": crop})) for crop in get_args(Crop))
    assert all(np.array_equal(crop, other) for other in others)


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(90, 160, (7, 25), (0, 32)), (160, 90, (0, 32), (7, 25))])
def test_a_padded_picture_keeps_its_shape_between_black(height, width, rows, columns):
    padded = crop_and_resize(np.full((height, width, 3), 200, np.uint8), SPEC.model_copy(update={"crop": "pad"}))
    assert (padded[slice(*rows), slice(*columns)] == 200).all()
    assert padded.any(axis=2).sum() == 32 * 18


@pytest.mark.parametrize("crop", ["stretch", "pad"])
def test_a_fraction_of_a_whole_picture_is_refused(crop):
    with pytest.raises(ValidationError, match="takes the whole image"):
        InputSpec(height=32, width=32, crop=crop, crop_fraction=0.9)


def test_a_spec_that_names_no_kernel_is_resized_by_area():
    assert SPEC.kernel == "area"
    assert "kernel" not in SPEC.model_dump(exclude_defaults=True)  # manifests of before keep their hash


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
    "change",
    [
        {"crop_fraction": 0},
        {"crop_fraction": 1.1},
        {"height": 4},
        {"scale": 0},
        {"channels": "BGR"},
        {"kernel": "cubic"},
        {"mean": 1},
    ],
)
def test_a_spec_out_of_range_is_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        InputSpec(**{"height": 32, "width": 32, **change})
