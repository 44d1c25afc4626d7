"""The loop from frame to verdict, until the source ends, a limit is reached or somebody stops it.

source -> newest frame -> age -> quality gate -> locator -> judge -> sinks
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np

from leukolite.classifier import Classifier
from leukolite.clock import Clock
from leukolite.edge.camera.capture import Arrival, ReconnectPolicy, arrivals
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Note, match_truths
from leukolite.edge.control import Control
from leukolite.edge.counts import SessionCounts
from leukolite.edge.events import Event, FrameResult, RegionResult, Sink
from leukolite.edge.field.view import EMPTY, QualityGate, Treatment, whole_box
from leukolite.edge.host.health import Health, HealthMonitor
from leukolite.edge.host.watchdog import RestartPolicy, RuntimeStuck
from leukolite.errors import LeukoliteError, RuntimeUnavailable, SourceError
from leukolite.noise import add_gaussian_noise, noise_rng
from leukolite.runtime import RuntimeInfo

OpenClassifier = Callable[[], Classifier]  # proves the bundle anew


@dataclass(frozen=True, slots=True)
class Limits:
    """When a session ends by itself, and which frames are too old.

    Attributes:
        frames: so many frames with a record.
        seconds: no further frame is asked for after so long.
        age_ms: a frame older than this when its turn comes is excluded.
    """

    frames: int | None = None
    seconds: float | None = None
    age_ms: float | None = None


@dataclass(frozen=True, slots=True)
class FrameProcessing:
    """What is done to each frame before the judge sees it.

    Attributes:
        view_of: how a frame is looked at, decided on the frame as it came; by default whole and ungated.
        motion: a gate that knows the frames before; asked of what the view's gate lets pass.
        sigmas: standard deviations of the noise added, grey levels; (0,) for the frames as they are.
        seed: of the noise.
        on_new_slide: told before a new slide's first frame.
    """

    view_of: Callable[[np.ndarray], Treatment] = lambda pixels: Treatment()
    motion: QualityGate | None = None
    sigmas: Sequence[float] = (0.0,)
    seed: int = 0
    on_new_slide: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Session:
    """How a run of the edge runner went.

    Attributes:
        tally: the counts.
        unknown_truths: class folders that are none of the model's labels.
        seconds: wall clock, from the first frame asked for to the last verdict.
        stopped_by: who ended it early; None where the source ended or a limit was reached.
        failure: what ended it after the first frame: a camera that was lost for good, a runtime that hung too often.
        runtime: what computed the last verdict.
        restarts: runtimes that were given up.
    """

    source: str
    tally: SessionCounts
    unknown_truths: tuple[str, ...]
    seconds: float
    stopped_by: str | None
    failure: LeukoliteError | None
    runtime: RuntimeInfo
    restarts: int


def run(
    source: FrameSource,
    classifier: Classifier,
    sinks: Sequence[Sink],
    steps: FrameProcessing = FrameProcessing(),
    limits: Limits = Limits(),
    *,
    control: Control | None = None,
    health: HealthMonitor | None = None,
    reopening: ReconnectPolicy = ReconnectPolicy(),  # noqa: B008  # immutable
    restart: OpenClassifier | None = None,
    restarting: RestartPolicy = RestartPolicy(),  # noqa: B008  # immutable
    clock: Clock = time.perf_counter_ns,
    wall_clock: Callable[[], float] = time.time,
) -> Session:
    """Judge a source's frames and tell the sinks; close the sinks, however it ends.

    Args:
        control: pauses and stops, from other threads and signal handlers.
        health: read between frames; None knows nothing of the machine.
        restart: makes a new judge when the runtime hangs; None ends the session then.

    Returns:
        Also of a session that failed, so that what it saw is not lost; see `Session.failure`.

    Raises:
        SourceError: there was not a single frame.
        RuntimeUnavailable: the runtime hung too often before the first verdict.
    """
    control = control or Control()
    known, unknown = match_truths(source.truths, classifier.labels)
    tally = SessionCounts(classifier.labels, classifier.malignant)
    monitor = health or HealthMonitor(Health, clock)
    loop = _Loop(classifier, (tally, *sinks), steps, limits, known, monitor, restart, restarting, clock, wall_clock)
    started = clock()
    failure: LeukoliteError | None = None
    with ExitStack() as closings:
        for sink in sinks:
            closings.callback(sink.close)
        try:
            with closing(arrivals(source, control, reopening, clock=clock)) as items:
                for arrival in items:
                    loop.look_at_health()
                    if arrival is not None and control.stopped_by is None:
                        loop.handle(arrival)
                    over = limits.seconds is not None and clock() - started >= limits.seconds * 1e9
                    if control.stopped_by is not None or tally.frames == limits.frames or over:
                        break
            if tally.frames == 0 and control.stopped_by is None:
                gap = tally.first_gap
                reason = "" if gap is None else f": {gap.source}: {gap.reason}"
                raise SourceError(f"{source.name}: not one frame could be read{reason}")
        except LeukoliteError as error:
            failure = error
        by = f" by {control.stopped_by}" if control.stopped_by else ""
        try:
            loop.tell(Note(source.name, f"session ended{by}" if failure is None else f"session failed: {failure}"))
        except LeukoliteError as error:  # a disk that becomes full with this very note
            failure = failure or error
        if failure is not None and tally.frames == 0:
            raise failure
        seconds = (clock() - started) / 1e9
    return Session(source.name, tally, tuple(unknown), seconds, control.stopped_by, failure, loop.runtime, loop.restarts)


class _Loop:
    """What `run` carries from one frame to the next."""

    def __init__(
        self,
        classifier: Classifier,
        sinks: Sequence[Sink],
        steps: FrameProcessing,
        limits: Limits,
        known: Mapping[str, int],
        monitor: HealthMonitor,
        restart: OpenClassifier | None,
        restarting: RestartPolicy,
        clock: Clock,
        wall_clock: Callable[[], float],
    ) -> None:
        self._judge, self._sinks, self._steps, self._limits = classifier, sinks, steps, limits
        self._known, self._monitor, self._clock, self._wall_clock = known, monitor, clock, wall_clock
        self._restart, self._restarting = restart, restarting
        self.runtime, self.restarts = _runtime_of(classifier), 0

    def look_at_health(self) -> None:
        changed = self._monitor.poll()
        if changed is not None:
            self.tell(changed)

    def handle(self, arrival: Arrival) -> None:
        if not isinstance(arrival.item, Frame):
            if isinstance(arrival.item, Note) and arrival.item.event == "new slide":
                self._steps.on_new_slide()
            self.tell(arrival.item)
            return
        try:
            self.tell(self._record(arrival.item, arrival.skipped))
        except RuntimeStuck as error:
            self._begin_again(arrival.item, error)

    def _record(self, frame: Frame, skipped: int) -> FrameResult:
        steps, located_ns = self._steps, 0
        excluded = _too_old(frame, self._clock(), self._limits.age_ms)
        if excluded is None:
            started = self._clock()
            view = steps.view_of(frame.pixels)
            gates = (gate for gate in (view.gate, steps.motion) if gate is not None)
            excluded = next((reason for gate in gates if (reason := gate(frame.pixels)) is not None), None)
            located_ns += self._clock() - started
        regions: list[RegionResult] = []
        for sigma in steps.sigmas if excluded is None else ():
            pixels = frame.pixels
            if sigma:
                pixels = add_gaussian_noise(pixels, sigma, noise_rng(steps.seed, frame.index, sigma))
            started = self._clock()
            found = view.locator(pixels)
            located_ns += self._clock() - started
            for region in found:
                verdict = self._judge(region.pixels, capture_ms=frame.capture_ms) if region.excluded is None else None
                regions.append(RegionResult(region.box, sigma, verdict, region.excluded))
        if excluded is None and not regions:
            excluded = EMPTY
        # a field's truth is not that of each cell in it
        is_whole = all(region.box == whole_box(frame.pixels) for region in regions)
        return FrameResult(
            frame=frame,
            regions=tuple(regions),
            excluded=excluded,
            truth=self._known.get(frame.truth) if frame.truth is not None and is_whole else None,
            age_ms=(self._clock() - frame.captured_at) / 1e6,
            locate_ms=located_ns / 1e6,
            skipped=skipped,
            runtime=self.runtime,
            health=self._monitor.latest,
            wall_time=self._wall_clock(),
        )

    def _begin_again(self, frame: Frame, error: RuntimeStuck) -> None:
        """A frame that a runtime hung on is a gap; the runtime is replaced, a few times."""
        self.tell(Gap(frame.index, frame.source, f"no verdict: {error}"))
        if self._restart is None or self.restarts >= self._restarting.times:
            raise RuntimeUnavailable(f"{error}; given up after {self.restarts} restarts") from error
        self.restarts += 1
        self._judge = self._restart()
        self.runtime = _runtime_of(self._judge)
        self.tell(Note(frame.source, f"runtime {self.runtime.name} restarted, {self.restarts} of {self._restarting.times} times"))

    def tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink.take(event)


def _runtime_of(classifier: Classifier) -> RuntimeInfo:
    runtime = classifier.runtime
    return RuntimeInfo(runtime.name, runtime.version, runtime.threads, runtime.delegate)


def _too_old(frame: Frame, now: int, limit_ms: float | None) -> str | None:
    age_ms = (now - frame.captured_at) / 1e6
    if age_ms < 0:
        return f"time stamp in the future (by {-age_ms:.0f} ms)"
    if limit_ms is not None and age_ms > limit_ms:
        return f"too old ({age_ms:.0f} ms, at most {limit_ms:g} ms)"
    return None
