"""What a session looks like now, for a page: the newest frame with its verdicts, and the present slide's counts.

The pipeline's thread counts and leaves one immutable state behind; whoever looks takes it, when and as often as he likes.
"""

import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from leukolite.classes import Classes
from leukolite.clock import Clock
from leukolite.decision import ABSTAIN
from leukolite.edge.camera.source import LARGE_BYTES, Gap, Note, Size
from leukolite.edge.control import Control
from leukolite.edge.counts import SessionCounts, SlideCounts, by_kind
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.host.health import Health
from leukolite.edge.journal.sink import RecordingState
from leukolite.edge.journal.slides import SALT_BYTES, SLIDE_NAME_CHARACTERS, is_slide_name, slide_id
from leukolite.manifest import Manifest, Unit
from leukolite.metrics import Interval, wilson_interval
from leukolite.wording import shown_label

RECENT_FRAMES = 100  # that the latency and the rate shown are of
KEPT_MESSAGES = 6
MOST_SLIDES = 500  # that may begin on the page in a session: more than a day's, fewer than a laboratory's names
LONGEST_SIDE = 1024  # of the picture that is shown, pixels


@dataclass(frozen=True, slots=True)
class About:
    """What does not change while a session lasts."""

    name: str
    unit: Unit
    classes: Classes
    source: str

    @classmethod
    def of(cls, manifest: Manifest, source: str) -> "About":
        return cls(manifest.name, manifest.unit, manifest.classes, source)


@dataclass(frozen=True, slots=True)
class Share:
    """Of the cells or fields with a verdict, those called malignant.

    Attributes:
        value: 0..1; None where nobody can say.
        interval: 95%.
        note: what a reader must know of it.
    """

    value: float | None
    interval: Interval | None
    note: str


Estimate = Callable[[int, int], Share]  # how many were called malignant, of how many


def as_counted(n_malignant: int, n: int) -> Share:
    """The plain share, with Wilson's interval."""
    return Share(
        n_malignant / n if n else None, wilson_interval(n_malignant, n), "as counted, not corrected for the model's errors"
    )


