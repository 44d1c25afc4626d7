"""The seam that every source of frames keeps to: frames, gaps where there should have been one, and notes for the record."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from leukolite.image_files import Unusable
from leukolite.manifest import Unit

LARGE_BYTES = 16 * 2**20  # of a picture's pixels: as large, it is held alone; else one may be read ahead, and the page keeps one
OLDEST_BELIEVABLE_S = 60.0  # a camera's time stamp that says more, or lies ahead, is of another clock


@dataclass(frozen=True, slots=True)
class Frame:
    """One capture.

    Attributes:
        pixels: uint8 RGB, shape (height, width, 3).
        index: its number in the source, from 0; a camera counts on over reopenings.
        captured_at: the clock's nanoseconds when the picture was taken; of a file's, when it was handed over.
        capture_ms: how long rendering, reading or decoding it took.
        source: the file's or camera's name.
        truth: the label it is known to have; None where nobody knows.
        timed_by: 'sensor' where `captured_at` is the camera's own time stamp, 'arrival' where it is when the picture was here.
    """

    pixels: np.ndarray
    index: int
    captured_at: int
    capture_ms: float
    source: str
    truth: str | None
    timed_by: Literal["sensor", "arrival"] = "arrival"


@dataclass(frozen=True, slots=True)
class Gap:
    """A frame that was not available, and why."""

    index: int
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that belongs in the record and is neither frame nor gap: a camera's locked exposure, a restart, a pause,
    a new slide.

    Attributes:
        event: what a journal calls it.
        slide: with 'new slide', its salted id.
        skipped: files of the source that it says are not classified.
    """

    source: str
    text: str
    event: Literal["note", "paused", "unpaused", "new slide"] = "note"
    slide: str | None = None
    skipped: tuple[Unusable, ...] = ()


@dataclass(frozen=True, slots=True)
class Arriving:
    """A live camera's next picture is here and will now be decoded. It is large: what waits makes room for it."""


Items = Generator[Frame | Gap | Note | Arriving, None, None]


class FrameSource(Protocol):
    """Yields frames, gaps and notes until it ends; each call of `frames` opens the device again, closing the generator closes it.

    Attributes:
        name: for people; never a password.
        truths: the labels its frames may carry.
        live: True where frames come whether somebody looks or not, so that only the newest counts.
    """

    name: str
    truths: tuple[str, ...]
    live: bool

    def frames(self) -> Items:
        """Raises: SourceError, if the device cannot be opened or is lost."""
        ...


Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What a camera is opened for.

    Attributes:
        unit, labels: of the model that will classify its frames.
        seed: of a camera that renders them.
        size: of the pictures; None takes the camera's own.
    """

    unit: Unit
    labels: tuple[str, ...]
    seed: int
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that is plugged in.

    Attributes:
        name: what to give to --camera.
        model: what it calls itself.
        lasting_names: other names for --camera, which are still this camera's when devices are numbered differently.
    """

    name: str
    model: str
    lasting_names: tuple[str, ...] = ()


def timed_frame(pixels: np.ndarray, index: int, started: int, ended: int, source: str, truth: str | None) -> Frame:
    """A frame that was made between two readings of the clock, nanoseconds."""
    return Frame(pixels, index, ended, (ended - started) / 1e6, source, truth)


def is_believable(age_ns: int) -> bool:
    """Whether a camera's own time stamp, so many nanoseconds old, can be a recent picture's."""
    return 0 <= age_ns <= OLDEST_BELIEVABLE_S * 1e9
