"""Which frames are classified as they are, and in which cells are looked for."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from leukolite.advice import ADVICE
from leukolite.edge.field.crop import NO_CELL_PICTURE
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.field.one_cell import Cells, is_whole_of, shows_one_cell
from leukolite.edge.field.treatment import treatments
from leukolite.edge.field.view import Region, whole_box
from leukolite.errors import BundleError
from leukolite.images import read_rgb
from leukolite.manifest import Manifest
from leukolite.synthetic import LABELS, render_cell, render_field


def boxes(regions: Sequence[Region]) -> list[tuple[int, int, int, int]]:
    return [region.box for region in regions]


def located(manifest: Manifest, pixels: np.ndarray, *, are_pictures: bool, cells: Cells = "auto") -> list[Region]:
    """What is to be classified of a frame, as a session's treatment of it says."""
    treatment = treatments(manifest, cells=cells, are_pictures=are_pictures, ungated=True)(pixels)
    if treatment.locator is None:
        return [Region(whole_box(pixels), treatment.shrink(pixels))]
    return list(treatment.locator(pixels))


def test_a_small_picture_of_a_cell_is_classified_whole_and_a_field_or_a_cameras_frame_is_searched(demo, field):
    cell = render_cell(np.random.default_rng(1), "blast", size=256)
    assert boxes(located(demo, cell, are_pictures=True)) == [(0, 0, 256, 256)]
    assert boxes(located(demo, cell, are_pictures=False)) != [(0, 0, 256, 256)]
    assert boxes(located(demo, cell, are_pictures=True, cells="many")) != [(0, 0, 256, 256)]
    assert len(located(demo, field.pixels, are_pictures=True)) == len(field.cells)
    assert len(located(demo, field.pixels, are_pictures=False, cells="one")) == 1


@pytest.mark.parametrize("side", [300, 500])
def test_a_field_made_small_is_not_taken_for_one_cell(field, side):
    square = cv2.resize(field.pixels[:640, :640], (side, side), interpolation=cv2.INTER_AREA)
    assert not shows_one_cell(square, on_black=False)
    assert not shows_one_cell(np.ascontiguousarray(square[: side * 3 // 4]), on_black=False)


def test_rendered_cells_are_known_as_pictures_of_one():
    cells = [render_cell(np.random.default_rng(i), LABELS[i % 2], size=size) for i, size in enumerate([48, 96, 256, 450] * 10)]
    assert [shows_one_cell(cell, on_black=False) for cell in cells] == [True] * len(cells)


@pytest.mark.parametrize("side", [96, 159])
def test_a_thumbnail_of_a_field_is_not_taken_for_one_cell(field, side):
    assert not shows_one_cell(cv2.resize(field.pixels[:640, :640], (side, side), interpolation=cv2.INTER_AREA), on_black=False)


def test_a_part_of_a_field_without_a_white_cell_is_not_taken_for_one():
    empty = render_field(np.random.default_rng(1), width=800, height=640, white_cells=0).pixels
    assert not shows_one_cell(np.ascontiguousarray(empty[:400, :400]), on_black=False)


def test_allidb2s_pictures_are_known_as_pictures_of_one_cell(shared_data):
    files = sorted((shared_data / "ALL_IDB2" / "img").glob("*.tif"))[::4]
    assert sum(shows_one_cell(read_rgb(file), on_black=False) for file in files) >= 0.9 * len(files)


def test_a_small_picture_is_no_cell_on_black_unless_it_is_black_around(field):
    on_black = np.zeros((450, 450, 3), np.uint8)
    on_black[150:300, 150:300] = (90, 40, 140)
    assert shows_one_cell(on_black, on_black=True)
    assert not shows_one_cell(field.pixels[:450, :450], on_black=True)


def test_a_bundle_that_does_not_say_how_it_shows_a_cell_classifies_pictures_of_one_and_refuses_fields(demo, field):
    silent = demo.model_copy(update={"cell": None})
    with pytest.raises(BundleError, match=NO_CELL_PICTURE) as caught:
        is_whole_of(silent, cells="auto", are_pictures=False)
    assert "--cell-window" in ADVICE[caught.value.advice or ""]
    cell = render_cell(np.random.default_rng(1), "blast", size=256)
    assert [region.excluded for region in located(silent, cell, are_pictures=True)] == [None]
    (region,) = located(silent, field.pixels, are_pictures=True)
    assert region.excluded == Exclusion.of(ExclusionKind.WHOLE_FIELD, NO_CELL_PICTURE)


def test_a_field_model_classifies_the_whole_frame(demo, field):
    whole = demo.model_copy(update={"unit": "field"})
    assert boxes(located(whole, field.pixels, are_pictures=False)) == [(0, 0, 800, 640)]
    with pytest.raises(BundleError, match="classifies whole fields") as caught:
        located(whole, field.pixels, are_pictures=False, cells="many")
    assert "--cells" in ADVICE[caught.value.advice or ""]