@dataclass(frozen=True, slots=True)
class Message:
    """Something unusual that happened; `at` in seconds since 1970."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class ShownSlide:
    """The slide under the lens: its number in this session, from 1, and a copy of its counts."""

    number: int
    counts: SlideCounts


@dataclass(frozen=True, slots=True)
class LiveState:
    """All that a page shows, as it was after one event.

    Attributes:
        picture: number of the frame shown, from 1; 0 where there is none yet.
        result: that frame's, with pixels that may be made smaller for showing; None before the slide's first.
        size: that frame's own width and height, pixels; (0, 0) where there is none.
        lost: why there is no newer frame; None while they come.
        recent: of the newest frames that were classified, oldest first: the clock's nanoseconds, and their ages in milliseconds.
    """

    picture: int
    result: FrameResult | None
    size: Size
    slide: ShownSlide
    lost: str | None
    recent: tuple[tuple[int, float], ...]
    messages: tuple[Message, ...]
    ended: bool


class Live:
    """A `Sink` that keeps the newest state alone: it encodes nothing, writes nothing and waits for nobody.

    Args:
        counts: the session's, which takes each event before this sink does; read in the pipeline's thread alone.
        clock: the one that frames are timed by.
        salt: of the slides' ids; None: one drawn for this session alone, and never shown or kept.
        on_new_slide: called with a new slide's id, from the thread that began it.
    """

    def __init__(
        self,
        about: About,
        counts: SessionCounts,
        *,
        clock: Clock = time.perf_counter_ns,
        wall_clock: Callable[[], float] = time.time,
        salt: bytes | None = None,
        on_new_slide: Callable[[str], None] = lambda slide: None,
    ) -> None:
        self.about, self._counts = about, counts
        self._clock, self._wall_clock = clock, wall_clock
        self._salt, self._on_new_slide = salt or secrets.token_bytes(SALT_BYTES), on_new_slide
        self._lock = threading.Lock()  # held for microseconds: two threads count, when a slide begins
        self._number, self._began, self._pictures, self._ended = 1, clock(), 0, False
        self._slide = counts.slide.copy()
        self._result: FrameResult | None = None
        self._size: Size = (0, 0)
        self._lost: str | None = None
        self._recent: deque[tuple[int, float]] = deque(maxlen=RECENT_FRAMES)
        self._messages: deque[Message] = deque(maxlen=KEPT_MESSAGES)
        self.now = self._state()

    def take(self, event: Event) -> None:
        shown = _to_be_kept(event) if isinstance(event, FrameResult) else None
        with self._lock:
            match event:
                case FrameResult():
                    if event.frame.captured_at < self._began and self._number > 1:  # still the slide before
                        return
                    self._lost = None
                    if event.excluded is None:
                        self._recent.append((self._clock(), event.age_ms))
                    self._pictures += 1
                    self._result, self._size = shown, (event.frame.pixels.shape[1], event.frame.pixels.shape[0])
                case Gap():
                    self._lost = event.reason
                    self._tell(f"{event.source}: {event.reason}")
                case Note() if event.event != "new slide":  # said when it was begun
                    self._tell(f"{event.source}: {event.text}")
                case SessionEnd():
                    self._tell(f"{event.source}: {event.text}")
                case Health():
                    self._tell(f"machine: {', '.join(event.conditions) or 'well again'}")
            if len(self._counts.slides) >= self._number:  # else the slide that was begun is still to come
                self._slide = self._counts.slide.copy()
            self.now = self._state()

    def close(self) -> None:
        with self._lock:
            self._ended = True
            self.now = self._state()

    def new_slide(self, name: str) -> str:
        """Begin to count from nothing; from any thread. A frame captured before now no longer counts.

        Args:
            name: the slide's, in clear; it is forgotten.

        Returns:
            The slide's salted id: the same for the same name within a session, and only there.

        Raises:
            ValueError: `name` is empty or too long, or too many slides were begun.
        """
        if not is_slide_name(name):
            raise ValueError(f"type the slide's name or number, at most {SLIDE_NAME_CHARACTERS} characters")
        with self._lock:
            if self._number > MOST_SLIDES:  # of any names: whether one was there before is not told
                raise ValueError(
                    f"{MOST_SLIDES} slides were begun on this page, the most of a session; end the session and begin another"
                )
            slide = slide_id(name, self._salt)
            self._slide = SlideCounts(slide)
            self._number += 1
            self._began = self._clock()
            self._result, self._size = None, (0, 0)  # the slide before is not to be taken for this one
            self._recent.clear()
            self._tell(f"slide {self._number} of this session begins")  # not its id: names could be tried against another's
            self.now = self._state()
        self._on_new_slide(slide)
        return slide

    def _tell(self, text: str) -> None:
        self._messages.append(Message(self._wall_clock(), text))

    def _state(self) -> LiveState:
        slide = ShownSlide(self._number, self._slide)
        picture = 0 if self._result is None else self._pictures
        recent, messages = tuple(self._recent), tuple(self._messages)
        return LiveState(picture, self._result, self._size, slide, self._lost, recent, messages, self._ended)


def shown_pixels(pixels: np.ndarray) -> np.ndarray:
    """A frame's, made smaller where a side is longer than `LONGEST_SIDE`; uint8 RGB, shape (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    return cv2.resize(pixels, (max(round(width * scale), 1), max(round(height * scale), 1)), interpolation=cv2.INTER_AREA)


def _to_be_kept(result: FrameResult) -> FrameResult:
    if result.frame.pixels.nbytes < LARGE_BYTES:  # made smaller where somebody looks, else a verdict would wait for it
        return result
    return replace(result, frame=replace(result.frame, pixels=shown_pixels(result.frame.pixels)))


def state_json(
    state: LiveState,
    about: About,
    control: Control,
    health: Health,
    recording: RecordingState | None,
    now: int,
    estimate: Estimate = as_counted,
) -> dict[str, Any]:
    """A state as the page's script wants it, without the pixels and without the slides' ids.

    Args:
        recording: None where nothing is recorded.
        now: the clock's nanoseconds.
    """
    result = state.result
    return {
        "state": _condition(state, control),
        "lost": state.lost,
        "model": {"name": about.name, "unit": about.unit, "source": about.source},
        "picture": None if result is None else _picture(result, state.size, about, now),
        "slide": _slide(state.slide, about, estimate),
        "latency": _latency(state, now),
        "runtime": None if result is None else str(result.runtime),
        "health": _health(health),
        "recording": _recording(recording),
        "messages": [{"at": message.at, "text": message.text} for message in reversed(state.messages)],
    }


