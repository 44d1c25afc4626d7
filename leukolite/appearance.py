"""What a picture looks like in six numbers; `leukolite.convert.appearance` fits which of them a bundle allows.

A picture is measured as the network gets it (`leukolite.preprocess.crop_and_resize`), so that a field, a cell's crop of any
camera and the training images are on one scale. Colour is measured as differences of logarithms: light and exposure, which
multiply all channels alike, leave those as they are, and swapping red and blue turns the sign of one and nothing else. A mean
a* or b* would mix stain with exposure. Noise is averaged away first: colours are those of a picture 28 pixels wide.

Focus is the energy of fine detail over that of detail twice as coarse, which neither content nor contrast changes much and
noise only raises: noise never makes a picture look blurred. It is taken well inside what is lit, since a cell cut out on black
has a sharp outline however blurred it is. (Halving the picture instead of blurring it would be cheaper, but Haar's wavelets
leak: of C-NMC's cells blurred by sigma 3 they know 15%, not 100%.) Sources: Crete et al. 2007, The blur effect (a blurred
picture loses little when blurred again); Pertuz et al. 2013, Analysis of focus measure operators.
"""

import math
import threading
from typing import NamedTuple

import cv2
import numpy as np

from leukolite.manifest import RANGES, AppearanceRanges, Range

HALF_SIDE, SMALL_SIDE = 112, 28  # pixels: focus is measured on the first, light and colour on the second
LIT_LEVEL = 16  # grey levels; noise of sigma 20 on black, clipped and shrunk, is about 8
BLOWN_LEVEL = 250  # grey levels of the darkest channel
STAINED_PIXELS = 4  # of 28x28: half a percent, less than the only cell of a field takes

ONE_HUE = 0.02  # spread of logarithms of channel ratios: grey and tinted twins of fields have up to 0.017, stained ones 0.021 on

_LOG = np.log(np.arange(256) + 4.0).astype(np.float32)  # + 4: one grey level more or less in the dark is rounding
_STAIN_AND_RED = np.array([[0.5, -1.0, 0.5], [1.0, 0.0, -1.0]], np.float32)
_BLOWN, _WHITE = (BLOWN_LEVEL,) * 3, (255,) * 3
_INNER = np.ones((7, 7), np.uint8)  # pixels of 112: what the two filters reach
_FINE, _COARSE = (cv2.getGaussianKernel(size, sigma, cv2.CV_32F) for size, sigma in ((7, 1.0), (13, 2.0)))
_LEAST_INNER = 100  # pixels of 112x112
_ROUNDING, _FAINT = 0.01, 0.5  # grey levels squared: of detail that says nothing


class ImageStats(NamedTuple):
    """What a picture looks like. (A tuple, since a frozen dataclass takes three times as long to make.)

    Attributes:
        lit: share of the picture that is not black, 0..1; cells cut out on black have a fraction.
        light: 90th percentile of what is lit, grey levels; 0 where nothing is.
        blown: share of the picture where all channels are at their end, 0..1.
        contrast: standard deviation of what is lit, grey levels.
        stain: how purple or blue the most purple half percent is: mean logarithm of red and of blue over green.
        red_over_blue: logarithm of red over blue in the same pixels.
        focus: logarithm of the energy of detail of 1 to 2 pixels of 112 over that of detail of 2 to 4.
    """

    lit: float
    light: float
    blown: float
    contrast: float
    stain: float
    red_over_blue: float
    focus: float


