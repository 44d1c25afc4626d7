"""The loop from frame to verdict, until the source ends, a limit is reached or somebody stops it.

source -> newest frame -> age -> quality gate -> locator -> classify -> decide -> sinks
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from leukolite.classifier import Classifier
from leukolite.clock import Clock
from leukolite.edge.camera.capture import Arrival, ReconnectPolicy, arrivals
from leukolite.edge.camera.remaining import NothingLeft
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Note
from leukolite.edge.classify import Classified, FrameProcessing, classify_frame, whole_and_ungated
from leukolite.edge.control import Control
from leukolite.edge.counts import Session, SessionCounts
from leukolite.edge.ending import EndedBy, Ending, asked_by, failed_by
from leukolite.edge.events import Event, FrameResult, SessionEnd, Sink
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.field.view import whole_box
from leukolite.edge.host.health import Health, HealthMonitor
from leukolite.edge.host.watchdog import RestartPolicy, RuntimeStuck
from leukolite.errors import ENDS, LeukoliteError, RuntimeUnavailable, SourceError
from leukolite.wording import count

OpenClassifier = Callable[[], Classifier]  # checks the bundle again

_ENDED = Arrival(Note("", ""))


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


def run(
    source: FrameSource,
    classifier: Classifier,
    sinks: Sequence[Sink],
    processing: FrameProcessing | None = None,
    limits: Limits = Limits(),
    *,
    counts: SessionCounts | None = None,
    control: Control | None = None,
    health: HealthMonitor | None = None,
    reconnect: ReconnectPolicy = ReconnectPolicy(),  # noqa: B008  # immutable
    reopen: OpenClassifier | None = None,
    restart: RestartPolicy = RestartPolicy(),  # noqa: B008  # immutable
    clock: Clock = time.perf_counter_ns,
    wall_clock: Callable[[], float] = time.time,
    returns_failures: bool = False,
) -> Session:
    """Classify a source's frames and tell the sinks; tell them how it ended and close them, however that was.

    Args:
        processing: None: `whole_and_ungated`.
        counts: counts each event before the sinks take it; None: new ones.
        control: pauses and stops, from other threads and signal handlers; a KeyboardInterrupt after it was stopped ends at once.
        health: read between frames; None knows nothing of the machine.
        reopen: makes a new classifier when the runtime hangs; None ends the session then.
        returns_failures: raise no exception, of whatever kind: the session returned has it, with what was seen before.

    Returns:
        Also of a session that failed, so that what it saw is not lost; see `Session.failure`.

    Raises:
        SourceError: there was not a single frame.
        RuntimeUnavailable: the runtime hung too often before the first verdict.
        Exception: a programming error, of whatever kind.
    """
    control, processing = control or Control(), processing or whole_and_ungated(classifier)
    known, unknown = classifier.classes.match(source.truths)
    if counts is None:
        counts = SessionCounts(classifier.classes, processing.sigmas)
    monitor = health or HealthMonitor(Health, clock)
    loop = _Loop(classifier, (counts, *sinks), processing, limits, known, control, monitor, reopen, restart, clock, wall_clock)
    started, troubles = clock(), list[BaseException]()
    with ExitStack() as closings:
        for sink in sinks:
            closings.callback(_keep_trouble, troubles, sink.close)
        ending = Ending(EndedBy.PROGRAM_ERROR, "it was broken off")
        try:
            ending = loop.classify_all(source, reconnect, counts)
        except KeyboardInterrupt:  # a second Ctrl-C: the frame in hand is given up, what was seen before is kept
            ending = asked_by(control.stopped_by or EndedBy.USER)
            if control.stopped_by is None:
                raise
        except (SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it was: what was seen is kept, and says how it ended
            troubles.append(error)
            ending = failed_by(error, in_source=loop.in_source)
        finally:
            end = SessionEnd(source.name, ending)
            for sink in (counts, *sinks):  # each is told, whatever befalls another
                _keep_trouble(troubles, sink.take, end)
        seconds = (clock() - started) / 1e9
    failure = troubles[0] if troubles else None
    if failure is not None and not ending.is_failure and not isinstance(failure, NothingLeft):
        ending = failed_by(failure)  # a disk that becomes full with the very last record
    if failure is not None and not returns_failures and (counts.frames == 0 or not isinstance(failure, LeukoliteError)):
        raise failure
    return Session(source.name, counts, tuple(unknown), seconds, ending, control.stopped_by, failure, loop.runtime, loop.restarts)


def _keep_trouble(troubles: list[BaseException], do: Callable[..., object], *arguments: object) -> None:
    try:
        do(*arguments)
    except ENDS:
        raise
    except BaseException as error:  # noqa: BLE001  # told as the session's failure, once all else is done
        troubles.append(error)


class _Loop:
    """What `run` carries from one frame to the next."""

    def __init__(
        self,
        classifier: Classifier,
        sinks: Sequence[Sink],
        processing: FrameProcessing,
        limits: Limits,
        known: Mapping[str, int],
        control: Control,
        monitor: HealthMonitor,
        reopen: OpenClassifier | None,
        restart: RestartPolicy,
        clock: Clock,
        wall_clock: Callable[[], float],
    ) -> None:
        self._classifier, self._sinks, self._processing, self._limits = classifier, sinks, processing, limits
        self._known, self._control, self._monitor = known, control, monitor
        self._clock, self._wall_clock = clock, wall_clock
        self._reopen, self._restart = reopen, restart
        self.runtime, self.restarts = classifier.runtime.info, 0
        self.in_source = True  # what is raised now is the source's own

    def classify_all(self, source: FrameSource, reconnect: ReconnectPolicy, counts: SessionCounts) -> Ending:
        """Until the source ends, a limit is reached or somebody stops it.

        Raises:
            SourceError: there was not a single frame.
        """
        limits, control, started, ending = self._limits, self._control, self._clock(), Ending(EndedBy.SOURCE)
        with closing(arrivals(source, control, reconnect, clock=self._clock)) as items:
            while True:
                with control.in_hand():
                    arrival = next(items, _ENDED)
                if arrival is _ENDED:
                    break
                self.in_source = False
                self.look_at_health()
                if arrival is not None and control.stopped_by is None:
                    self.handle(arrival)
                del arrival  # before the next picture is made: large ones would not fit twice
                over = limits.seconds is not None and self._clock() - started >= limits.seconds * 1e9
                if control.stopped_by is not None or counts.frames == limits.frames or over:
                    ending = Ending(EndedBy.LIMIT)
                    break
                self.in_source = True
            self.in_source = True  # closing it is its own affair, too
        if control.stopped_by is not None:
            return asked_by(control.stopped_by)
        if counts.frames == 0:
            gap = counts.first_gap
            reason = "" if gap is None else f": {gap.source}: {gap.reason}"
            raise SourceError(source.name, f"not one frame could be read{reason}")
        return ending

    def look_at_health(self) -> None:
        changed = self._monitor.poll()
        if changed is not None:
            self.tell(changed)

    def handle(self, arrival: Arrival) -> None:
        if not isinstance(arrival.item, Frame):
            if isinstance(arrival.item, Note) and arrival.item.event == "new slide":
                self._processing.on_new_slide()
            self.tell(arrival.item)
            return
        try:
            with self._control.in_hand():
                result = self._result(arrival.item, arrival.skipped)
        except RuntimeStuck as error:
            self._begin_again(arrival.item, error)
        else:
            self.tell(result)

    def _result(self, frame: Frame, skipped: int) -> FrameResult:
        excluded = _too_old(frame, self._clock(), self._limits.age_ms)
        found = Classified((), excluded, 0.0)
        if excluded is None:
            found = classify_frame(frame, self._classifier, self._processing, self._clock)
        # a field's truth is not that of each cell in it
        is_whole = all(region.box == whole_box(frame.pixels) for region in found.regions)
        return FrameResult(
            frame=frame,
            regions=found.regions,
            excluded=found.excluded,
            truth=self._known.get(frame.truth) if frame.truth is not None and is_whole else None,
            age_ms=round((self._clock() - frame.captured_at) / 1e6, 4),
            locate_ms=found.locate_ms,
            skipped=skipped,
            runtime=self.runtime,
            health=self._monitor.latest,
            wall_time=self._wall_clock(),
        )

    def _begin_again(self, frame: Frame, error: RuntimeStuck) -> None:
        """A frame that a runtime hung on is a gap; the runtime is replaced, a few times."""
        self.tell(Gap(frame.index, frame.source, f"no verdict: {error}"))
        if self._reopen is None or self.restarts >= self._restart.times:
            raise RuntimeUnavailable(f"{error}; given up after {self.restarts} restarts") from error
        self.restarts += 1
        try:
            with self._control.in_hand():
                self._classifier = self._reopen()
        except RuntimeStuck as again:
            raise RuntimeUnavailable(f"{again}, when it was started again") from again
        self.runtime = self._classifier.runtime.info
        self.tell(
            Note(frame.source, f"runtime {self.runtime.name} restarted, {self.restarts} of {count(self._restart.times, 'time')}")
        )

    def tell(self, event: Event) -> None:
        for sink in self._sinks:
            sink.take(event)


def _too_old(frame: Frame, now: int, limit_ms: float | None) -> Exclusion | None:
    age_ms = (now - frame.captured_at) / 1e6
    if age_ms < 0:
        return Exclusion.of(ExclusionKind.FUTURE, f"by {-age_ms:.0f} ms")
    if limit_ms is not None and age_ms > limit_ms:
        return Exclusion.of(ExclusionKind.TOO_OLD, f"{age_ms:.0f} ms, at most {limit_ms:g} ms")
    return None
