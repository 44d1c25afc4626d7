"""What a model is shown of a frame: the frame itself, or each white cell cut out of it as the model's training pictures were."""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from leukolite.edge.field.locate import WHITE_CELL, Cell, Channel, Located, colour_axis, locate
from leukolite.edge.field.view import Locator, QualityGate, Region, whole_box, whole_frame
from leukolite.errors import BundleError
from leukolite.manifest import CellPicture, Manifest

Cells = Literal["auto", "one", "many"]
CELLS: tuple[Cells, ...] = ("auto", "one", "many")
ONE_CELL_SIDE = 600  # pixels: pictures of one cell have 257 (ALL-IDB2) to 450 (C-NMC), a camera's field 640 and more
SMALLEST_FIELD = 64  # pixels: three red cells of the least size that can be cut out
PURPLE_CENTRE = 15.0  # levels of a* minus b* above the rim: 17 and more in ALL-IDB2's pictures whose nucleus is not found
LONGEST = 1.3  # longer over shorter side: ALL-IDB2's pictures have up to 1.2, but for one of 208; cameras 1.33 and more
LEAST_SHARE = 0.2  # of the shorter side, a nucleus in a picture of one cell: 0.3 to 0.6 in ALL-IDB2, in fields 0.05 to 0.15
MOST_OFF_CENTRE = 0.2  # of the shorter side, such a nucleus
LEAST_RED_CELL = 20.0  # pixels; below it blasts begin to be called healthy, see docs/locating.md
MOST_CELLS = 500  # a frame; more is no field of cells, or one seen from too far
CONTRADICTION = 1.0, 3.0  # red cells: a given cell diameter beyond these is not this field's
LARGEST = 4.5  # red cells: the longer side of a larger nucleus is touching cells that could not be parted, or a smear's artefact
RIM = 0.03  # red cells: around a nucleus cut out on black, so that its thin cytoplasm is left
SPECK = 0.1  # of the largest lobe's area

CUT = "cut by the frame's edge"
NO_RULER = "size unknown (too few red cells beside it to tell its scale by: give --cell-diameter)"
_UNTOLD = "how its training pictures show a cell is not in its manifest: --cells one, or convert again with --cell-window"

_BLACK = 8  # grey levels; lossy formats leave some


class CellLocator:
    """A `Locator` that finds the white cells of a field and cuts each out to scale.

    Args:
        picture: how the model's training pictures show a cell.
        cell_diameter: of a typical white cell, pixels; None measures each field by its red cells.
        gate: says of a cut-out cell why it must not be judged.
    """

    def __init__(
        self,
        picture: CellPicture,
        *,
        channel: Channel = "a-b",
        cell_diameter: float | None = None,
        gate: QualityGate | None = None,
    ) -> None:
        self._picture, self._channel, self._gate = picture, channel, gate
        self._red_cell = None if cell_diameter is None else cell_diameter / WHITE_CELL
        locate(np.zeros((8, 8, 3), np.uint8))  # OpenCV makes its colour tables at the first call: a tenth of a second

    def __call__(self, pixels: np.ndarray) -> tuple[Region, ...]:
        found = locate(pixels, channel=self._channel, red_cell_diameter_px=self._red_cell)
        if not found.cells and (contradiction := self._contradiction(found)):
            return (Region(whole_box(pixels), pixels, contradiction),)
        if len(found.cells) > MOST_CELLS:
            too_many = f"not a field of cells ({len(found.cells)} found, at most {MOST_CELLS})"
            return (Region(whole_box(pixels), pixels, too_many),)
        no_scale = self._no_scale(found)
        return tuple(self._area(pixels, cell, found.red_cell_diameter_px, no_scale) for cell in found.cells)

    def _no_scale(self, found: Located) -> str | None:
        """Why no cell of this field can be cut out to scale."""
        if found.red_cell_diameter_px is None:
            return NO_RULER
        if found.red_cell_diameter_px < LEAST_RED_CELL:
            return f"too small (red cells {found.red_cell_diameter_px:.0f} pixels wide, at least {LEAST_RED_CELL:.0f})"
        return self._contradiction(found)

    def _contradiction(self, found: Located) -> str | None:
        """Why the given diameter cannot be this field's."""
        if self._red_cell is None or found.measured is None:
            return None
        given, (least, most) = self._red_cell * WHITE_CELL, (found.measured * bound for bound in CONTRADICTION)
        if least <= given <= most:
            return None
        return f"--cell-diameter contradicts the field ({given:.0f} pixels, by its red cells {least:.0f} to {most:.0f})"

    def _area(self, pixels: np.ndarray, cell: Cell, red_cell_diameter_px: float | None, excluded: str | None) -> Region:
        if excluded is None and red_cell_diameter_px is not None:
            excluded = self._not_one_cell(cell, red_cell_diameter_px)
        if excluded is not None or red_cell_diameter_px is None:
            x0, y0, x1, y1 = cell.box
            return Region(cell.box, pixels[y0:y1, x0:x1], excluded)
        shown = cut_out(pixels, cell, self._picture, red_cell_diameter_px)
        return Region(cell.box, shown, None if self._gate is None else self._gate(shown))

    def _not_one_cell(self, cell: Cell, red_cell_diameter_px: float) -> str | None:
        """Why what was found is not one whole cell."""
        x0, y0, x1, y1 = cell.box
        if cell.is_cut:
            return CUT
        if (length := max(x1 - x0, y1 - y0) / red_cell_diameter_px) > LARGEST:
            return f"larger than a cell ({length:.1f} red cells long, at most {LARGEST:g})"
        return None


