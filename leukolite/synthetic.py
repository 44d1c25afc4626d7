"""Stained blood smears rendered from a seed, with their truth: a stand-in for the microscope camera.

For demos, tests and golden inputs; smooth, since noise is `noise.py`'s. Light passes through the smear as it does on the
slide: each cell adds to the amount of three stains under a pixel, and absorbance (Beer and Lambert) turns amounts into
colour, so overlapping red cells darken each other and one stain setting holds for the whole image.

The two classes differ in form, as the French-American-British (FAB) descriptions of the lymphoblasts L1 and L2 have it: size
next to the red cells, nucleus to cytoplasm, outline, chromatin, nucleoli. All of it depends on one hidden number, the cell's
maturity, on which the classes overlap a little. Stain, light, focus and magnification never look at the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

LABELS = ("blast", "healthy")
MALIGNANT = ("blast",)

MEAN_WHITE_CELL_UM = 10.5
RED_CELL_UM = 7.5
DEFOCUS_UM = (0.04, 0.2)  # standard deviation of the blur, least and most

_EOSIN, _AZURE, _PURPLE, _SHADE = range(4)  # planes of the smear: red cells, cytoplasm, chromatin, lack of light
_STAINS = np.array(  # absorbance (natural logarithm) of one unit of each stain in R, G, B; by eye beside ALL-IDB2 and BCCD
    [[0.09, 0.37, 0.36], [0.36, 0.26, 0.08], [0.66, 1.40, 0.40]]
)
_BACKGROUND = np.array([230.0, 224.0, 216.0])

_HARMONICS = np.arange(2, 7)
_ANGLES = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_WAVES = np.concatenate([np.cos(np.outer(_HARMONICS, _ANGLES)), np.sin(np.outer(_HARMONICS, _ANGLES))])
_WAVE_WEIGHTS = np.tile((2 / _HARMONICS) ** 2, 2)


@dataclass(frozen=True)
class SyntheticCell:
    """The truth about one white cell.

    `label` is one of `LABELS`; `box` is (x0, y0, x1, y1) in pixels around nucleus and cytoplasm, x1 and y1 exclusive.
    """

    label: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class SyntheticField:
    """A rendered field: `pixels` uint8 RGB, shape (height, width, 3), and its white cells in no special order."""

    pixels: np.ndarray
    cells: tuple[SyntheticCell, ...]


@dataclass(frozen=True)
class _Trait:
    """What a cell looks like in one respect, as a line from blast to mature lymphocyte with some spread around it."""

    blast: float
    mature: float
    spread: float
    low: float
    high: float

    def draw(self, rng: np.random.Generator, maturity: float) -> float:
        value = rng.normal(self.blast + maturity * (self.mature - self.blast), self.spread)
        return float(min(max(value, self.low), self.high))


_DIAMETER_UM = _Trait(12.6, 8.6, 0.8, low=7.0, high=17.0)
_NUCLEUS = _Trait(0.94, 0.78, 0.025, low=0.68, high=0.97)  # diameter, of the cell's
_ROUGHNESS = _Trait(0.055, 0.020, 0.010, low=0.008, high=0.09)  # of the outlines, of the radius
_CLEFT = _Trait(0.13, -0.06, 0.12, low=0.0, high=0.40)  # depth of the nucleus's indentation, of its radius
_CLUMP_UM = _Trait(0.55, 1.05, 0.10, low=0.35, high=1.4)  # grain of the chromatin
_CONTRAST = _Trait(0.10, 0.28, 0.04, low=0.03, high=0.40)  # of the clumps, of the density
_DENSITY = _Trait(0.80, 0.96, 0.07, low=0.6, high=1.2)  # of the chromatin, in units of stain
_NUCLEOLI = _Trait(1.7, -0.7, 0.9, low=0.0, high=3.0)


@dataclass(frozen=True)
class _WhiteCell:
    """One cell in the image; `outline` is float64 (64, 2), x and y in pixels from its `centre`."""

    label: str
    maturity: float
    outline: np.ndarray
    centre: np.ndarray

    @property
    def radius(self) -> float:
        return float(np.hypot(*self.outline.T).max())

    @property
    def box(self) -> tuple[int, int, int, int]:
        x0, y0 = np.floor(self.centre + self.outline.min(axis=0)).astype(int).tolist()
        x1, y1 = np.ceil(self.centre + self.outline.max(axis=0)).astype(int).tolist()
        return x0, y0, x1 + 1, y1 + 1


def render_field(
    rng: np.random.Generator,
    *,
    width: int = 640,
    height: int = 480,
    cell_diameter: float = 60.0,
    blast_fraction: float = 0.5,
    white_cells: int | None = None,
) -> SyntheticField:
    """Render one field of a smear: red cells that may overlap, platelets, and white cells that lie apart and fully inside.

    Args:
        rng: source of everything random; the same state gives the same pixels.
        width, height: of the field in pixels, each at least twice `cell_diameter`.
        cell_diameter: of an average white cell (10.5 um) in pixels, 8 or more; it sets the magnification.
        blast_fraction: probability of each white cell to be a blast, 0 to 1.
        white_cells: how many to place; None draws 2 to 8, fewer where the field has no room for them.

    Raises:
        ValueError: an argument is out of its range, or the field has no room for `white_cells`.
    """
    if not 0 <= blast_fraction <= 1:
        raise ValueError(f"blast_fraction must be from 0 to 1, found {blast_fraction}")
    if not cell_diameter >= 8:
        raise ValueError(f"cell_diameter must be at least 8 pixels, found {cell_diameter}")
    if min(width, height) < 2 * cell_diameter:
        raise ValueError(f"{width}x{height} is too small for cells of {cell_diameter} pixels; expected twice that each way")
    if white_cells is not None and white_cells < 0:
        raise ValueError(f"white_cells must be 0 or more, found {white_cells}")
    px_per_um = cell_diameter / MEAN_WHITE_CELL_UM
    wanted = int(rng.integers(2, 9)) if white_cells is None else white_cells
    placed: list[_WhiteCell] = []
    for _ in range(wanted):
        label = "blast" if rng.random() < blast_fraction else "healthy"
        maturity = _draw_maturity(rng, label)
        cell = _grow(rng, label, maturity, _DIAMETER_UM.draw(rng, maturity) * px_per_um)
        placed += _place(rng, cell, placed, width, height)
    if white_cells is not None and len(placed) < wanted:
        raise ValueError(f"{width}x{height} has room for {len(placed)} of {wanted} white cells; ask for fewer or smaller ones")
    smear = _smear(rng, width, height, px_per_um, placed)
    pixels = _develop(rng, smear, blur=px_per_um * rng.uniform(*DEFOCUS_UM))
    return SyntheticField(pixels, tuple(SyntheticCell(cell.label, cell.box) for cell in placed))


def render_cell(rng: np.random.Generator, label: str, *, size: int = 256) -> np.ndarray:
    """Render a square frame with one white cell near its centre, red cells and perhaps a platelet around it.

    The cell fills 0.35 to 0.6 of the frame whatever its class: its true size shows only next to the red cells.

    Args:
        rng: source of everything random; the same state gives the same pixels.
        label: one of `LABELS`.
        size: side of the frame in pixels, 32 or more.

    Returns:
        uint8 RGB, shape (size, size, 3).

    Raises:
        ValueError: `label` is unknown or `size` is too small.
    """
    if label not in LABELS:
        raise ValueError(f"unknown label {label!r}; expected one of {', '.join(LABELS)}")
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, found {size}")
    maturity = _draw_maturity(rng, label)
    diameter = size * rng.uniform(0.35, 0.6)
    px_per_um = diameter / _DIAMETER_UM.draw(rng, maturity)
    cell = _grow(rng, label, maturity, diameter)
    cell = replace(cell, centre=size * (0.5 + rng.uniform(-0.04, 0.04, size=2)))
    smear = _smear(rng, size, size, px_per_um, [cell])
    # the scale of an average cell, not of this one: blur in pixels would tell the class
    return _develop(rng, smear, blur=0.475 * size / MEAN_WHITE_CELL_UM * rng.uniform(*DEFOCUS_UM))


def _draw_maturity(rng: np.random.Generator, label: str) -> float:
    """0 is the textbook's blast, 1 its lymphocyte; a small L1 blast or a reactive lymphocyte lies between them."""
    distance = rng.beta(1.3, 10.0)
    return float(distance if label == "blast" else 1 - distance)


