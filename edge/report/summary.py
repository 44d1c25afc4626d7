"""What a session amounts to, slide by slide: cells counted, the blast fraction, what was left out and why, and how it ran.

Counters, histograms and a bounded sample of thumbnails: as large after a million frames as after one. It is counted from the
journal's records, so that a page made live and one made later from the journal say the same.
"""

import base64
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from leukolite.edge.counts import LatencyHistogram
from leukolite.edge.events import Event
from leukolite.edge.events import FrameResult as FrameResult
from leukolite.edge.field.view import kind_of
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import EventRecord, FrameRecord, GapRecord, HealthRecord, Record, StartRecord, VerdictRecord
from leukolite.edge.journal.sink import records_of
from leukolite.errors import ImageError, JournalError
from leukolite.evaluation import LATENCY_STAGES
from leukolite.images import read_rgb
from leukolite.prevalence import WANTED_WIDTH, Prevalence, prevalence

ABSTAIN = "abstain"
THUMBNAILS_A_LABEL, THUMBNAIL_SIDE = 8, 96  # a slide; pixels
SLIDES_WITH_THUMBNAILS = 10  # the latest: a day of slides stays within a few megabytes
MOST_REASONS = 50  # more kinds of reasons than the gates have; what comes beyond counts as OTHER_REASONS
OTHER_REASONS = "other reasons"
Pixels = Callable[[], np.ndarray | None]  # a frame's, uint8 RGB; asked for only where a thumbnail is wanted


@dataclass(frozen=True)
class Thumbnail:
    """One of a label's cells, drawn at random from all of that label on its slide.

    Attributes:
        jpeg: at most `THUMBNAIL_SIDE` pixels wide and high.
    """

    label: str
    probability: float
    jpeg: bytes

    @property
    def data_uri(self) -> str:
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"


@dataclass(frozen=True)
class SlideSummary:
    """One slide's counts, at the session's first noise level.

    Attributes:
        slide: salted id; None where none was given.
        frames: frames with a verdict or an excluded area.
        counted: verdicts by label, without abstentions.
        excluded: whole frames and areas without a verdict, by reason.
        blasts: the share of malignant ones; None for a model that knows no malignant label.
    """

    slide: str | None
    frames: int
    counted: dict[str, int]
    abstained: int
    excluded: dict[str, int]
    blasts: Prevalence | None
    thumbnails: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class Summary:
    """A session.

    Attributes:
        began, last: wall clock of the first and the last record, UTC.
        ended: it was closed properly.
        skipped: frames of a live camera that a newer one overtook.
        throttled, throttle_known: frames that came while the machine was throttled, and frames of which the machine could tell.
        latency_ms: p50, p90, p99 and mean of each stage, and of the frames' age at the verdict.
        happened: what was done to the session or happened to it, by name.
        stopped: why recording stopped, if it did.
    """

    start: StartRecord
    began: datetime | None
    last: datetime | None
    ended: bool
    frames: int
    gaps: int
    skipped: int
    throttled: int
    throttle_known: int
    hottest_c: float | None
    conditions: tuple[str, ...]
    runtimes: tuple[str, ...]
    latency_ms: dict[str, dict[str, float]]
    happened: dict[str, int]
    stopped: str | None
    slides: tuple[SlideSummary, ...]


@dataclass
class _Sample:
    """A uniform sample of bounded size from a stream of unknown length. Source: Vitter 1985, algorithm R."""

    rng: np.random.Generator
    seen: int = 0
    kept: list[Thumbnail] = field(default_factory=list)

    def place(self) -> int | None:
        """Where the next of the stream goes; None if it is not drawn."""
        self.seen += 1
        if len(self.kept) < THUMBNAILS_A_LABEL:
            return len(self.kept)
        place = int(self.rng.integers(self.seen))
        return place if place < THUMBNAILS_A_LABEL else None


