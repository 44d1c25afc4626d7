"""What a model is shown of a frame: the frame itself, or each white cell cut out of it as the model's training pictures were."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import cv2
import numpy as np

from leukolite.bundle import CellPicture, Manifest
from leukolite.edge.locate import WHITE_CELL, Cell, Channel, locate
from leukolite.edge.session import Area, Gate, Locator, whole_frame
from leukolite.errors import BundleError

Cells = Literal["auto", "one", "many"]
CELLS: tuple[Cells, ...] = ("auto", "one", "many")
ONE_CELL_SIDE = 600  # pixels: pictures of one cell have 257 (ALL-IDB2) to 450 (C-NMC), a camera's field 640 and more
LARGEST = 4.5  # red cells: the longer side of a larger nucleus is touching cells that could not be parted, or a smear's artefact
RIM = 0.03  # red cells: around a nucleus cut out on black, so that its thin cytoplasm is left
SPECK = 0.1  # of the largest lobe's area

CUT = "cut by the frame's edge"
NO_RULER = "size unknown (too few red cells beside it to tell its scale by: give --cell-diameter)"

_BLACK = 8  # grey levels; lossy formats leave some


class CellLocator:
    """A `Locator` that finds the white cells of a field and cuts each out to scale.

    Args:
        picture: how the model's training pictures show a cell.
        cell_diameter: of a typical white cell, pixels; None measures each field by its red cells.
        gate: says of a cut-out cell why it must not be judged.
    """

    def __init__(
        self, picture: CellPicture, *, channel: Channel = "a-b", cell_diameter: float | None = None, gate: Gate | None = None
    ) -> None:
        self._picture, self._channel, self._gate = picture, channel, gate
        self._red_cell = None if cell_diameter is None else cell_diameter / WHITE_CELL
        locate(np.zeros((8, 8, 3), np.uint8))  # OpenCV makes its colour tables at the first call: a tenth of a second

    def __call__(self, pixels: np.ndarray) -> tuple[Area, ...]:
        found = locate(pixels, channel=self._channel, red_cell=self._red_cell)
        return tuple(self._area(pixels, cell, found.red_cell) for cell in found.cells)

    def _area(self, pixels: np.ndarray, cell: Cell, red_cell: float | None) -> Area:
        x0, y0, x1, y1 = cell.box
        if red_cell is None:
            return Area(cell.box, pixels[y0:y1, x0:x1], NO_RULER)
        shown = cut_out(pixels, cell, self._picture, red_cell)
        excluded = None
        if cell.is_cut:
            excluded = CUT
        elif (length := max(x1 - x0, y1 - y0) / red_cell) > LARGEST:
            excluded = f"larger than a cell ({length:.1f} red cells long, at most {LARGEST:g})"
        elif self._gate is not None:
            excluded = self._gate(shown)
        return Area(cell.box, shown, excluded)


def cut_out(pixels: np.ndarray, cell: Cell, picture: CellPicture, red_cell: float) -> np.ndarray:
    """A cell as the training pictures show theirs: in the centre of a square of the same true size, on the same background.

    Args:
        pixels: uint8 RGB field, shape (h, w, 3).
        red_cell: a red cell's diameter in pixels.

    Returns:
        uint8 RGB, shape (side, side, 3). What lies beyond the field is its mirror image.
    """
    x0, y0, x1, y1 = cell.box
    side = max(round(picture.window * red_cell), 8)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    square = _window(pixels, left, top, side, cv2.BORDER_REFLECT_101)
    if picture.background == "kept":
        return square
    grown = max(2 * round(RIM * red_cell) + 1, 1)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    nucleus = _without_specks(cell.mask)
    mask[y0:y1, x0:x1] = cv2.resize(nucleus.astype(np.uint8) * 255, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    inside = _window(mask, left, top, side, cv2.BORDER_CONSTANT)
    inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    return cv2.bitwise_and(square, square, mask=(inside > 127).astype(np.uint8))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The nucleus and its lobes, without what is far smaller than the largest of them: a neighbour's shred, a platelet."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    is_lobe = areas >= SPECK * areas[1:].max()
    is_lobe[0] = False
    return is_lobe[pieces]


def _window(pixels: np.ndarray, left: int, top: int, side: int, border: int) -> np.ndarray:
    """A square that may reach over the picture's edge."""
    height, width = pixels.shape[:2]
    inside = pixels[max(top, 0) : top + side, max(left, 0) : left + side]
    over = max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0)
    return cv2.copyMakeBorder(inside, *over, border) if any(over) else np.ascontiguousarray(inside)


IsWhole = Callable[[np.ndarray], bool]  # uint8 RGB frame -> whether it is judged as it is


def is_whole_of(manifest: Manifest, *, cells: Cells, are_pictures: bool) -> IsWhole:
    """Which frames are judged whole: all for a model that judges fields; for one that judges cells, those that show one.

    Args:
        cells: what a frame shows: 'one' cell, 'many', or 'auto': a camera's or video's frame many, a picture file of at most
            `ONE_CELL_SIDE` pixels a side one - unless the training pictures are black around the cell and it is not.
        are_pictures: the frames are picture files.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one.
    """
    if manifest.unit == "field" or cells == "one":
        return lambda pixels: True
    if cells == "auto" and are_pictures:
        on_black = manifest.cell is not None and manifest.cell.background == "black"
        return lambda pixels: shows_one_cell(pixels, on_black=on_black)
    if manifest.cell is None:
        raise BundleError(_without_picture(manifest.name))
    return lambda pixels: False


def locator_of(
    manifest: Manifest,
    is_whole: IsWhole,
    *,
    channel: Channel = "a-b",
    cell_diameter: float | None = None,
    gate: Gate | None = None,
) -> Locator:
    """What is judged of a frame: all of it, or each of its cells.

    Args:
        is_whole: from `is_whole_of`.
        gate: of cut-out cells.
    """
    many: Locator = partial(_refused, name=manifest.name)
    if manifest.cell is not None:
        many = CellLocator(manifest.cell, channel=channel, cell_diameter=cell_diameter, gate=gate)
    return lambda pixels: whole_frame(pixels) if is_whole(pixels) else many(pixels)


def _refused(pixels: np.ndarray, name: str) -> tuple[Area, ...]:
    """A field before a model that judges cells and does not say how it is shown one."""
    (area,) = whole_frame(pixels)
    return (Area(area.box, area.pixels, f"a whole field, not one cell ({_without_picture(name)})"),)


def shows_one_cell(pixels: np.ndarray, *, on_black: bool) -> bool:
    """Whether a picture file is one cell's, by its size and, where the training pictures have it so, its black surroundings."""
    if max(pixels.shape[:2]) > ONE_CELL_SIDE:
        return False
    edges = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    return not on_black or float(np.median(edges)) <= _BLACK


def _without_picture(name: str) -> str:
    return (
        f"{name} does not say how its training pictures show a cell, so cells of a field cannot be cut out like them:"
        " convert its run again with --cell-window, or give frames of one cell and --cells one"
    )
