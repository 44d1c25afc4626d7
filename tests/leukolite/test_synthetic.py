import itertools

import numpy as np
import pytest

from leukolite.synthetic import LABELS, MALIGNANT, SyntheticField, render_cell, render_field


def is_nuclear(pixels: np.ndarray) -> np.ndarray:
    """Chromatin takes green from the light and leaves blue: far more than cytoplasm or red cells do."""
    return pixels[..., 2].astype(int) - pixels[..., 1] > 40


def field(seed: int, **arguments: float) -> SyntheticField:
    return render_field(np.random.default_rng(seed), **arguments)


def cell(seed: int, label: str = "blast", size: int = 256) -> np.ndarray:
    return render_cell(np.random.default_rng(seed), label, size=size)


def test_a_field_is_rgb_bytes_of_the_asked_size():
    pixels = field(0, width=320, height=200, cell_diameter=40).pixels
    assert (pixels.shape, pixels.dtype) == ((200, 320, 3), np.uint8)


@pytest.mark.parametrize("size", [32, 96, 257])
@pytest.mark.parametrize("label", LABELS)
def test_a_cell_frame_is_square_rgb_bytes_of_the_asked_size(label, size):
    pixels = cell(0, label, size)
    assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)


def test_the_same_seed_gives_the_same_pixels_and_truth():
    assert np.array_equal(cell(7), cell(7))
    assert np.array_equal(field(7).pixels, field(7).pixels)
    assert field(7).cells == field(7).cells


def test_different_seeds_give_different_pixels():
    assert not np.array_equal(cell(1), cell(2))
    assert not np.array_equal(field(1).pixels, field(2).pixels)


@pytest.mark.parametrize("seed", range(8))
def test_truth_boxes_lie_inside_the_field_and_apart(seed):
    cells = field(seed).cells
    assert 2 <= len(cells) <= 8
    for truth in cells:
        x0, y0, x1, y1 = truth.box
        assert 0 <= x0 < x1 <= 640
        assert 0 <= y0 < y1 <= 480
    for a, b in itertools.combinations([truth.box for truth in cells], 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("seed", range(8))
def test_nuclei_are_in_the_boxes_and_nowhere_else(seed):
    rendered = field(seed)
    nuclear = is_nuclear(rendered.pixels)
    outside = np.ones(nuclear.shape, bool)
    for truth in rendered.cells:
        x0, y0, x1, y1 = truth.box
        assert nuclear[y0:y1, x0:x1].mean() > 0.25
        outside[y0:y1, x0:x1] = False
    assert nuclear[outside].mean() < 0.01  # platelets


@pytest.mark.parametrize("label", LABELS)
def test_the_centre_of_a_cell_frame_is_a_nucleus(label):
    for seed in range(10):
        assert is_nuclear(cell(seed, label)[112:144, 112:144]).mean() > 0.5


def test_boxes_are_about_as_wide_as_the_asked_cell_diameter():
    boxes = [truth.box for seed in range(10) for truth in field(seed, cell_diameter=50).cells]
    assert 40 < np.mean([x1 - x0 for x0, _, x1, _ in boxes]) < 65


@pytest.mark.parametrize(("blast_fraction", "label"), [(0, "healthy"), (1, "blast")])
def test_a_blast_fraction_of_0_or_1_gives_one_class(blast_fraction, label):
    assert {truth.label for seed in range(5) for truth in field(seed, blast_fraction=blast_fraction).cells} == {label}


def test_a_field_holds_as_many_white_cells_as_asked():
    assert [len(field(3, white_cells=count).cells) for count in (0, 1, 12)] == [0, 1, 12]


def test_a_field_too_small_for_the_drawn_cells_holds_fewer():
    assert all(1 <= len(field(seed, width=120, height=120).cells) <= 4 for seed in range(10))


def test_a_field_without_room_for_the_asked_cells_says_so():
    with pytest.raises(ValueError, match=r"120x120 has room for \d of 40"):
        field(0, width=120, height=120, white_cells=40)


@pytest.mark.parametrize(
    "arguments",
    [{"blast_fraction": 1.1}, {"cell_diameter": 0}, {"cell_diameter": float("nan")}, {"height": 100}, {"white_cells": -1}],
)
def test_an_argument_out_of_range_is_named(arguments):
    with pytest.raises(ValueError, match="|".join([*arguments, "640x100"])):
        field(0, **arguments)


def test_an_unknown_label_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match="'monocyte'; expected one of blast, healthy"):
        cell(0, "monocyte")


def test_a_frame_below_32_pixels_is_refused():
    with pytest.raises(ValueError, match="31"):
        cell(0, size=31)


def test_channels_are_in_rgb_order_so_red_cells_are_redder_than_blue():
    pixels = np.concatenate([field(seed, white_cells=0).pixels.reshape(-1, 3) for seed in range(5)]).astype(int)
    red_cells = pixels[pixels[:, 0] - pixels[:, 1] > 30]
    assert len(red_cells) > 0.1 * len(pixels)
    assert red_cells[:, 0].mean() > red_cells[:, 2].mean() + 20


def test_the_mean_colour_does_not_tell_the_classes_apart():
    colours = [[cell(seed, label, size=96).mean(axis=(0, 1)) for seed in range(100)] for label in LABELS]
    features = np.column_stack([np.concatenate(colours), np.ones(200)])
    truth = np.repeat([-1.0, 1.0], 100)
    weights, *_ = np.linalg.lstsq(features, truth, rcond=None)
    assert (np.sign(features @ weights) == truth).mean() < 0.8


def test_the_nucleus_fills_more_of_a_blast():
    def nuclear_share(truth, pixels):
        x0, y0, x1, y1 = truth.box
        return is_nuclear(pixels[y0:y1, x0:x1]).mean()

    shares = {label: [] for label in LABELS}
    for seed in range(10):
        rendered = field(seed, white_cells=6)
        for truth in rendered.cells:
            shares[truth.label].append(nuclear_share(truth, rendered.pixels))
    assert np.mean(shares["blast"]) > np.mean(shares["healthy"]) + 0.1


def test_malignant_labels_are_labels():
    assert set(MALIGNANT) < set(LABELS)