class _Slide:
    """One slide's counters."""

    def __init__(self, slide: str | None) -> None:
        self.slide, self.frames = slide, 0
        self.said: Counter[str] = Counter()
        self.excluded: Counter[str] = Counter()
        self.samples: dict[str, _Sample] = {}

    def exclude(self, reason: str) -> None:
        kind = kind_of(reason)
        self.excluded[kind if kind in self.excluded or len(self.excluded) < MOST_REASONS else OTHER_REASONS] += 1


class SummaryCount:
    """Counts a session's records, in their order.

    Args:
        start: what the session began with.
        wanted_width: of the blast fraction's 95% interval, at which cells are enough.
    """

    def __init__(self, start: StartRecord, *, wanted_width: float = WANTED_WIDTH) -> None:
        self._start, self._wanted_width = start, wanted_width
        self._slides = [_Slide(start.slide)]
        self._frames = self._gaps = self._skipped = self._throttled = self._throttle_known = 0
        self._hottest_c: float | None = None
        self._conditions: set[str] = set()
        self._runtimes: dict[str, None] = {}
        self._times = {name: LatencyHistogram() for name in (*LATENCY_STAGES, "age")}
        self._happened: Counter[str] = Counter()
        self._began: datetime | None = None
        self._last: datetime | None = None
        self._ended = False
        self._stopped: str | None = None
        self._rng = np.random.default_rng(0)

    def add(self, record: Record, at: datetime, pixels: Pixels | None = None) -> None:
        """Count a record.

        Args:
            pixels: of the frame that a verdict is on, for its thumbnail; None where it is not at hand.
        """
        self._began, self._last = self._began or at, at
        self._ended = False
        slide = self._slides[-1]
        match record:
            case FrameRecord():
                self._add_frame(record, slide)
            case VerdictRecord():
                self._add_verdict(record, slide, pixels)
            case GapRecord():
                self._gaps += 1
            case HealthRecord():
                self._conditions.update(record.conditions)
                self._note_temperature(record.temperature_c)
            case EventRecord():
                self._add_event(record)
            case StartRecord():
                pass

    def summary(self) -> Summary:
        """All that was counted so far."""
        return Summary(
            start=self._start,
            began=self._began,
            last=self._last,
            ended=self._ended,
            frames=self._frames,
            gaps=self._gaps,
            skipped=self._skipped,
            throttled=self._throttled,
            throttle_known=self._throttle_known,
            hottest_c=self._hottest_c,
            conditions=tuple(sorted(self._conditions)),
            runtimes=tuple(self._runtimes),
            latency_ms={name: times.summary() for name, times in self._times.items() if times.n},
            happened=dict(self._happened),
            stopped=self._stopped,
            slides=tuple(self._summary_of(slide) for slide in self._slides),
        )

    def _add_frame(self, record: FrameRecord, slide: _Slide) -> None:
        self._frames += 1
        self._skipped += record.skipped
        self._throttled += record.throttled is True
        self._throttle_known += record.throttled is not None
        self._note_temperature(record.temperature_c)
        runtime = record.runtime
        on = f" on {runtime.delegate}" if runtime.delegate else ""
        self._runtimes[f"{runtime.name} {runtime.version}{on}, {runtime.threads} thread{'s'[: runtime.threads > 1]}"] = None
        if record.excluded is not None:
            slide.exclude(record.excluded)
            return
        slide.frames += 1
        self._times["age"].add(record.age_ms)

    def _add_verdict(self, record: VerdictRecord, slide: _Slide, pixels: Pixels | None) -> None:
        if record.latency_ms is not None:
            for stage in LATENCY_STAGES:
                self._times[stage].add(getattr(record.latency_ms, stage))
        if record.sigma != self._start.sigmas[0]:
            return
        if record.label is None or record.probability is None:
            slide.exclude(record.excluded or OTHER_REASONS)
            return
        slide.said[record.label] += 1
        if pixels is None:
            return
        sample = slide.samples.setdefault(record.label, _Sample(self._rng))
        place = sample.place()
        picture = None if place is None else pixels()
        if place is not None and picture is not None:
            sample.kept[place : place + 1] = [Thumbnail(record.label, record.probability, _thumbnail(picture, record.box))]

    def _add_event(self, record: EventRecord) -> None:
        self._happened[record.event] += 1
        self._ended = record.event == "end"
        if record.event == "recording stopped":
            self._stopped = record.detail
        if record.event == "resumed":
            self._stopped = None
        if record.event == "new slide":
            self._slides.append(_Slide(record.slide))
            if len(self._slides) > SLIDES_WITH_THUMBNAILS:
                self._slides[-1 - SLIDES_WITH_THUMBNAILS].samples = {}

    def _note_temperature(self, temperature_c: float | None) -> None:
        if temperature_c is not None:
            self._hottest_c = temperature_c if self._hottest_c is None else max(temperature_c, self._hottest_c)

    def _summary_of(self, slide: _Slide) -> SlideSummary:
        start = self._start
        counted = {label: slide.said[label] for label in start.labels}
        called = sum(counted[label] for label in start.malignant)
        n = sum(counted.values())
        known = bool(start.malignant)
        return SlideSummary(
            slide=slide.slide,
            frames=slide.frames,
            counted=counted,
            abstained=slide.said[ABSTAIN],
            excluded=dict(slide.excluded.most_common()),
            blasts=prevalence(called, n, start.validation, wanted_width=self._wanted_width) if known else None,
            thumbnails=tuple(
                thumbnail
                for label in (*start.labels, ABSTAIN)
                for thumbnail in (slide.samples[label].kept if label in slide.samples else ())
            ),
        )


