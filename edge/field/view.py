"""How a frame is treated: the gate that may refuse it, and the regions of it that are classified."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.clock import Clock
from leukolite.edge.field.exclusion import Exclusion
from leukolite.geometry import Box


@dataclass(frozen=True, slots=True)
class Region:
    """What is to be classified of a frame.

    Attributes:
        box: where it lies in the frame.
        square: the network's picture of it, uint8 RGB; None where it was excluded before one was made.
        excluded: why it must not be classified; None if it may.
        cut: makes the same picture of the same place in another frame, as the one without noise; None where nothing can.
    """

    box: Box
    square: np.ndarray | None
    excluded: Exclusion | None = None
    cut: "Shrink | None" = None


QualityGate = Callable[[np.ndarray], Exclusion | None]  # uint8 RGB picture -> why it must not be classified, None if it may
Locator = Callable[[np.ndarray], Sequence[Region]]  # uint8 RGB frame -> what is to be classified of it
Shrink = Callable[[np.ndarray], np.ndarray]  # uint8 RGB picture -> the network's picture of it, see `Classifier.shrink`


def whole_box(pixels: np.ndarray) -> Box:
    """The box of all of a frame."""
    return 0, 0, pixels.shape[1], pixels.shape[0]


@dataclass(frozen=True, slots=True)
class FrameInspection:
    """A frame that was looked at before anything is classified.

    Attributes:
        excluded: why nothing of it must be classified; None if it may.
        square: the network's picture of the whole frame; None where regions are looked for.
        gate_ms, shrink_ms: what it took.
    """

    excluded: Exclusion | None
    square: np.ndarray | None
    gate_ms: float
    shrink_ms: float


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a frame is treated: shrunk once and classified whole, or searched for regions.

    Attributes:
        shrink: makes the network's picture of a whole frame; unused where there is a locator.
        gate: of the network's picture, or of the frame itself where there is a locator; None lets everything pass. It sees the
            frame before noise is added.
        locator: finds regions; None for models that classify a field, and for frames that show one cell.
    """

    shrink: Shrink
    gate: QualityGate | None = None
    locator: Locator | None = None

    def inspect(self, pixels: np.ndarray, clock: Clock) -> FrameInspection:
        """Shrink a frame that is classified whole, and ask the gate.

        Args:
            pixels: uint8 RGB, shape (height, width, 3).
        """
        started = clock()
        square = self.shrink(pixels) if self.locator is None else None
        shrunk = clock()
        excluded = None if self.gate is None else self.gate(pixels if square is None else square)
        return FrameInspection(excluded, square, (clock() - shrunk) / 1e6, (shrunk - started) / 1e6)