def _grow(rng: np.random.Generator, label: str, maturity: float, diameter: float) -> _WhiteCell:
    radii = diameter / 2 * _wobble(rng, _ROUGHNESS.draw(rng, maturity))
    return _WhiteCell(label, maturity, radii[:, None] * _CIRCLE, centre=np.zeros(2))


def _wobble(rng: np.random.Generator, roughness: float) -> np.ndarray:
    """Radii of a closed outline about 1, shape (64,): a Fourier series of few, falling, random terms."""
    return 1 + roughness * (rng.standard_normal(len(_WAVES)) * _WAVE_WEIGHTS) @ _WAVES


def _place(rng: np.random.Generator, cell: _WhiteCell, placed: Sequence[_WhiteCell], width: int, height: int) -> list[_WhiteCell]:
    """`cell` somewhere inside the field and clear of those placed; nothing when a hundred tries found no such place."""
    margin = cell.radius + 2
    if 2 * margin < min(width, height):
        for _ in range(100):
            moved = replace(cell, centre=rng.uniform(margin, (width - margin, height - margin)))
            x0, y0, x1, y1 = moved.box
            if all(x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0 for a0, b0, a1, b1 in (other.box for other in placed)):
                return [moved]
    return []


def _smear(rng: np.random.Generator, width: int, height: int, px_per_um: float, whites: Sequence[_WhiteCell]) -> np.ndarray:
    """Amounts of the three stains and of shade under each pixel, float32 (height, width, 4)."""
    smear = np.zeros((height, width, 4), np.float32)
    _scatter_red_cells(rng, smear, px_per_um, whites)
    _scatter_platelets(rng, smear, px_per_um, whites)
    for cell in whites:
        _paint_white_cell(rng, smear, cell, px_per_um)
    return smear


