"""Repeating a recorded session: the recorded frames go through the pipeline again, and every verdict must be the recorded one.

A frame comes from its lossless picture beside the journal, or else from the session's source, opened again, at its index; its
SHA-256 shows that it is the very picture. What was excluded as a whole frame had no verdict and is not repeated.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from leukolite.classifier import Classifier
from leukolite.edge.camera.source import Arriving, Frame, FrameSource, Gap, Items, Note
from leukolite.edge.classify import FrameProcessing
from leukolite.edge.events import Event, FrameResult, RegionResult
from leukolite.edge.field.exclusion import SWAPPED, Exclusion
from leukolite.edge.journal.format import OnLine, read, read_frames
from leukolite.edge.journal.records import FrameRecord, SourceSettings, StartRecord, VerdictRecord, pixels_sha256
from leukolite.edge.pipeline import run
from leukolite.errors import ImageError, JournalError, SourceError
from leukolite.geometry import Box
from leukolite.images import read_rgb
from leukolite.wording import count

SHOWN_DIFFERENCES = 100  # all are counted, so many are kept

OpenSource = Callable[[SourceSettings], FrameSource]


@dataclass(frozen=True)
class Difference:
    """A verdict that was not repeated.

    Attributes:
        index, source: of the frame.
        box: of the region; None where the whole frame is meant.
        what: what was recorded and what was found.
    """

    source: str
    index: int
    box: Box | None
    what: str


@dataclass(frozen=True)
class Replay:
    """How a session was repeated.

    Attributes:
        frames: classified again.
        verdicts: of them compared.
        excluded: whole frames that were excluded then and so have nothing to repeat.
        different: verdicts and frames that differ; `differences` holds the first `SHOWN_DIFFERENCES` of them.
        largest_gap: the largest difference of any probability.
    """

    frames: int
    verdicts: int
    excluded: int
    different: int
    differences: tuple[Difference, ...]
    largest_gap: float

    @property
    def is_exact(self) -> bool:
        """True if every recorded verdict was repeated, and there was one."""
        return self.different == 0 and self.verdicts > 0


def replay(
    folder: Path,
    classifier: Classifier,
    open_source: OpenSource,
    processing: FrameProcessing,
    *,
    tolerance: float = 0.0,
    on_line: OnLine = lambda length: None,
) -> Replay:
    """Classify a recorded session's frames again.

    Args:
        classifier: of the very bundle the session was recorded with, see `check_replayable`.
        open_source: opens the source of a session whose frames were not kept.
        processing: the session's treatment, noise and seed; without stage motion.
        tolerance: how far a probability may lie from the recorded one; 0 on the machine that recorded it.
        on_line: called with each journal line's length in bytes, for a progress bar.

    Raises:
        JournalError: the journal does not verify.
    """
    source = _RecordedFrames(folder, open_source, on_line)
    comparison = _Comparison(source, tolerance)
    with suppress(SourceError):  # not one frame was available: each is among the differences
        session = run(source, classifier, [comparison], processing)
        if session.failure is not None:  # the journal does not verify from some line on
            raise session.failure
    return Replay(
        comparison.frames, comparison.verdicts, source.excluded, comparison.different, tuple(comparison.shown), comparison.gap
    )


def check_replayable(folder: Path, start: StartRecord, manifest_sha256: str) -> None:
    """Raises: JournalError, if the session was recorded with another bundle."""
    if start.manifest_sha256 != manifest_sha256:
        raise JournalError(
            f"{folder}: the session was recorded with bundle {start.name} (manifest {start.manifest_sha256[:12]}),"
            f" not with this one ({manifest_sha256[:12]}); give the bundle it was recorded with"
        )


@dataclass(frozen=True)
class _Expected:
    frame: FrameRecord
    verdicts: Sequence[VerdictRecord]


class _RecordedFrames:
    """A source of a session's frames; `expected` holds what was recorded of those that the pipeline has in hand."""

    name, live = "recorded session", False
    truths: tuple[str, ...] = ()

    def __init__(self, folder: Path, open_source: OpenSource, on_line: OnLine) -> None:
        self._folder, self._open, self._on_line = folder, open_source, on_line
        self.expected: deque[_Expected] = deque()
        self.excluded = 0

    def frames(self) -> Items:
        entries = read(self._folder, on_line=self._on_line)
        start = next(entries, None)
        if start is None or not isinstance(start.record, StartRecord):
            return
        settings = start.record.source
        again = _SourceAgain(lambda: self._open(settings))
        for frame, verdicts in read_frames(entries):
            if frame.excluded is not None:
                self.excluded += 1
                continue
            if not verdicts:
                continue
            self.expected.append(_Expected(frame, verdicts))
            try:
                yield self._frame(frame, again)
            except (ImageError, SourceError) as error:
                yield Gap(frame.index, frame.source, str(error))

    def _frame(self, record: FrameRecord, again: "_SourceAgain") -> Frame:
        pixels = read_rgb(self._folder / record.picture) if record.picture else again.at(record.index).pixels
        found = pixels_sha256(pixels)
        if found != record.pixels_sha256:
            raise SourceError(
                "", f"the picture is another (sha256 {found[:12]}, recorded {(record.pixels_sha256 or 'none')[:12]})"
            )
        return Frame(pixels, record.index, record.captured_ns, 0.0, record.source, None)