def measure(pixels: np.ndarray) -> ImageStats:
    """Measure a picture, in about a tenth of a millisecond.

    Args:
        pixels: uint8 RGB as the network gets it, shape (height, width, 3).
    """
    # each step that is not needed, and each array that is there already, saves thousandths of a millisecond
    shrinks = min(pixels.shape[:2]) >= HALF_SIDE
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    half = cv2.resize(pixels, (HALF_SIDE, HALF_SIDE), _buffers.half, interpolation=kernel)
    small = cv2.resize(half, (SMALL_SIDE, SMALL_SIDE), _buffers.small, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    darkest, brightest, _, _ = cv2.minMaxLoc(grey)
    lit = None if darkest > LIT_LEVEL else _lit(grey)
    total = grey.size
    count = total if lit is None else cv2.countNonZero(lit)
    if count == 0:
        return ImageStats(lit=0.0, light=0.0, blown=0.0, contrast=0.0, stain=0.0, red_over_blue=0.0, focus=0.0)
    levels = grey.flatten() if lit is None else grey[lit.view(np.bool_)]
    brighter = int(0.9 * count)
    levels.partition(brighter)
    colours = cv2.transform(cv2.LUT(small, _LOG), _STAIN_AND_RED)
    purple = colours[..., 0].copy() if lit is None else colours[..., 0] * lit
    ordered = purple.flatten()
    ordered.partition(total - STAINED_PIXELS)
    stained = cv2.mean(colours, (purple >= ordered[total - STAINED_PIXELS]).view(np.uint8))
    return ImageStats(
        lit=count / total,
        light=float(levels[brighter]),
        blown=cv2.countNonZero(cv2.inRange(small, _BLOWN, _WHITE)) / total if brightest >= BLOWN_LEVEL else 0.0,
        contrast=cv2.meanStdDev(grey, mask=lit)[1].item(),
        stain=stained[0],
        red_over_blue=stained[1],
        focus=_focus(half, is_all_lit=lit is None),
    )


def is_colourless(pixels: np.ndarray) -> bool:
    """Whether all of a picture is of one hue, as grey and infra-red pictures and tinted ones are.

    Args:
        pixels: uint8 RGB, shape (height, width, 3).
    """
    small = cv2.resize(pixels, (SMALL_SIDE, SMALL_SIDE), interpolation=cv2.INTER_AREA)
    lit = _lit(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    _, spread = cv2.meanStdDev(cv2.transform(cv2.LUT(small, _LOG), _STAIN_AND_RED), mask=lit)
    return cv2.countNonZero(lit) > 0 and float(spread.max()) <= ONE_HUE


def is_below(value: float, allowed: Range) -> bool:
    """Whether a measurement lies below its range."""
    return allowed[0] is not None and value < allowed[0]


def is_above(value: float, allowed: Range) -> bool:
    """Whether a measurement lies above its range."""
    return allowed[1] is not None and value > allowed[1]


def describe(appearance: AppearanceRanges, form: str) -> str:
    """The ranges for people, their bounds in a number format such as '.2f'."""
    texts = []
    for name in RANGES:
        low, high = getattr(appearance, name)
        text = f"{low:{form}} to {high:{form}}" if low is not None and high is not None else ""
        text = text or (f"at most {high:{form}}" if low is None else f"at least {low:{form}}")
        texts.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(texts)


class _Buffers(threading.local):
    """What `measure` overwrites each time, one set per thread."""

    def __init__(self) -> None:
        self.half = np.empty((HALF_SIDE, HALF_SIDE, 3), np.uint8)
        self.small = np.empty((SMALL_SIDE, SMALL_SIDE, 3), np.uint8)
        self.grey = np.empty((HALF_SIDE, HALF_SIDE), np.uint8)
        self.fine, self.middle = np.empty((2, HALF_SIDE, HALF_SIDE), np.float32)


_buffers = _Buffers()


def _lit(grey: np.ndarray) -> np.ndarray:
    """1 where it is not black, uint8."""
    return cv2.threshold(grey, LIT_LEVEL, 1, cv2.THRESH_BINARY)[1]


def _focus(half: np.ndarray, *, is_all_lit: bool) -> float:
    grey = cv2.cvtColor(half, cv2.COLOR_RGB2GRAY, _buffers.grey)
    inner = None if is_all_lit else _inside(_lit(grey))
    fine = _buffers.fine
    np.copyto(fine, grey)
    middle = cv2.sepFilter2D(fine, cv2.CV_32F, _FINE, _FINE, _buffers.middle)
    count = fine.size if inner is None else max(cv2.countNonZero(inner), 1)
    first = cv2.norm(fine, middle, cv2.NORM_L2SQR, inner) / count
    coarse = cv2.sepFilter2D(fine, cv2.CV_32F, _COARSE, _COARSE, fine)  # in place: one array less to fetch
    second = cv2.norm(middle, coarse, cv2.NORM_L2SQR, inner) / count
    return math.log((first + _ROUNDING) / (second + _FAINT))


def _inside(lit: np.ndarray) -> np.ndarray:
    inner = cv2.erode(lit, _INNER, borderValue=1)
    return inner if cv2.countNonZero(inner) >= _LEAST_INNER else lit
