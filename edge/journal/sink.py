"""What the pipeline hands to its sinks, as records: the sink that keeps a session's journal, and its frames where asked."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.host.health import Health
from leukolite.edge.journal.format import OnEntry, ignore, read
from leukolite.edge.journal.records import (
    EventRecord,
    FrameRecord,
    GapRecord,
    HealthRecord,
    LatencyRecord,
    Record,
    StartRecord,
    VerdictRecord,
    pixels_sha256,
    printable,
)
from leukolite.edge.journal.writer import CLOSED, GroupCommit, Journal, create_journal, resume_journal
from leukolite.errors import JournalError, LeukoliteError, reason_of
from leukolite.files import write_file
from leukolite.path_text import text_of_path
from leukolite.sheets import encode_png
from leukolite.wording import count

PICTURES = "frames"

_SAME_ON_RESUME = ("sigmas", "settings")


@dataclass(frozen=True)
class RecordingState:
    """For a page or a log.

    Attributes:
        stopped: why nothing is recorded any more; None while all is well.
        records: in the journal.
        unsynced: of those, how many a power cut at this moment may lose.
        unrecorded: what came after recording stopped.
    """

    stopped: str | None
    records: int
    unsynced: int
    unrecorded: int

    @property
    def stopped_early(self) -> str | None:
        """`stopped`, unless the journal was closed at the session's end."""
        return None if self.stopped == CLOSED else self.stopped


