"""Each white cell of a field cut out to scale, as the model's training pictures show theirs."""

from functools import partial

import cv2
import numpy as np

from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.field.locate import WHITE_CELL, Cell, Channel, Located, locate
from leukolite.edge.field.view import Locator, QualityGate, Region, Shrink, whole_box
from leukolite.manifest import CellPicture, Manifest

LEAST_RED_CELL = 20.0  # pixels; below it blasts begin to be called healthy, see docs/evidence/locating.md
MOST_CELLS = 500  # a frame; more is no field of cells, or one seen from too far
CONTRADICTION = 1.0, 3.0  # red cells: a given cell diameter beyond these is not this field's
LARGEST = 4.5  # red cells: the longer side of a larger nucleus is touching cells that could not be parted, or a smear's artefact
RIM = 0.03  # red cells: around a nucleus cut out on black, so that its thin cytoplasm is left
SPECK = 0.1  # of the largest lobe's area

CUT = Exclusion.of(ExclusionKind.CUT)
NO_SCALE = Exclusion.of(ExclusionKind.SIZE_UNKNOWN, "too few red cells beside it to tell its scale by")
NO_CELL_PICTURE = "how its training pictures show a cell is not in its manifest"


class CellLocator:
    """A `Locator` that finds the white cells of a field and cuts each out to scale.

    Args:
        picture: how the model's training pictures show a cell.
        cell_diameter: of a typical white cell, pixels; None measures each field by its red cells.
        shrink: makes the network's picture of a cut-out cell.
        gate: says of that picture why it must not be classified.
    """

    def __init__(
        self,
        picture: CellPicture,
        shrink: Shrink,
        *,
        channel: Channel = "a-b",
        cell_diameter: float | None = None,
        gate: QualityGate | None = None,
    ) -> None:
        self._picture, self._shrink, self._channel, self._gate = picture, shrink, channel, gate
        self._red_cell_diameter_px = None if cell_diameter is None else cell_diameter / WHITE_CELL
        locate(np.zeros((8, 8, 3), np.uint8))  # OpenCV makes its colour tables at the first call: a tenth of a second

    def __call__(self, pixels: np.ndarray) -> tuple[Region, ...]:
        found = locate(pixels, channel=self._channel, red_cell_diameter_px=self._red_cell_diameter_px)
        if not found.cells and (contradiction := self._contradiction(found)):
            return (Region(whole_box(pixels), None, contradiction),)
        if len(found.cells) > MOST_CELLS:
            too_many = Exclusion.of(ExclusionKind.NOT_A_FIELD, f"{len(found.cells)} found, at most {MOST_CELLS}")
            return (Region(whole_box(pixels), None, too_many),)
        no_scale = self._no_scale(found)
        return tuple(self._region(pixels, cell, found.red_cell_diameter_px, no_scale) for cell in found.cells)

    def _no_scale(self, found: Located) -> Exclusion | None:
        """Why no cell of this field can be cut out to scale."""
        if found.red_cell_diameter_px is None:
            return NO_SCALE
        if found.red_cell_diameter_px < LEAST_RED_CELL:
            figures = f"red cells {found.red_cell_diameter_px:.0f} pixels wide, at least {LEAST_RED_CELL:.0f}"
            return Exclusion.of(ExclusionKind.SMALL, figures)
        return self._contradiction(found)

    def _contradiction(self, found: Located) -> Exclusion | None:
        """Why the given diameter cannot be this field's."""
        if self._red_cell_diameter_px is None or found.measured is None:
            return None
        given, (least, most) = self._red_cell_diameter_px * WHITE_CELL, (found.measured * bound for bound in CONTRADICTION)
        if least <= given <= most:
            return None
        figures = f"{given:.0f} pixels, by its red cells {least:.0f} to {most:.0f}"
        return Exclusion.of(ExclusionKind.DIAMETER, figures)

    def _region(self, pixels: np.ndarray, cell: Cell, red_cell_diameter_px: float | None, excluded: Exclusion | None) -> Region:
        if excluded is None and red_cell_diameter_px is not None:
            excluded = self._not_one_cell(cell, red_cell_diameter_px)
        if excluded is not None or red_cell_diameter_px is None:
            return Region(cell.box, None, excluded)
        cut = partial(self._cut, cell=cell, red_cell_diameter_px=red_cell_diameter_px)
        square = cut(pixels)
        return Region(cell.box, square, None if self._gate is None else self._gate(square), cut)

    def _cut(self, pixels: np.ndarray, cell: Cell, red_cell_diameter_px: float) -> np.ndarray:
        """The network's picture of a cell."""
        return self._shrink(cut_out(pixels, cell, self._picture, red_cell_diameter_px))

    def _not_one_cell(self, cell: Cell, red_cell_diameter_px: float) -> Exclusion | None:
        """Why what was found is not one whole cell."""
        x0, y0, x1, y1 = cell.box
        if cell.is_cut:
            return CUT
        if (length := max(x1 - x0, y1 - y0) / red_cell_diameter_px) > LARGEST:
            return Exclusion.of(ExclusionKind.LARGE, f"{length:.1f} red cells long, at most {LARGEST:g}")
        return None


def cut_out(pixels: np.ndarray, cell: Cell, picture: CellPicture, red_cell_diameter_px: float) -> np.ndarray:
    """A cell as the training pictures show theirs: in the centre of a square of the same true size, on the same background.

    Args:
        pixels: uint8 RGB field, shape (h, w, 3).
        red_cell_diameter_px: of this field.

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


def locator_of(
    manifest: Manifest,
    shrink: Shrink,
    *,
    channel: Channel = "a-b",
    cell_diameter: float | None = None,
    gate: QualityGate | None = None,
) -> Locator:
    """How the cells of a field are found and cut out.

    Args:
        shrink, gate: of cut-out cells, see `CellLocator`.
    """
    if manifest.cell is None:
        return _refused
    return CellLocator(manifest.cell, shrink, channel=channel, cell_diameter=cell_diameter, gate=gate)


def _refused(pixels: np.ndarray) -> tuple[Region, ...]:
    """A field before a model that classifies cells and does not say how it is shown one."""
    return (Region(whole_box(pixels), None, Exclusion.of(ExclusionKind.WHOLE_FIELD, NO_CELL_PICTURE)),)
