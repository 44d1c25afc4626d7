"""What the pipeline hands on: one immutable result per frame, and whatever else happens, to any number of sinks."""

from dataclasses import dataclass
from typing import Protocol

from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.ending import Ending
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.host.health import Health
from leukolite.geometry import Box
from leukolite.runtime import RuntimeInfo


@dataclass(frozen=True, slots=True)
class RegionResult:
    """One verdict on one region, or why there is none: exactly one of `verdict` and `excluded` is None.

    Attributes:
        sigma: of the noise added, grey levels.
        effective_sigma: of the noise that reached the network, measured on its picture; None: not measured.
    """

    box: Box
    sigma: float
    verdict: Verdict | None
    excluded: Exclusion | None
    effective_sigma: float | None = None


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything that was found out about one frame.

    Attributes:
        frame: the capture; a sink that keeps results keeps what it needs of them, not the pixels.
        regions: a verdict or exclusion for each region at each noise level, noise levels outermost; empty if `excluded`.
        excluded: why the whole frame was refused; None if it was not.
        truth: label index, where it is known.
        age_ms: from `frame.captured_at` to the last verdict.
        locate_ms: quality gates and locator, all noise levels together.
        skipped: frames of a live camera that this one overtook.
        runtime: what computed these verdicts.
        health: the machine's latest reading; `health.throttled` is None where the machine cannot tell.
        wall_time: seconds since 1970 when the result was made.
    """

    frame: Frame
    regions: tuple[RegionResult, ...]
    excluded: Exclusion | None
    truth: int | None
    age_ms: float
    locate_ms: float
    skipped: int
    runtime: RuntimeInfo
    health: Health
    wall_time: float

    def at_sigma(self, sigma: float) -> tuple[RegionResult, ...]:
        """The regions at one noise level."""
        return tuple(region for region in self.regions if region.sigma == sigma)

    def latency(self, sigma: float) -> Latency:
        """What the frame's verdicts at one noise level took, one after the other; it was captured and searched once."""
        each = [region.verdict.latency for region in self.at_sigma(sigma) if region.verdict is not None]
        locate = each[0].locate if each else self.locate_ms
        return Latency.of(self.frame.capture_ms, locate, sum(one.preprocess for one in each), sum(one.invoke for one in each))


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """The session's last event."""

    source: str
    ending: Ending

    @property
    def text(self) -> str:
        """For records and people."""
        return f"session {self.ending}"


Event = FrameResult | Gap | Note | Health | SessionEnd  # a Health where its conditions changed


class Sink(Protocol):
    """Takes what happens, in order, all from one thread; other sinks take the same events, so that none is changed.

    An exception ends the session (the other sinks are told of the end and closed all the same): a sink without which the
    session is still of use keeps its troubles to itself and shows them in its own state.
    """

    def take(self, event: Event) -> None: ...

    def close(self) -> None:
        """Nothing comes after this; called once, however the session ends. A second call does no harm."""
        ...