def _scatter_red_cells(rng: np.random.Generator, smear: np.ndarray, px_per_um: float, whites: Sequence[_WhiteCell]) -> None:
    """A jittered hexagonal grid with gaps. Eight shapes a field, each in eight orientations, look like many and cost little."""
    radius = RED_CELL_UM / 2 * px_per_um
    stamps = [_red_cell(rng, radius * rng.normal(1, 0.06)) for _ in range(8)]
    pitch = 2 * radius * rng.uniform(1.0, 1.2)
    height, width = smear.shape[:2]
    rows, columns = np.mgrid[-1 : height / (0.866 * pitch) + 1, -1 : width / pitch + 1]
    centres = np.stack([(columns + rows % 2 / 2).ravel() * pitch, rows.ravel() * 0.866 * pitch], axis=1)
    centres += rng.uniform(0, pitch, size=2) + rng.normal(0, 0.2 * pitch, size=centres.shape)
    centres = centres[rng.random(len(centres)) < rng.uniform(0.55, 0.95)]
    centres = centres[_clear_of(centres, whites, 0.7 * radius)]
    picks = rng.integers(0, [len(stamps), 4, 2], size=(len(centres), 3))
    for (x, y), (which, turns, flip) in zip(centres.tolist(), picks.tolist(), strict=True):
        stamp = np.rot90(stamps[which], turns)
        _add(smear[..., _EOSIN], stamp[::-1] if flip else stamp, x, y)


