"""Does a picture show one cell, to be classified as it is, or a field in which cells are to be found?"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from leukolite.edge.field.crop import NO_CELL_PICTURE
from leukolite.edge.field.locate import colour_axis, locate
from leukolite.errors import BundleError
from leukolite.manifest import Manifest

Cells = Literal["auto", "one", "many"]
CELLS: tuple[Cells, ...] = ("auto", "one", "many")
ONE_CELL_SIDE = 600  # pixels: pictures of one cell have 257 (ALL-IDB2) to 450 (C-NMC), a camera's field 640 and more
SMALLEST_FIELD = 64  # pixels: three red cells of the least size that can be cut out
PURPLE_CENTRE = 15.0  # levels of a* minus b* above the rim: 17 and more in ALL-IDB2's pictures whose nucleus is not found
LONGEST = 1.3  # longer over shorter side: ALL-IDB2's pictures have up to 1.2, but for one of 208; cameras 1.33 and more
LEAST_SHARE = 0.2  # of the shorter side, a nucleus in a picture of one cell: 0.3 to 0.6 in ALL-IDB2, in fields 0.05 to 0.15
MOST_OFF_CENTRE = 0.2  # of the shorter side, such a nucleus
_BLACK = 8  # grey levels; lossy formats leave some

IsWhole = Callable[[np.ndarray], bool]  # uint8 RGB frame -> whether it is classified as it is


def is_whole_of(manifest: Manifest, *, cells: Cells, are_pictures: bool) -> IsWhole:
    """Which frames are classified whole: all for a model that classifies fields; else those that show one cell.

    Args:
        cells: what a frame shows: 'one' cell, 'many', or 'auto': a camera's or video's frame many, a picture file one where
            it looks like it, see `shows_one_cell`.
        are_pictures: the frames are picture files.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one; or `cells` was
            chosen for a model that classifies fields.
    """
    if manifest.unit == "field":
        if cells != "auto":
            raise BundleError(
                f"{manifest.name} classifies whole fields, not cells: no cells can be looked for", advice="cells-of-field"
            )
        return lambda pixels: True
    if cells == "one":
        return lambda pixels: True
    if cells == "auto" and are_pictures:
        on_black = manifest.cell is not None and manifest.cell.background == "black"
        return lambda pixels: shows_one_cell(pixels, on_black=on_black)
    if manifest.cell is None:
        raise BundleError(f"{manifest.name}: {NO_CELL_PICTURE}", advice="no-cell-picture")
    return lambda pixels: False


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
