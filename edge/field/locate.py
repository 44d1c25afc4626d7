"""White cells in a field: where they are, and how large a red cell is beside them.

After Farag et al. 2025 (IAENG Engineering Letters): k-means with K = 3 on a colour axis of LAB, threshold, morphology, connected
components; touching cells are split at the necks of the distance transform. Two things differ by default, both measured in
docs/evidence/locating.md: the axis is a* minus b* (purple against pink; a* alone can be asked for), and every size is given
in red cells of the same field (`leukolite.edge.field.red_cells`), so that nothing depends on the magnification.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from leukolite.edge.field.red_cells import fill_holes, measure_red_cells
from leukolite.edge.field.three_means import three_means
from leukolite.geometry import Box

Channel = Literal["a-b", "a"]
CHANNELS: tuple[Channel, ...] = ("a-b", "a")
WHITE_CELL = 1.6  # red cells: a lymphoblast's diameter, by which a given cell diameter is turned into the ruler's

# Sizes are in diameters of a red cell. Chosen on every second frame of BCCD and ALL-IDB1, see docs/evidence/locating.md.
CONTRAST = {"a-b": 28.0, "a": 14.0}  # levels of the axis between nuclei and red cells; without a white cell there are at most 22
WHOLE = 1.1  # the circle in a nucleus that is a cell by itself; lobes of one nucleus are smaller
NEAR = 0.75  # two such circles whose centres are nearer are one nucleus
NECK = 0.8  # of the smaller circle's: a narrower place between two of them parts two cells
REACH = 0.15  # pieces of one nucleus lie at most twice this apart
LEAST_AREA = 0.28  # of a red cell's: smaller ones are platelets and debris
LARGE_PIECE = 1.1  # of a red cell's area: a piece as large is a cell by itself beside a nucleus that is one
_HOLE = 0.1  # of a red cell's area: smaller holes in a nucleus are filled

_ROUNDS = 3  # of parting
_SIDES = (640, 1920)  # pixels of the longer side: cells are looked for at the first size at which red cells are
_FINE = 18.0  # pixels wide
_SPLIT_SIDE = 32.0  # pixels a red cell has where nuclei are split: necks are a few pixels wide


@dataclass(frozen=True)
class Cell:
    """One white cell.

    Attributes:
        box: of its nucleus, all its lobes, in the field's pixels.
        mask: bool, the nucleus within `box`, at the size it was found at: shape in proportion to the box.
        is_cut: it touches the field's edge.
    """

    box: Box
    mask: np.ndarray
    is_cut: bool


@dataclass(frozen=True)
class Located:
    """What was found in a field.

    Attributes:
        cells: from top to bottom.
        red_cell_diameter_px: as given or measured; None where too few are seen, and every size is a
            guess from the nuclei.
        measured: the same as measured in the field, given or not.
    """

    cells: tuple[Cell, ...]
    red_cell_diameter_px: float | None
    measured: float | None


def locate(pixels: np.ndarray, *, channel: Channel = "a-b", red_cell_diameter_px: float | None = None) -> Located:
    """Find the white cells of a field.

    Args:
        pixels: uint8 RGB, shape (h, w, 3).
        channel: 'a-b' or, as in the paper, 'a' of LAB.
        red_cell_diameter_px: where it is known; else it is measured in the field.
    """
    for side in _SIDES:
        scale = min(1.0, side / max(pixels.shape[:2]))
        field, nuclei = _nuclei_at(pixels, scale, channel)
        found = measure_red_cells(field, nuclei)
        diameter_px = red_cell_diameter_px * scale if red_cell_diameter_px else None if found is None else found.diameter
        if scale == 1 or (diameter_px is not None and diameter_px >= _FINE):
            break  # else these are small cells in a large picture, if any
    measured = found.diameter / scale if found is not None and found.is_sure else None
    if nuclei is None:
        return Located((), red_cell_diameter_px or measured, measured)
    diameter_px = diameter_px or _diameter_from_nuclei(nuclei)
    if diameter_px > _SPLIT_SIDE:
        size = _scaled(nuclei.shape, _SPLIT_SIDE / diameter_px)
        nuclei = (cv2.resize(nuclei, size, interpolation=cv2.INTER_AREA) > 127).astype(np.uint8) * 255
        diameter_px = _SPLIT_SIDE
    cells = tuple(_cell(mask, x, y, nuclei, pixels) for mask, x, y in _cells_of(nuclei, diameter_px))
    return Located(cells, red_cell_diameter_px or measured, measured)


def colour_axis(pixels: np.ndarray, channel: Channel) -> np.ndarray:
    """How purple each pixel is: int16, shape (h, w), of uint8 RGB."""
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    return cv2.subtract(lab[:, :, 1], lab[:, :, 2], dtype=cv2.CV_16S) if channel == "a-b" else lab[:, :, 1].astype(np.int16)


def _nuclei_at(pixels: np.ndarray, scale: float, channel: Channel) -> tuple[np.ndarray, np.ndarray | None]:
    """The shrunk field, and the mask of its nuclei (0 or 255); None where nothing stands out as nuclei do."""
    field = pixels
    if scale < 1:
        field = cv2.resize(pixels, _scaled(pixels.shape, scale), interpolation=cv2.INTER_AREA)
    axis = cv2.GaussianBlur(colour_axis(field, channel), (0, 0), 1.0)
    least, most = int(axis.min()), int(axis.max())
    if most - least < CONTRAST[channel]:
        return field, None
    step = (most - least) / 255  # the axis is stretched to 8 bits
    levels = cv2.convertScaleAbs(axis, alpha=1 / step, beta=-least / step)
    threshold = _threshold(cv2.calcHist([levels], [0], None, [256], [0, 256]).ravel(), CONTRAST[channel] / step)
    if threshold is None:
        return field, None
    nuclei = cv2.threshold(levels, threshold, 255, cv2.THRESH_BINARY)[1]
    return field, cv2.morphologyEx(nuclei, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))


def _threshold(histogram: np.ndarray, contrast: float) -> int | None:
    """The level above which nuclei lie; None where nothing stands out by `contrast` levels.

    Where white cells are rare, three clusters part the red cells among themselves: then what lies above the lowest cluster,
    the background, is parted again.
    """
    for _ in range(_ROUNDS):
        clusters = three_means(histogram)
        if clusters is None:
            return None
        if clusters.centres[2] - clusters.centres[1] >= contrast:
            return clusters.high
        histogram = np.where(np.arange(256) > clusters.low, histogram, 0)
    return None


def _diameter_from_nuclei(nuclei: np.ndarray) -> float:
    """A red cell's diameter as guessed from the nuclei: the area-weighted median of the circles in them is some 1.4 red cells."""
    count, labels = cv2.connectedComponents(nuclei, connectivity=8)
    distance = cv2.distanceTransform(nuclei, cv2.DIST_L2, 5)
    largest = np.zeros(count, distance.dtype)
    np.maximum.at(largest, labels.ravel().astype(np.intp), distance.ravel())
    radii = np.sort(largest[1:])
    covered = np.cumsum(radii**2)
    return max(float(2 * radii[np.searchsorted(covered, covered[-1] / 2)] / 1.4), 4.0) if len(radii) else 4.0