def _condition(state: LiveState, control: Control) -> str:
    if state.ended or control.stopped_by is not None:
        return "ended"
    if control.paused:
        return "paused"
    if state.lost is not None:
        return "lost"
    return "waiting" if state.result is None else "running"


def _picture(result: FrameResult, size: Size, about: About, now: int) -> dict[str, Any]:
    first = result.regions[0].sigma if result.regions else 0.0
    return {
        "index": result.frame.index,
        "source": result.frame.source,
        "width": size[0],
        "height": size[1],
        "age_s": round((now - result.frame.captured_at) / 1e9, 2),
        "excluded": None if result.excluded is None else str(result.excluded),
        "sigma": first,
        "regions": [_region(region, about) for region in result.at_sigma(first)],
    }


def _region(region: RegionResult, about: About) -> dict[str, Any]:
    verdict = region.verdict
    if verdict is None:
        kind = "excluded"
    elif verdict.index is None:
        kind = ABSTAIN
    else:
        kind = _kind(verdict.label, about)
    return {
        "box": [int(edge) for edge in region.box],
        "kind": kind,
        "label": None if verdict is None else verdict.label,
        "probability": None if verdict is None else _rounded(verdict.probability, 3),
        "excluded": None if region.excluded is None else str(region.excluded),
    }


def _kind(label: str, about: About) -> str:
    """How a label is coloured: 'malignant', 'other', or 'plain' where the model knows no malignant label."""
    if not about.classes.malignant:
        return "plain"
    return "malignant" if label in about.classes.malignant else "other"


def _slide(shown: ShownSlide, about: About, estimate: Estimate) -> dict[str, Any]:
    slide, classes = shown.counts, about.classes
    n = sum(slide.predicted[label] for label in classes.labels)
    n_malignant = sum(slide.predicted[label] for label in classes.malignant)
    share = estimate(n_malignant, n) if classes.malignant else None
    return {
        "number": shown.number,
        "named": slide.slide is not None,
        "frames": slide.frames,
        "n": n,
        "counted": [
            {"label": shown_label(label), "kind": _kind(label, about), "n": slide.predicted[label]} for label in classes.labels
        ],
        "abstained": slide.predicted[ABSTAIN],
        "excluded": [{"reason": kind, "n": n} for kind, n in by_kind(slide.excluded).items()],
        "skipped": slide.skipped,
        "gaps": slide.gaps,
        "share": None if share is None else {"value": share.value, "interval": share.interval, "note": share.note},
    }


def _latency(state: LiveState, now: int) -> dict[str, Any] | None:
    """Of the newest frames; None without any."""
    if not state.recent:
        return None
    ages = np.array([age_ms for _, age_ms in state.recent])
    spent_s = (now - state.recent[0][0]) / 1e9
    return {
        "timed_by": "arrival" if state.result is None else state.result.frame.timed_by,
        "frames": len(ages),
        "last_ms": round(float(ages[-1]), 2),
        "p50_ms": round(float(np.percentile(ages, 50)), 2),
        "p99_ms": round(float(np.percentile(ages, 99)), 2),
        "frames_per_s": round((len(ages) - 1) / spent_s, 1) if spent_s > 0 and len(ages) > 1 else None,
    }


def _health(health: Health) -> dict[str, Any]:
    """The page shows the machine's figures; None where the machine does not tell."""
    return {
        "temperature_c": _rounded(health.temperature_c),
        "throttled": health.throttled,
        "memory_mb": _rounded(health.memory_mb),
        "memory_free_mb": _rounded(health.memory_free_mb),
        "disk_free_mb": _rounded(health.disk_free_mb),
        "conditions": list(health.conditions),
    }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def _recording(recording: RecordingState | None) -> dict[str, Any] | None:
    if recording is None:
        return None
    return {"stopped": recording.stopped, "records": recording.records, "unrecorded": recording.unrecorded}
