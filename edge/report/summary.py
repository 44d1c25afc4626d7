"""What a session amounts to, slide by slide: cells counted, the blast fraction, what was left out and why, and how it ran.

Made of the session's one count and a bounded sample of thumbnails: as large after a million frames as after one.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from leukolite.decision import ABSTAIN
from leukolite.edge.camera.source import Note
from leukolite.edge.counts import SessionCounts, SlideCounts, by_kind
from leukolite.edge.ending import Ending
from leukolite.edge.events import Event, FrameResult
from leukolite.edge.journal.count import JournalCounts
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import EventRecord, FrameRecord, StartRecord, VerdictRecord
from leukolite.errors import ImageError, JournalError
from leukolite.geometry import Box
from leukolite.images import read_rgb
from leukolite.prevalence import WANTED_WIDTH, Prevalence, prevalence
from leukolite.runtime import RuntimeInfo

THUMBNAILS_PER_LABEL, THUMBNAIL_SIDE = 8, 96  # of a slide; pixels
SLIDES_WITH_THUMBNAILS = 10  # the latest: a day of slides stays within a few megabytes
Pixels = Callable[[], np.ndarray | None]  # a frame's, uint8 RGB; called only where a thumbnail is wanted


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
        frames: frames with a result, `excluded_frames` of them refused whole.
        counted: verdicts by label, without abstentions.
        excluded: whole frames and regions without a verdict, by kind.
        blasts: the share of malignant ones; None for a model that knows no malignant label.
    """

    slide: str | None
    frames: int
    excluded_frames: int
    counted: dict[str, int]
    abstained: int
    excluded: dict[str, int]
    blasts: Prevalence | None
    thumbnails: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class Summary:
    """A session.

    Attributes:
        counts: of all its slides, as every JSON has them.
        began, last: wall clock of the first and the last record, UTC.
        ending: what ended it; None where no record says so.
        throttle_known: frames of which the machine could tell whether it was throttled.
        latency_ms: p50, p90, p99 and mean of each stage, and of the frames' age at the verdict.
        happened: what was done to the session or happened to it, by name.
        stopped: why recording stopped, if it did.
    """

    start: StartRecord
    counts: dict[str, Any]
    began: datetime | None
    last: datetime | None
    ending: Ending | None
    throttle_known: int
    hottest_c: float | None
    conditions: tuple[str, ...]
    runtimes: tuple[RuntimeInfo, ...]
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
        if len(self.kept) < THUMBNAILS_PER_LABEL:
            return len(self.kept)
        place = int(self.rng.integers(self.seen))
        return place if place < THUMBNAILS_PER_LABEL else None


class Thumbnails:
    """Some cells of each label and slide, drawn at random. A `Sink`.

    Args:
        first_sigma: noise level whose cells are drawn, grey levels.
        slide: number of the slide under the lens, from 0: a resumed session may have had others before.
    """

    def __init__(self, first_sigma: float = 0.0, slide: int = 0) -> None:
        self._first_sigma, self._rng = first_sigma, np.random.default_rng(0)
        self._slides: list[dict[str, _Sample]] = [{} for _ in range(slide + 1)]

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                pixels = event.frame.pixels
                for region in event.at_sigma(self._first_sigma):
                    if region.verdict is not None:
                        self.add(region.verdict.label, region.verdict.probability, region.box, lambda: pixels)
            case Note(event="new slide"):
                self.new_slide()
            case _:
                pass

    def close(self) -> None:
        pass

    def new_slide(self) -> None:
        """What comes from now on is another slide's."""
        self._slides.append({})
        if len(self._slides) > SLIDES_WITH_THUMBNAILS:
            self._slides[-1 - SLIDES_WITH_THUMBNAILS] = {}

    def add(self, label: str, probability: float, box: Box, pixels: Pixels) -> None:
        """Draw, or do not draw, a cell.

        Args:
            pixels: gives its frame; called only if the cell is drawn.
        """
        sample = self._slides[-1].setdefault(label, _Sample(self._rng))
        place = sample.place()
        picture = None if place is None else pixels()
        if place is not None and picture is not None:
            sample.kept[place : place + 1] = [Thumbnail(label, probability, _thumbnail(picture, box))]

    def of_slide(self, number: int, labels: Sequence[str]) -> tuple[Thumbnail, ...]:
        """A slide's, by its number from 0, label by label."""
        samples = self._slides[number] if number < len(self._slides) else {}
        return tuple(thumbnail for label in labels if label in samples for thumbnail in samples[label].kept)