def _cells_of(nuclei: np.ndarray, diameter_px: float) -> list[tuple[np.ndarray, int, int]]:
    """Masks of single cells (bool, cropped) with the left and top of each, from a mask of all nuclei."""
    red_area = np.pi / 4 * diameter_px**2
    fill_holes(nuclei, lambda hole: cv2.contourArea(hole) < _HOLE * red_area)
    # beyond the picture's edge a nucleus goes on: a copied border keeps its distances
    padded = cv2.copyMakeBorder(nuclei, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    seeds = _seeds(distance, diameter_px)
    reach = 2 * round(REACH * diameter_px) + 1
    joined = cv2.dilate(nuclei, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    count, groups, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    seeds_of: dict[int, list[tuple[int, int]]] = {}
    for x, y in seeds:
        seeds_of.setdefault(int(groups[y, x]), []).append((x, y))
    found = []
    for group in range(1, count):
        left, top, width, height, _ = (int(value) for value in stats[group])
        place = np.s_[top : top + height, left : left + width]
        mask = (groups[place] == group) & (nuclei[place] > 0)
        inside = [(x - left, y - top) for x, y in seeds_of.get(group, [])]
        inside += _large_pieces(mask, distance[place], inside, LARGE_PIECE * red_area)
        for part in [mask] if len(inside) < 2 else _part(mask, distance[place], inside):
            if np.count_nonzero(part) < LEAST_AREA * red_area:
                continue
            rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            tight = part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            found.append((tight, left + int(columns[0]), top + int(rows[0])))
    return sorted(found, key=lambda one: (one[2], one[1]))


def _seeds(distance: np.ndarray, diameter_px: float) -> list[tuple[int, int]]:
    """x, y of one place in each nucleus that is a cell by itself: peaks of the distance transform with a neck between them.

    Peaks of two pieces have a gap between them, which is a neck: only those of one piece are held against each other.
    """
    _, pieces = cv2.connectedComponents((distance > 0).astype(np.uint8), connectivity=8)
    side = max(3, round(0.3 * diameter_px) | 1)
    ridge = cv2.dilate(distance, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    ys, xs = np.nonzero((distance >= ridge) & (distance >= WHOLE / 2 * diameter_px))
    seeds_of: dict[int, list[tuple[int, int]]] = {}
    for k in np.argsort(-distance[ys, xs], kind="stable"):
        x, y = int(xs[k]), int(ys[k])
        seeds = seeds_of.setdefault(int(pieces[y, x]), [])
        if all(_is_apart(distance, (x, y), other, diameter_px) for other in seeds):
            seeds.append((x, y))
    return [seed for seeds in seeds_of.values() for seed in seeds]


def _large_pieces(mask: np.ndarray, distance: np.ndarray, seeds: list[tuple[int, int]], least: float) -> list[tuple[int, int]]:
    """x, y within each large piece that has no seed, beside one that has: a lobed nucleus next to another cell's."""
    if not seeds:
        return []
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    taken = {int(pieces[y, x]) for x, y in seeds}
    found = []
    for piece in range(1, count):
        if piece not in taken and stats[piece, cv2.CC_STAT_AREA] >= least:
            y, x = np.unravel_index(int(np.where(pieces == piece, distance, -1).argmax()), mask.shape)
            found.append((int(x), int(y)))
    return found


def _is_apart(distance: np.ndarray, one: tuple[int, int], larger: tuple[int, int], diameter_px: float) -> bool:
    """Whether a neck lies on the line between two peaks."""
    length = float(np.hypot(one[0] - larger[0], one[1] - larger[1]))
    if length < NEAR * diameter_px:
        return False
    steps = np.linspace(0, 1, int(length) + 2)
    xs = np.rint(one[0] + (larger[0] - one[0]) * steps).astype(int)
    ys = np.rint(one[1] + (larger[1] - one[1]) * steps).astype(int)
    return bool(distance[ys, xs].min() <= NECK * distance[one[1], one[0]])


def _part(mask: np.ndarray, distance: np.ndarray, seeds: list[tuple[int, int]]) -> list[np.ndarray]:
    """Part a group of touching nuclei, a mask for each seed: a place goes to the circle that it is nearest to, which is where a
    watershed of the distance transform meets too. (`cv2.watershed` floods by the difference of neighbours, not by depth: on
    a smooth distance transform it leaves a square around one seed.)"""
    ys, xs = np.nonzero(mask)
    away = np.stack([np.hypot(xs - x, ys - y) - distance[y, x] for x, y in seeds])
    owner = np.zeros(mask.shape, np.int32)
    owner[ys, xs] = away.argmin(axis=0) + 1
    return [owner == k for k in range(1, len(seeds) + 1)]


def _cell(mask: np.ndarray, x: int, y: int, nuclei: np.ndarray, pixels: np.ndarray) -> Cell:
    """From a mask at (x, y) of the picture of all nuclei to a cell of the field."""
    (height, width), (all_height, all_width), (field_height, field_width) = mask.shape, nuclei.shape, pixels.shape[:2]
    along, down = field_width / all_width, field_height / all_height
    box = int(x * along), int(y * down), round((x + width) * along), round((y + height) * down)
    return Cell(box, mask, x == 0 or y == 0 or x + width == all_width or y + height == all_height)


def _scaled(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Width and height for OpenCV."""
    return max(round(shape[1] * scale), 1), max(round(shape[0] * scale), 1)
