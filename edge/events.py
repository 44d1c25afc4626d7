"""What the pipeline hands on: one immutable record a frame, to any number of sinks; and how another thread steers it."""

from dataclasses import dataclass
from typing import Protocol

from leukolite.classifier import Verdict
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.host.health import Health
from leukolite.geometry import Box
from leukolite.runtime import RuntimeInfo


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