class _SourceAgain:
    """A source read forward, and opened again where an earlier frame is asked for (a resumed session began again too)."""

    def __init__(self, open_source: Callable[[], FrameSource]) -> None:
        self._open = open_source
        self._items: Iterator[Frame | Gap | Note | Arriving] = iter(())
        self._next = -1

    def at(self, index: int) -> Frame:
        """Raises: SourceError, if the source has no such frame any more."""
        if index < self._next or self._next < 0:
            self._items, self._next = iter(self._open().frames()), 0
        for item in self._items:
            if isinstance(item, Note | Arriving):
                continue
            self._next = item.index + 1
            if item.index == index:
                if isinstance(item, Gap):
                    raise SourceError("", f"frame {index} cannot be read any more: {item.reason}")
                return item
            if item.index > index:
                break
        raise SourceError("", f"the source has no frame {index} any more")


class _Comparison:
    """The sink that holds what is found against what was recorded."""

    def __init__(self, source: _RecordedFrames, tolerance: float) -> None:
        self._source, self._tolerance = source, tolerance
        self.frames = self.verdicts = self.different = 0
        self.shown: list[Difference] = []
        self.gap = 0.0

    def take(self, event: Event) -> None:
        if not isinstance(event, FrameResult | Gap):
            return
        expected = self._source.expected.popleft()
        if isinstance(event, Gap):
            self._differs(expected.frame, None, event.reason)
            return
        self.frames += 1
        if event.excluded is not None:
            self._differs(expected.frame, None, f"recorded with verdicts, now excluded: {event.excluded}")
        elif len(event.regions) != len(expected.verdicts):
            self._differs(
                expected.frame, None, f"recorded with {count(len(expected.verdicts), 'verdict')}, now {len(event.regions)}"
            )
        else:
            for verdict, region in zip(expected.verdicts, event.regions, strict=True):
                self._compare(expected.frame, verdict, region)

    def close(self) -> None:
        """Nothing is held open."""

    def _compare(self, frame: FrameRecord, recorded: VerdictRecord, region: RegionResult) -> None:
        self.verdicts += 1
        place_then, place_now = (recorded.box, recorded.sigma), (region.box, region.sigma)
        then = recorded.label or f"excluded: {recorded.excluded}"
        now = f"excluded: {region.excluded}" if region.verdict is None else region.verdict.label
        if place_then != place_now:
            self._differs(frame, recorded.box, f"recorded at {_place(*place_then)}, now at {_place(*place_now)}")
        elif then != now and not _is_one_reason(recorded.excluded, region.excluded):
            self._differs(frame, recorded.box, f"recorded as {then}, now {now}")
        elif region.verdict is not None:
            gaps = [
                abs(float(value) - before)
                for value, before in zip(region.verdict.probabilities, recorded.probabilities, strict=True)
            ]
            self.gap = max(self.gap, *gaps)
            if max(gaps) > self._tolerance:
                self._differs(frame, recorded.box, f"{then} as recorded, but a probability differs by {max(gaps):.6f}")

    def _differs(self, frame: FrameRecord, box: Box | None, what: str) -> None:
        self.different += 1
        if len(self.shown) < SHOWN_DIFFERENCES:
            self.shown.append(Difference(frame.source, frame.index, box, what))


def _is_one_reason(then: Exclusion | None, now: Exclusion | None) -> bool:
    """Whether two exclusions rest on the same figures: what a kind is called has changed between versions."""
    return then is not None and now is not None and bool(then.detail) and then.detail.removesuffix(SWAPPED) in now.detail


def _place(box: Box, sigma: float) -> str:
    return f"{box}, sigma {sigma:g}"
