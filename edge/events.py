"""What the pipeline hands on: one immutable record a frame, to any number of sinks; and how another thread steers it."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from leukolite.classifier import Verdict
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.host.health import Health

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in the frame's pixels, x1 and y1 exclusive


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


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What really computed a verdict. `delegate` is the accelerator's library; None means the CPU."""

    name: str
    version: str
    threads: int
    delegate: str | None


@dataclass(frozen=True, slots=True)
class RegionResult:
    """One verdict on one area, or why there is none: exactly one of `verdict` and `excluded` is None.

    Attributes:
        sigma: of the noise added to the frame, grey levels.
    """

    box: Box
    sigma: float
    verdict: Verdict | None
    excluded: str | None


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything that was found out about one frame.

    Attributes:
        frame: the capture; a sink that keeps records keeps what it needs of them, not the pixels.
        areas: a verdict or exclusion for each area at each noise level, noise levels outermost; empty if `excluded`.
        excluded: why the whole frame was refused; None if it was not.
        truth: label index, where it is known.
        age_ms: from `frame.captured_at` to the last verdict.
        locate_ms: quality gate and locator, all noise levels together.
        skipped: frames of a live camera passed over for this one since the one before.
        runtime: what computed these verdicts.
        health: the machine's latest reading; `health.throttled` is None where the machine cannot tell.
        wall_time: seconds since 1970 when the record was made.
    """

    frame: Frame
    regions: tuple[RegionResult, ...]
    excluded: str | None
    truth: int | None
    age_ms: float
    locate_ms: float
    skipped: int
    runtime: RuntimeInfo
    health: Health
    wall_time: float


Event = FrameResult | Gap | Note | Health  # a Health where its conditions changed


class Sink(Protocol):
    """Takes what happens, in order, all from one thread.

    An exception ends the session (the other sinks are closed well): a sink without which the session is still of use keeps
    its troubles to itself and shows them in its own state.
    """

    def take(self, event: Event) -> None: ...

    def close(self) -> None:
        """Nothing comes after this; called once, however the session ends."""
        ...


class Control:
    """Pause, go on, change the slide and stop, from any thread or signal handler (no lock that a handler could wait for)."""

    def __init__(self) -> None:
        self._paused = False
        self._slides: deque[str] = deque()
        self._stopped_by: str | None = None

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def begin_slide(self, slide: str) -> None:
        """Another slide lies under the lens, by its salted id: frames captured before are not its."""
        self._slides.append(slide)

    def next_slide(self) -> str | None:
        """A slide that was begun and not yet asked for; None without any."""
        return self._slides.popleft() if self._slides else None

    def stop(self, by: str) -> None:
        """End the session after the frame in hand. `by` says who asked, as 'SIGTERM' or 'the user'; the first one counts."""
        if self._stopped_by is None:
            self._stopped_by = by

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def stopped_by(self) -> str | None:
        return self._stopped_by