def cut_out(pixels: np.ndarray, cell: Cell, picture: CellPicture, red_cell_diameter_px: float) -> np.ndarray:
    """A cell as the training pictures show theirs: in the centre of a square of the same true size, on the same background.

    Args:
        pixels: uint8 RGB field, shape (h, w, 3).
        red_cell: a red cell's diameter in pixels.

    Returns:
        uint8 RGB, shape (side, side, 3). What lies beyond the field is its mirror image.
    """
    x0, y0, x1, y1 = cell.box
    side = max(round(picture.window * red_cell_diameter_px), 8)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    square = _window(pixels, left, top, side, cv2.BORDER_REFLECT_101)
    if picture.background == "kept":
        return square
    grown = max(2 * round(RIM * red_cell_diameter_px) + 1, 1)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    nucleus = _without_specks(cell.mask)
    mask[y0:y1, x0:x1] = cv2.resize(nucleus.astype(np.uint8) * 255, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    inside = _window(mask, left, top, side, cv2.BORDER_CONSTANT)
    inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grown, grown)))
    return cv2.bitwise_and(square, square, mask=(inside > 127).astype(np.uint8))


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The nucleus and its lobes, without what is far smaller than the largest of them: a neighbour's shred, a platelet."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    regions = stats[:, cv2.CC_STAT_AREA]
    is_lobe = regions >= SPECK * regions[1:].max()
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
        cells: what a frame shows: 'one' cell, 'many', or 'auto': a camera's or video's frame many, a picture file one where
            it looks like it, see `shows_one_cell`.
        are_pictures: the frames are picture files.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one; or `cells` was
            chosen for a model that judges fields.
    """
    if manifest.unit == "field":
        if cells != "auto":
            raise BundleError(f"{manifest.name} judges whole fields: --cells is for bundles that judge cells, leave it out")
        return lambda pixels: True
    if cells == "one":
        return lambda pixels: True
    if cells == "auto" and are_pictures:
        on_black = manifest.cell is not None and manifest.cell.background == "black"
        return lambda pixels: shows_one_cell(pixels, on_black=on_black)
    if manifest.cell is None:
        raise BundleError(f"{manifest.name}: {_UNTOLD}")
    return lambda pixels: False


def locator_of(
    manifest: Manifest, *, channel: Channel = "a-b", cell_diameter: float | None = None, gate: QualityGate | None = None
) -> Locator:
    """How the cells of a field are found and cut out.

    Args:
        gate: of cut-out cells.
    """
    if manifest.cell is None:
        return _refused
    return CellLocator(manifest.cell, channel=channel, cell_diameter=cell_diameter, gate=gate)


def _refused(pixels: np.ndarray) -> tuple[Region, ...]:
    """A field before a model that judges cells and does not say how it is shown one."""
    (region,) = whole_frame(pixels)
    return (Region(region.box, region.pixels, f"a whole field, not one cell ({_UNTOLD})"),)


def shows_one_cell(pixels: np.ndarray, *, on_black: bool) -> bool:
    """Whether a picture file is one cell's.

    It is small and about square; where the training pictures are black around the cell it is, too; else the cell found
    next to its centre is as large and as central as one that fills a picture: a field made small would otherwise be taken for
    one cell, and get a verdict. Of ALL-IDB2's 208 pictures 9 are not known as one cell's.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > ONE_CELL_SIDE or max(height, width) > LONGEST * min(height, width):
        return False
    if on_black:
        edges = np.concatenate((pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
        return float(np.median(edges)) <= _BLACK
    if max(height, width) < SMALLEST_FIELD:
        return True
    boxes = [cell.box for cell in locate(pixels).cells]
    off_centre = [float(np.hypot(x0 + x1 - width, y0 + y1 - height)) / 2 for x0, y0, x1, y1 in boxes]
    if not boxes:
        return _purple_centre(pixels) >= PURPLE_CENTRE
    x0, y0, x1, y1 = boxes[int(np.argmin(off_centre))]
    shorter = min(height, width)
    return max(x1 - x0, y1 - y0) >= LEAST_SHARE * shorter and min(off_centre) <= MOST_OFF_CENTRE * shorter


def _purple_centre(pixels: np.ndarray) -> float:
    """How much more purple a picture's middle is than its rim, in levels of a* minus b*."""
    small = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)
    axis = colour_axis(small, "a-b")
    is_rim = np.ones(axis.shape, bool)
    is_rim[24:72, 24:72] = False
    return float(axis[34:62, 34:62].mean() - np.median(axis[is_rim]))
