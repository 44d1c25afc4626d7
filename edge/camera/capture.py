"""Newest frame wins: a live camera is read in a thread of its own, which keeps one frame.

A camera that is lost is opened again, with growing pauses, until it is given up.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

from leukolite.clock import Clock
from leukolite.edge.camera.boundary import checked_items
from leukolite.edge.camera.source import Arriving, Frame, FrameSource, Gap, Note
from leukolite.edge.control import Control
from leukolite.errors import SourceError
from leukolite.wording import count

POLL_S = 0.1  # how late a stop, a pause or the end of a limit may be noticed
KEPT_MESSAGES = 100  # gaps and notes between two looks; a flood beyond says the same


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """When a live camera counts as lost, and how often and how fast it is opened again.

    Attributes:
        no_frame_s: without a frame for so long it is lost.
        opening_s: how long the first frame after an opening may take: exposure settles, a server connects.
        first_s, longest_s: wait before the first reopening; it doubles up to the longest.
        times: reopenings in a row, without a frame between them, before the session is given up.
    """

    no_frame_s: float = 10.0
    opening_s: float = 30.0
    first_s: float = 1.0
    longest_s: float = 30.0
    times: int = 10

    def wait_s(self, failures: int) -> float:
        """Before reopening number `failures`, from 1."""
        return min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a source gave. `skipped`: frames that this one overtook since the frame before."""

    item: Frame | Gap | Note
    skipped: int = 0


