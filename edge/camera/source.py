"""What every source of frames speaks: frames, gaps where there should have been one, and notes for the record."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

Clock = Callable[[], int]  # nanoseconds, monotonic: time.perf_counter_ns is CLOCK_MONOTONIC on Linux, as V4L2's buffers


@dataclass(frozen=True, slots=True)
class Frame:
    """One capture.

    Attributes:
        pixels: uint8 RGB, shape (height, width, 3).
        index: its number in the source, from 0; a camera counts on over reopenings.
        captured_at: the clock's nanoseconds when the picture was taken.
        capture_ms: how long rendering, reading or decoding it took.
        source: the file's or camera's name.
        truth: the label it is known to have; None where nobody knows.
        timed_by: 'sensor' where `captured_at` is the camera's own time stamp, 'arrival' where it is when the picture was here.
        preview: the camera's own small copy, uint8 RGB; None where it makes none.
    """

    pixels: np.ndarray
    index: int
    captured_at: int
    capture_ms: float
    source: str
    truth: str | None
    timed_by: Literal["sensor", "arrival"] = "arrival"
    preview: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A frame that could not be had, and why."""

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
    """

    source: str
    text: str
    event: Literal["note", "paused", "unpaused", "new slide"] = "note"
    slide: str | None = None


Items = Generator[Frame | Gap | Note, None, None]


class FrameSource(Protocol):
    """Yields frames, gaps and notes until it ends; each call of `frames` opens the device anew, closing the generator closes it.

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
