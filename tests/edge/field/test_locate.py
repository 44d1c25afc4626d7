"""White cells in fields: rendered ones, whose truth is known, and, where they are, the real ones."""

import cv2
import numpy as np
import pytest

from leukolite.benchmarks.locating import MarkedField, pairs, score
from leukolite.edge.field.locate import locate
from leukolite.synthetic import MEAN_WHITE_CELL_UM, RED_CELL_UM, SyntheticField, render_field

pytest.importorskip("scipy")  # pairs cells and marks


def field(
    seed: int, *, diameter: float = 60.0, white_cells: int | None = None, size: tuple[int, int] = (640, 480)
) -> SyntheticField:
    rng = np.random.default_rng(seed)
    return render_field(rng, width=size[0], height=size[1], cell_diameter=diameter, white_cells=white_cells)


def counts(fields: list[SyntheticField], tmp_path) -> tuple[int, int, int]:
    """Pairs, found, marked."""
    paired = found = marked = 0
    for one in fields:
        boxes = [cell.box for cell in locate(one.pixels).cells]
        marks = MarkedField(tmp_path, tuple(cell.box for cell in one.cells), (), marks_all=True)
        paired, found, marked = paired + pairs(boxes, marks), found + len(boxes), marked + len(one.cells)
    return paired, found, marked


def discs(*centres: tuple[int, int], radius: int = 50, size: tuple[int, int] = (640, 480)) -> np.ndarray:
    """Purple discs on a field of round red cells with a diameter of 60."""
    pixels = np.full((size[1], size[0], 3), (225, 222, 218), np.uint8)
    for y in range(40, size[1], 80):
        for x in range(40, size[0], 80):
            if all(np.hypot(x - cx, y - cy) > radius + 35 for cx, cy in centres):
                cv2.circle(pixels, (x, y), 30, (205, 165, 160), -1)
    for centre in centres:
        cv2.circle(pixels, centre, radius, (95, 45, 145), -1)
    return cv2.GaussianBlur(pixels, (0, 0), 1.0)


@pytest.mark.parametrize("diameter", [25.0, 60.0, 150.0])
def test_rendered_cells_are_found_at_any_magnification(diameter, tmp_path):
    size = (320, 240) if diameter == 25.0 else (1280, 960)
    paired, found, marked = counts([field(seed, diameter=diameter, size=size) for seed in range(4)], tmp_path)
    assert paired >= 0.95 * marked
    assert paired >= 0.95 * found


def test_small_cells_of_a_large_picture_are_found(tmp_path):
    """Shrunk to the size at which cells are first looked for, a red cell is 7 pixels wide."""
    paired, found, marked = counts([field(1, diameter=40.0, size=(2592, 1944), white_cells=60)], tmp_path)
    assert paired >= 0.95 * marked > 0
    assert paired >= 0.95 * found


@pytest.mark.parametrize("diameter", [40.0, 60.0, 120.0])
def test_a_red_cells_diameter_is_measured_at_any_magnification(diameter):
    true = RED_CELL_UM * diameter / MEAN_WHITE_CELL_UM
    found = [locate(field(seed, diameter=diameter).pixels).red_cell_diameter_px for seed in range(5)]
    assert np.median([one for one in found if one]) == pytest.approx(true, rel=0.15)


def test_a_field_without_white_cells_has_none():
    """Red cells are then what stands out most; they must not be taken for white ones."""
    assert [len(locate(field(seed, white_cells=0).pixels).cells) for seed in range(6)] == [0] * 6


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_of_nothing_has_no_cells(grey):
    assert locate(np.full((480, 640, 3), grey, np.uint8)).cells == ()


def test_pictures_of_noise_and_of_a_few_pixels_do_not_fail():
    rng = np.random.default_rng(0)
    for shape in ((480, 640, 3), (1, 1, 3), (2, 700, 3), (9, 9, 3)):
        locate(rng.integers(0, 256, shape, np.uint8))


def test_touching_cells_are_one_box_each():
    found = locate(discs((250, 240), (345, 240), (300, 322)))
    assert len(found.cells) == 3


def test_the_lobes_of_one_nucleus_are_one_cell():
    assert len(locate(discs((300, 240), (336, 262), (300, 284), radius=20)).cells) == 1


def test_a_platelet_is_no_cell():
    assert len(locate(discs((300, 240), (500, 100), radius=9)).cells) == 0


def test_a_cell_at_the_edge_is_found_and_said_to_be_cut():
    (cell,) = locate(discs((0, 240))).cells
    assert cell.is_cut
    (cell,) = locate(discs((300, 240))).cells
    assert not cell.is_cut


def test_a_box_holds_the_cell_to_within_a_few_pixels():
    (cell,) = locate(discs((300, 240))).cells
    assert np.abs(np.array(cell.box) - (250, 190, 350, 290)).max() <= 5


def test_the_same_picture_gives_the_same_cells():
    pixels = field(3).pixels
    first, second = locate(pixels), locate(pixels)
    assert [cell.box for cell in first.cells] == [cell.box for cell in second.cells]


def test_a_given_diameter_takes_the_place_of_the_measured_one():
    pixels = discs((300, 240), (336, 262), (300, 284), radius=20)
    assert len(locate(pixels).cells) == 1
    assert len(locate(pixels, red_cell_diameter_px=16.0).cells) == 3
    assert locate(pixels, red_cell_diameter_px=500.0).cells == ()


def test_the_papers_channel_finds_rendered_cells_too(tmp_path):
    one = field(2)
    boxes = [cell.box for cell in locate(one.pixels, channel="a").cells]
    assert pairs(boxes, MarkedField(tmp_path, tuple(cell.box for cell in one.cells), (), marks_all=True)) >= 0.9 * len(one.cells)


@pytest.mark.parametrize(("layout", "recall", "precision"), [("BCCD", 0.98, 0.95), ("ALL_IDB1", 0.95, None)])
def test_the_real_sets_white_cells_are_found(shared_data, layout, recall, precision):
    found = score(shared_data / layout)
    assert found.recall[0] is not None
    assert found.recall[0] >= recall
    if precision is not None:
        assert found.precision[0] is not None
        assert found.precision[0] >= precision