class Capture:
    """Reads a live source in a thread until it ends or `close` is called; holds its newest frame alone."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._messages: deque[Gap | Note] = deque(maxlen=KEPT_MESSAGES)
        self._skipped = 0
        self._closing = False
        self._ended: BaseException | str | None = None
        self._thread = threading.Thread(target=self._read, name=f"capture {source.name}", daemon=True)
        self._thread.start()

    def get(self, timeout_s: float) -> Arrival | None:
        """The next gap or note, else the newest frame, else None once the time is up or the source has ended.

        Raises: what the source raised, if that is a programming error.
        """
        with self._changed:
            if not self._ready():
                self._changed.wait_for(self._ready, timeout_s)
            if self._messages:
                return Arrival(self._messages.popleft())
            if self._frame is not None:
                arrival = Arrival(self._frame, self._skipped)
                self._frame, self._skipped = None, 0
                return arrival
            if isinstance(self._ended, BaseException):
                raise self._ended
            return None

    @property
    def ended(self) -> str | None:
        """Why nothing will come any more; None while the camera runs."""
        with self._changed:
            return self._ended if isinstance(self._ended, str) else None

    def drop_frame(self) -> None:
        """Forget the frame at hand, which nobody wanted, and what was skipped for it."""
        with self._changed:
            self._frame, self._skipped = None, 0

    def close(self, timeout_s: float = 0.0) -> bool:
        """Ask the thread to end and release the camera; True once it has."""
        with self._changed:
            self._closing = True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _ready(self) -> bool:
        return bool(self._messages) or self._frame is not None or self._ended is not None

    def _read(self) -> None:
        ended: BaseException | str = "the camera's pictures have ended"
        try:
            with closing(checked_items(self._source)) as items:
                for item in items:
                    with self._changed:
                        if self._closing:
                            break
                        if isinstance(item, Frame | Arriving):
                            self._skipped += self._frame is not None
                            self._frame = item if isinstance(item, Frame) else None
                        else:
                            self._messages.append(item)
                        self._changed.notify()
                    del item  # see `checked_items`
        except SourceError as error:
            ended = error.reason if error.name == self._source.name else str(error)
        except BaseException as error:  # noqa: BLE001  # raised again where it is seen, by `get`
            ended = error
        with self._changed:
            self._ended = ended
            self._changed.notify()


def arrivals(
    source: FrameSource,
    control: Control,
    policy: ReconnectPolicy = ReconnectPolicy(),
    *,
    clock: Clock = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[Arrival | None, None, None]:
    """What a source gives, one after the other; of a live one the newest frame. None every `POLL_S` while nothing comes.

    Pausing, going on and new slides are noted. It never ends by itself where the source is live.

    Raises:
        SourceError: a camera could not be opened at the start, or was lost and reopened in vain.
    """
    return _live(source, control, policy, clock, sleep) if source.live else _on_demand(source, control, clock, sleep)


def _on_demand(
    source: FrameSource, control: Control, clock: Clock, sleep: Callable[[float], None]
) -> Generator[Arrival | None, None, None]:
    with closing(checked_items(source)) as items:
        for item in items:
            if isinstance(item, Arriving):  # nothing waits here
                continue
            yield from _new_slides(source, control)
            if control.paused:
                yield Arrival(_pause_note(source, paused=True))
                while control.paused and control.stopped_by is None:
                    sleep(POLL_S)
                    yield None
                yield Arrival(_pause_note(source, paused=False))
                if isinstance(item, Frame):
                    item = replace(item, captured_at=clock())  # a picture that waited for the user is not too old
            yield Arrival(item)
            del item  # see `checked_items`


def _live(
    source: FrameSource, control: Control, policy: ReconnectPolicy, clock: Clock, sleep: Callable[[float], None]
) -> Generator[Arrival | None, None, None]:
    capture = Capture(source)
    failures, next_index, paused, last, patience_s = 0, 0, False, clock(), policy.opening_s
    began: int | None = None  # the slide, where it was changed: frames captured before are the last one's
    try:
        while True:
            if control.paused != paused:
                paused = not paused
                capture.drop_frame()
                yield Arrival(_pause_note(source, paused))
            arrival = capture.get(POLL_S)
            for note in _new_slides(source, control):  # after the wait: a frame that came since is not the new slide's either
                capture.drop_frame()
                began = clock()
                yield note
            if arrival is not None:
                if isinstance(frame := arrival.item, Frame):
                    last, failures, next_index = clock(), 0, frame.index + 1
                    patience_s = policy.no_frame_s
                    if paused:
                        sleep(POLL_S)  # read, so that a lost camera is noticed, and not classified
                    if paused or (began is not None and frame.captured_at < began):
                        arrival = None
                yield arrival
                continue
            reason = capture.ended
            if reason is None and clock() - last < patience_s * 1e9:
                yield None
                continue
            if reason is not None and next_index == 0:  # it never worked: say so at once
                raise SourceError(source.name, f"{reason}")
            reason = reason or f"no frame for {patience_s:g} s"
            released = False
            while not released:
                failures += 1
                if failures > policy.times:
                    raise SourceError(source.name, f"{reason}; given up after {count(policy.times, 'reopening')}")
                yield Arrival(Gap(next_index, source.name, f"signal lost: {reason}"))
                due = clock() + policy.wait_s(failures) * 1e9
                while (left_s := (due - clock()) / 1e9) > 0:
                    sleep(min(POLL_S, left_s))
                    yield None
                released = capture.close()
                reason = reason if released else "the camera's driver hangs"
            yield Arrival(Note(source.name, f"reopening, attempt {failures}"))
            capture, last, patience_s = Capture(source), clock(), policy.opening_s
    finally:
        capture.close(timeout_s=2.0)


def _new_slides(source: FrameSource, control: Control) -> Generator[Arrival, None, None]:
    """A note for each slide that was begun: what comes before it is the last slide's, what comes after it the new one's."""
    while (slide := control.next_slide()) is not None:
        yield Arrival(Note(source.name, f"new slide {slide}", "new slide", slide))


def _pause_note(source: FrameSource, paused: bool) -> Note:
    """Comes in its turn among the frames: none after 'paused' is classified until 'unpaused'."""
    return Note(source.name, "paused", "paused") if paused else Note(source.name, "goes on", "unpaused")