class JournalSink:
    """Records a session. A `Sink`.

    Args:
        journal: where to; the sink closes it.
        keep_frames: write each classified frame as a lossless PNG beside the journal, so that a camera's session can be replayed.
        keep_running: go on without a record once the disk is full; else `take` raises and so ends the session.
    """

    def __init__(self, journal: Journal, start: StartRecord, *, keep_frames: bool = False, keep_running: bool = False) -> None:
        self._journal, self._labels = journal, start.classes.labels
        self._keep_frames, self._keep_running = keep_frames, keep_running
        self._commit = GroupCommit(journal)
        self._lock, self._raised, self._is_closed = threading.Lock(), False, False
        self._frames = journal.records  # a number that no earlier part of the session has given to a picture

    @property
    def state(self) -> RecordingState:
        journal = self._journal
        return RecordingState(journal.stopped, journal.records, journal.unsynced, journal.unrecorded)

    @property
    def anchor(self) -> str:
        """Hash of the last record; note it elsewhere to show later that nothing was cut off or rewritten."""
        return self._journal.anchor

    @property
    def outcome(self) -> str:
        """What was recorded and what was not, in a line."""
        missing = f", {self._journal.unrecorded} more could not be kept" if self._journal.unrecorded else ""
        return f"{count(self._journal.records, 'record')}{missing}; the last is {self.anchor}"

    def take(self, event: Event) -> None:
        """Raises: JournalError, once, where recording has stopped and the session shall not go on without it."""
        picture = sha256 = None
        if isinstance(event, FrameResult) and self._journal.stopped is None:
            sha256 = pixels_sha256(event.frame.pixels)
            picture = self._keep(event) if self._keep_frames and event.excluded is None else None
        self._append(*records_of(event, self._labels, sha256=sha256, picture=picture))

    def close(self) -> None:
        """The session's proper end; a second time changes nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._commit.close()
        self._journal.append(EventRecord(event="end"))
        self._journal.close()

    def _append(self, *records: Record) -> None:
        if not self._journal.append(*records) and not self._keep_running and not self._raised:
            self._raised = True  # what happens while the session ends is not recorded, and ends nothing else
            raise JournalError(
                f"{self._journal.folder}: recording stopped: {self._journal.stopped}; make room and resume the session"
            )

    def _keep(self, event: FrameResult) -> str | None:
        with self._lock:
            self._frames += 1
            name = f"{PICTURES}/{self._frames:09}.png"
        try:
            write_file(self._journal.folder / name, encode_png(event.frame.pixels))
        except LeukoliteError as error:
            self._journal.stop(f"a frame cannot be kept ({_reason_of(error)})")
            return None
        return name


def _reason_of(error: LeukoliteError) -> str:
    return reason_of(error.__cause__) if isinstance(error.__cause__, OSError) else str(error)


def open_recording(
    folder: Path,
    start: StartRecord,
    *,
    resume: bool,
    keep_frames: bool = False,
    keep_running: bool = False,
    on_stop: Callable[[str], None] = lambda reason: None,
    on_entry: OnEntry = ignore,
    **options: object,
) -> JournalSink:
    """Begin a session's record, or go on with one.

    Args:
        start: what classifies now; a session is resumed by the very same bundle, runtime, noise, source and settings only.
        on_stop: called with one line that says why recording stopped.
        on_entry: called, in order, with each entry that a resumed session holds already, as a summary needs them.
        options: of `Journal`.

    Raises:
        JournalError: the folder is taken, or there is nothing to resume, or it was recorded with something else, or the
            journal does not verify.
    """
    if not resume:
        journal = create_journal(folder, start, on_stop=on_stop, **options)
        return JournalSink(journal, start, keep_frames=keep_frames, keep_running=keep_running)
    entries = read(folder)
    first = next(entries, None)
    if first is not None and isinstance(first.record, StartRecord):  # else `resume_journal` says what is wrong
        check_resumable(folder, first.record, start)
        changed = _changes(first.record.versions, start.versions)
    else:
        changed = ""
    journal, _ = resume_journal(folder, changed, on_entry=on_entry, on_stop=on_stop, **options)
    return JournalSink(journal, start, keep_frames=keep_frames, keep_running=keep_running)


def check_resumable(folder: Path, before: StartRecord, now: StartRecord) -> None:
    """Raises: JournalError, that names the first thing which is not as it was when the session began."""
    pairs: list[tuple[str, object, object]] = [("runtime", before.runtime.name, now.runtime.name)]
    pairs += [(name, _hash_of(name, before), _hash_of(name, now)) for name in ("manifest_sha256", "model_sha256")]
    pairs += [(name, getattr(before, name), getattr(now, name)) for name in _SAME_ON_RESUME]
    if not before.source.is_same_as(now.source):
        pairs.append(("source", before.source, now.source))
    for name, was, found in pairs:
        if was != found:
            raise JournalError(
                f"{folder}: the session was recorded with {_shown(name, was)}, not {_shown(name, found)};"
                " go on with it as it began, or choose another folder"
            )


def records_of(
    event: Event, labels: Sequence[str], *, sha256: str | None = None, picture: str | None = None
) -> tuple[Record, ...]:
    """An event of the pipeline as records of the journal: for a frame, the frame's and one per verdict.

    Args:
        labels: the model's, in order.
        sha256: of the frame's pixels, for a record that is to be replayed.
        picture: the frame's file within the session's folder, if it was kept.
    """
    match event:
        case FrameResult():
            verdicts = (_verdict_record(event.frame.index, region) for region in event.regions)
            return _frame_record(event, labels, sha256, picture), *verdicts
        case Gap():
            return (GapRecord(source=text_of_path(event.source), index=event.index, reason=printable(event.reason)),)
        case Note():
            detail = "" if event.event == "new slide" else printable(f"{event.source}: {event.text}")
            return (EventRecord(event=event.event, detail=detail, slide=event.slide),)
        case Health():
            return (_health_record(event),)
        case SessionEnd():
            return (EventRecord(event="note", detail=printable(f"{event.source}: {event.text}")),)


def _frame_record(event: FrameResult, labels: Sequence[str], sha256: str | None, picture: str | None) -> FrameRecord:
    frame = event.frame
    return FrameRecord(
        source=text_of_path(frame.source),
        index=frame.index,
        captured_ns=frame.captured_at,
        timed_by=frame.timed_by,
        age_ms=event.age_ms,
        locate_ms=event.locate_ms,
        skipped=event.skipped,
        width=frame.pixels.shape[1],
        height=frame.pixels.shape[0],
        truth=None if event.truth is None else labels[event.truth],
        excluded=event.excluded,
        verdicts=len(event.regions),
        runtime=event.runtime,
        throttled=event.health.throttled,
        temperature_c=event.health.temperature_c,
        pixels_sha256=sha256,
        picture=picture,
    )


def _verdict_record(index: int, region: RegionResult) -> VerdictRecord:
    verdict = region.verdict
    if verdict is None:
        return VerdictRecord(index=index, box=region.box, sigma=region.sigma, excluded=region.excluded)
    latency = verdict.latency
    return VerdictRecord(
        index=index,
        box=region.box,
        sigma=region.sigma,
        label=verdict.label,
        probability=verdict.probability,
        probabilities=tuple(float(value) for value in verdict.probabilities),
        latency_ms=LatencyRecord(
            capture=latency.capture,
            locate=latency.locate,
            preprocess=latency.preprocess,
            invoke=latency.invoke,
            total=latency.total,
        ),
    )


def _health_record(health: Health) -> HealthRecord:
    return HealthRecord(
        conditions=health.conditions,
        temperature_c=health.temperature_c,
        clock_mhz=health.clock_mhz,
        throttle_mask=health.throttle_mask,
        memory_mb=health.memory_mb,
        memory_free_mb=health.memory_free_mb,
        disk_free_mb=health.disk_free_mb,
    )


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names)


def _hash_of(name: str, start: StartRecord) -> str:
    return f"{getattr(start, name)[:12]} of {start.name}"


def _shown(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {value}"
