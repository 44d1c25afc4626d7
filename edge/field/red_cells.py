"""How large a red cell is in this field, in pixels: the scale by which white cells are told apart from platelets, and cut out.

Every smear has red cells, of 7.5 um give or take a tenth, whatever the magnification; white cells vary threefold. Their
diameter is that of the circles that fit into what is neither background nor nucleus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from leukolite.edge.field.three_means import three_means

SIDE, SHRINK = 320, 2  # the field is shrunk to so many pixels of its longer side, but no more than to a half
FEWEST = 4  # circles, from which a diameter is measured
ENOUGH = 6.0  # red cells, from which it is sure enough to cut cells out by; see docs/evidence/locating.md
# the area-weighted quantile of the circles' diameters. Below the median: overlapping cells make circles larger than a cell,
# gaps in a cell's pale centre smaller ones; see docs/evidence/locating.md
QUANTILE = 0.45

_LARGEST_HOLE = 0.03  # of the picture: a larger round hole is background between cells, not a pale centre
_ROUND = 0.9  # of the convex hull's area
_LEAST_RADIUS = 2.0  # pixels


@dataclass(frozen=True, slots=True)
class RedCellScale:
    """A red cell's diameter in pixels, and from how many red cells it was measured (as many equal ones as would say as much)."""

    diameter: float
    red_cells: float

    @property
    def is_sure(self) -> bool:
        return self.red_cells >= ENOUGH


def measure_red_cells(pixels: np.ndarray, nuclei: np.ndarray | None) -> RedCellScale | None:
    """The typical diameter of this field's red cells.

    Args:
        pixels: uint8 RGB, shape (h, w, 3).
        nuclei: uint8 mask of the white cells' nuclei, 0 or 255, shape (h, w); they are left out. None: there are none.

    Returns:
        In pixels of `pixels`; None where hardly a red cell is seen.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, max(SIDE, max(height, width) / SHRINK) / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    green = cv2.resize(np.ascontiguousarray(pixels[:, :, 1]), size, interpolation=cv2.INTER_AREA)
    green = cv2.GaussianBlur(green, (0, 0), 1.0)
    clusters = three_means(np.bincount(green.ravel(), minlength=256))
    if clusters is None:
        return None
    cells = (green <= clusters.high).astype(np.uint8) * 255
    fill_holes(cells, partial(_is_pale_centre, largest=_LARGEST_HOLE * cells.size))
    if nuclei is not None:
        white = cv2.resize(nuclei, size, interpolation=cv2.INTER_AREA)
        cells[cv2.dilate(white, np.ones((5, 5), np.uint8)) > 0] = 0
    distance = cv2.distanceTransform(cells, cv2.DIST_L2, 5)
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.0)
    is_peak = (smooth >= cv2.dilate(smooth, np.ones((7, 7), np.uint8))) & (distance > _LEAST_RADIUS)
    radii = np.sort(distance[2:-2, 2:-2][is_peak[2:-2, 2:-2]])  # beyond the picture's edge cells go on
    if len(radii) < FEWEST:
        return None
    covered = np.cumsum(radii**2)
    diameter = float(2 * radii[np.searchsorted(covered, QUANTILE * covered[-1])] / scale)
    return RedCellScale(diameter, float(covered[-1] ** 2 / (radii**4).sum()))


def fill_holes(mask: np.ndarray, is_filled: Callable[[np.ndarray], bool]) -> None:
    """Fill those holes of a uint8 mask (0 or 255) that `is_filled` says of their outlines; in place."""
    outlines, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for outline, (_, _, _, parent) in zip(outlines, tree[0] if len(outlines) else (), strict=True):
        if parent >= 0 and is_filled(outline):
            cv2.drawContours(mask, [outline], -1, 255, -1)


def _is_pale_centre(hole: np.ndarray, largest: float) -> bool:
    """Whether a hole in the red cells is round, or a speck; larger round ones are background."""
    area = cv2.contourArea(hole)
    return area < 30 or (area < largest and area > _ROUND * cv2.contourArea(cv2.convexHull(hole)))