def summary_of(
    start: StartRecord,
    counts: SessionCounts,
    thumbnails: Thumbnails,
    *,
    began: datetime | None,
    last: datetime | None,
    ending: Ending | None,
    stopped: str | None = None,
    wanted_width: float = WANTED_WIDTH,
) -> Summary:
    """A session's summary from its count.

    Args:
        wanted_width: of the blast fraction's 95% interval, at which cells are enough.
    """
    return Summary(
        start=start,
        counts=counts.to_json(),
        began=began,
        last=last,
        ending=ending,
        throttle_known=counts.throttle_known,
        hottest_c=counts.hottest_c,
        conditions=tuple(sorted(counts.conditions)),
        runtimes=tuple(counts.runtimes),
        latency_ms=counts.latency_ms(),
        happened=dict(counts.happened),
        stopped=stopped,
        slides=tuple(
            _slide_summary(start, slide, thumbnails.of_slide(number, (*start.classes.labels, ABSTAIN)), wanted_width)
            for number, slide in enumerate(counts.slides)
        ),
    )


def _slide_summary(
    start: StartRecord, slide: SlideCounts, thumbnails: tuple[Thumbnail, ...], wanted_width: float
) -> SlideSummary:
    classes = start.classes
    counted = {label: slide.predicted[label] for label in classes.labels}
    n_malignant, n = sum(counted[label] for label in classes.malignant), sum(counted.values())
    return SlideSummary(
        slide=slide.slide,
        frames=slide.frames,
        excluded_frames=slide.excluded_frames,
        counted=counted,
        abstained=slide.predicted[ABSTAIN],
        excluded=by_kind(slide.excluded),
        blasts=prevalence(n_malignant, n, start.validation, wanted_width=wanted_width) if classes.malignant else None,
        thumbnails=thumbnails,
    )


def summarise(folder: Path, entries: Iterable[Entry], *, wanted_width: float = WANTED_WIDTH) -> Summary:
    """A recorded session's summary; thumbnails come from the frames that were kept beside the journal.

    Args:
        folder: the session's.
        entries: its journal's, as `leukolite.edge.journal.format.read` gives them.

    Raises:
        JournalError: the journal is empty.
    """
    start: StartRecord | None = None
    thumbnails = Thumbnails()
    frame: FrameRecord | None = None
    for entry in entries:
        record = entry.record
        if isinstance(record, StartRecord):
            start, journal = record, JournalCounts(record)
        if start is None:
            break
        journal.take(entry)
        match record:
            case FrameRecord():
                frame = record
            case VerdictRecord() if record.label is not None and record.sigma == start.sigmas[0]:
                if frame is not None and frame.picture is not None:
                    kept = partial(_kept, folder / frame.picture)
                    thumbnails.add(record.label, record.probability or 0.0, record.box, kept)
            case EventRecord(event="new slide"):
                thumbnails.new_slide()
    if start is None:
        raise JournalError(f"{folder}: the journal holds no record, so there is nothing to summarise")
    journal.close()
    return summary_of(
        start,
        journal.counts,
        thumbnails,
        began=journal.began,
        last=journal.last,
        ending=journal.ending,
        stopped=journal.stopped,
        wanted_width=wanted_width,
    )


def _kept(path: Path) -> np.ndarray | None:
    try:
        return read_rgb(path)
    except ImageError:  # replaying tells of pictures that are gone; a summary can do without
        return None


def _thumbnail(pixels: np.ndarray, box: Box) -> bytes:
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    crop = pixels[y0:y1, x0:x1] if x0 < x1 and y0 < y1 else pixels
    scale = min(1.0, THUMBNAIL_SIDE / max(crop.shape[:2]))
    size = max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1)
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()
