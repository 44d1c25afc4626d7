"""How a frame is looked at: the gate that may refuse it, and the locator that finds what is to be classified."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.geometry import Box


@dataclass(frozen=True, slots=True)
class Region:
    """What is to be judged of a frame.

    Attributes:
        box: where it lies in the frame.
        pixels: uint8 RGB as the bundle's training images were, shape (h, w, 3).
        excluded: why it must not be judged; None if it may.
    """

    box: Box
    pixels: np.ndarray
    excluded: str | None = None


# uint8 RGB frame -> why it must not be judged, None if it may. Reasons are counted by what stands before ' (' or ': ', so that
# figures go behind it: 'blurred (focus 12, at least 40)'
QualityGate = Callable[[np.ndarray], str | None]


def kind_of(reason: str) -> str:
    """A reason without its figures, by which it is counted."""
    return reason.partition(" (")[0].partition(": ")[0]


EMPTY = "empty field: no white cell stands out"


Locator = Callable[[np.ndarray], Sequence[Region]]  # uint8 RGB frame -> what is to be judged of it


def whole_box(pixels: np.ndarray) -> Box:
    """The box of all of a frame."""
    return 0, 0, pixels.shape[1], pixels.shape[0]


def whole_frame(pixels: np.ndarray) -> Sequence[Region]:
    """The locator of models that judge a field, and of frames that show one cell."""
    return (Region(whole_box(pixels), pixels),)


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a frame is looked at.

    Attributes:
        gate: says why the frame must not be judged; None lets it pass. It sees the frame before noise is added.
        locator: finds what is to be judged.
    """

    gate: QualityGate | None = None
    locator: Locator = whole_frame