class SummarySink:
    """Counts a running session. A `Sink`; `summary` may be called from any thread."""

    def __init__(self, start: StartRecord, *, wanted_width: float = WANTED_WIDTH) -> None:
        self._labels, self._lock = start.labels, threading.Lock()
        self._count = SummaryCount(start, wanted_width=wanted_width)

    def take(self, event: Event) -> None:
        pixels: Pixels | None = None
        at = datetime.now(UTC)
        if isinstance(event, FrameResult):
            frame, at = event.frame, datetime.fromtimestamp(event.wall_time, UTC)
            pixels = lambda: frame.pixels  # noqa: E731
        with self._lock:
            for record in records_of(event, self._labels):
                self._count.add(record, at, pixels)

    def take_entry(self, entry: Entry) -> None:
        """Count what an earlier part of a resumed session recorded."""
        with self._lock:
            self._count.add(entry.record, entry.at)

    def summary(self) -> Summary:
        """All that was counted so far."""
        with self._lock:
            return self._count.summary()

    def close(self) -> None:
        with self._lock:
            self._count.add(EventRecord(event="end"), datetime.now(UTC))


def summarise(folder: Path, entries: Iterable[Entry], *, wanted_width: float = WANTED_WIDTH) -> Summary:
    """A recorded session's summary; thumbnails come from the frames that were kept beside the journal.

    Args:
        folder: the session's.
        entries: its journal's, as `leukolite.edge.journal.format.read` gives them.

    Raises:
        JournalError: the journal is empty.
    """
    count: SummaryCount | None = None
    pixels: Pixels | None = None
    for entry in entries:
        record = entry.record
        if isinstance(record, StartRecord):
            count = SummaryCount(record, wanted_width=wanted_width)
        if count is None:
            break
        if isinstance(record, FrameRecord):
            pixels = None if record.picture is None else partial(_kept, folder / record.picture)
        count.add(record, entry.at, pixels)
    if count is None:
        raise JournalError(f"{folder}: the journal holds no record, so there is nothing to sum up")
    return count.summary()


def _kept(path: Path) -> np.ndarray | None:
    try:
        return read_rgb(path)
    except ImageError:  # replaying tells of pictures that are gone; a summary can do without
        return None


def _thumbnail(pixels: np.ndarray, box: tuple[int, int, int, int]) -> bytes:
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    crop = pixels[y0:y1, x0:x1] if x0 < x1 and y0 < y1 else pixels
    scale = min(1.0, THUMBNAIL_SIDE / max(crop.shape[:2]))
    size = max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1)
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()