def _red_cell(rng: np.random.Generator, radius: float) -> np.ndarray:
    """Amount of eosin in a disc that is thin in the middle, float32, square."""
    side = int(2.6 * radius) | 1
    disc = _filled(radius * _wobble(rng, 0.04)[:, None] * _CIRCLE + side // 2, (side, side))
    along = (np.arange(side, dtype=np.float32) - side // 2) / np.float32(radius)
    squared = along[:, None] ** 2 + along**2
    pallor, width = rng.uniform(0.25, 0.75), rng.uniform(0.35, 0.55)
    return disc * (rng.uniform(0.85, 1.05) + 0.1 * squared - pallor * np.exp(-((squared / width**2) ** 1.5))).astype(np.float32)


def _scatter_platelets(rng: np.random.Generator, smear: np.ndarray, px_per_um: float, whites: Sequence[_WhiteCell]) -> None:
    height, width = smear.shape[:2]
    centres = rng.uniform(0, (width, height), size=(rng.poisson(width * height / px_per_um**2 / 1500), 2))
    for x, y in centres[_clear_of(centres, whites, 2.0 * px_per_um)].tolist():
        radius = rng.uniform(0.8, 1.5) * px_per_um
        side = int(2.8 * radius) | 1
        grain = 0.45 + 0.15 * _clumps(rng, (side, side), 0.5 * px_per_um)
        stamp = _filled(radius * _wobble(rng, 0.08)[:, None] * _CIRCLE + side // 2, (side, side)) * grain
        _add(smear[..., _PURPLE], stamp, x, y)


def _paint_white_cell(rng: np.random.Generator, smear: np.ndarray, cell: _WhiteCell, px_per_um: float) -> None:
    """Lay the cell over what is there: cytoplasm, then the nucleus with its chromatin, cleft and nucleoli."""
    x0, y0, x1, y1 = cell.box
    patch = smear[y0:y1, x0:x1]
    shape = (y1 - y0, x1 - x0)
    middle = cell.centre - (x0, y0)

    part = _NUCLEUS.draw(rng, cell.maturity)
    towards = np.cos(_ANGLES - rng.uniform(0, 2 * np.pi))
    cleft = _CLEFT.draw(rng, cell.maturity) * np.exp((towards - 1) / rng.uniform(0.04, 0.12))
    radii = part * (_wobble(rng, _ROUGHNESS.draw(rng, cell.maturity)) - cleft)
    shift = (1 - part) * cell.radius * rng.uniform(0, 0.9) * _CIRCLE[rng.integers(len(_CIRCLE))]
    nucleus_outline = middle + shift + radii[:, None] * cell.outline

    whole = _filled(middle + cell.outline, shape)
    soft = max(0.12 * px_per_um, 0.4)  # the nuclear membrane is not a knife's edge
    nucleus = cv2.GaussianBlur(np.minimum(_filled(nucleus_outline, shape), whole), (0, 0), soft)
    inside = cv2.GaussianBlur(nucleus, (0, 0), 0.5 * px_per_um)

    clumps = np.tanh(1.5 * _clumps(rng, shape, _CLUMP_UM.draw(rng, cell.maturity) * px_per_um))
    chromatin = 1 + _CONTRAST.draw(rng, cell.maturity) * clumps
    chromatin += 0.04 * _clumps(rng, shape, 0.35 * px_per_um) + 0.25 * (1 - inside)
    chromatin *= 1 - _nucleoli(rng, shape, middle + shift, cell, px_per_um)
    cytoplasm = rng.uniform(0.55, 1.0) * (1 + 0.12 * _clumps(rng, shape, 1.2 * px_per_um) - 0.8 * inside)

    patch *= (1 - whole)[..., None]
    patch[..., _AZURE] += whole * cytoplasm
    patch[..., _PURPLE] += nucleus * chromatin * np.float32(_DENSITY.draw(rng, cell.maturity))


def _nucleoli(
    rng: np.random.Generator, shape: tuple[int, int], middle: np.ndarray, cell: _WhiteCell, px_per_um: float
) -> np.ndarray:
    """By how much the chromatin is thinned, float32 0..1."""
    thinned = np.zeros(shape, np.float32)
    for _ in range(round(_NUCLEOLI.draw(rng, cell.maturity))):
        place = middle + rng.uniform(0, 0.55) * cell.outline[rng.integers(len(_CIRCLE))]
        outline = place + px_per_um * rng.uniform(0.6, 1.1) * _wobble(rng, 0.08)[:, None] * _CIRCLE
        np.maximum(thinned, rng.uniform(0.25, 0.45) * _filled(outline, shape), out=thinned)
    return cv2.GaussianBlur(thinned, (0, 0), max(0.2 * px_per_um, 0.4))


def _develop(rng: np.random.Generator, smear: np.ndarray, blur: float) -> np.ndarray:
    """Turn amounts of stain into the camera's uint8 RGB: stain mixture, uneven light, white balance, focus."""
    height, width = smear.shape[:2]
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    (tilt_x, tilt_y), vignette = rng.normal(0, 0.03, size=2), rng.uniform(0, 0.05)
    smear[..., _SHADE] = tilt_x * x + vignette * x**2
    smear[..., _SHADE] += (tilt_y * y + vignette * y**2).astype(np.float32)[:, None]

    stains = _STAINS * rng.normal(1, 0.06, size=(3, 3)) * np.exp(rng.normal(0, 0.12, size=(3, 1)) + rng.normal(0, 0.12))
    background = np.log(_BACKGROUND * rng.uniform(0.78, 1.06) * rng.normal(1, 0.018, size=3))
    to_log_rgb = np.column_stack([-stains.T, -np.ones(3), background])
    light = cv2.transform(smear, to_log_rgb)
    pixels = cv2.convertScaleAbs(cv2.exp(light, light))  # rounds, clips and casts
    return cv2.GaussianBlur(pixels, (0, 0), max(0.5, blur))


def _clear_of(centres: np.ndarray, whites: Sequence[_WhiteCell], distance: float) -> np.ndarray:
    """Which of `centres` (n, 2) lie at least `distance` pixels away from every white cell, bool (n,)."""
    clear = np.ones(len(centres), bool)
    for cell in whites:
        clear &= np.hypot(*(centres - cell.centre).T) > cell.radius + distance
    return clear


def _clumps(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> np.ndarray:
    """Smooth random texture about 0 with unit spread, float32, whose blobs are about `grain` pixels wide."""
    step = max(grain / 2, 1.0)
    coarse = rng.standard_normal((int(shape[0] / step) + 2, int(shape[1] / step) + 2), dtype=np.float32)
    smooth = 3.5 * cv2.GaussianBlur(coarse, (5, 5), 1.0)  # 3.5: what this blur takes from the spread of white noise
    return cv2.resize(smooth, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _filled(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The inside of an outline (n, 2) of x and y in pixels, float32 0..1 with a smooth edge."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return mask * np.float32(1 / 255)


def _add(plane: np.ndarray, stamp: np.ndarray, x: float, y: float) -> None:
    """Add `stamp` to `plane` with its middle at x, y, less where something lies already: cells flatten on one another."""
    height, width = stamp.shape
    left, top = round(x) - width // 2, round(y) - height // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, plane.shape[1]), min(top + height, plane.shape[0])
    if x0 < x1 and y0 < y1:
        under = plane[y0:y1, x0:x1]
        under += stamp[y0 - top : y1 - top, x0 - left : x1 - left] * (1 - 0.5 * np.minimum(under, 1))
