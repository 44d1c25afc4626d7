"""What the pipeline hands to its sinks, as records: the sink that keeps a session's journal, and its frames where asked."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.host.health import Health
from leukolite.edge.journal.folder import locked
from leukolite.edge.journal.format import OnEntry, ignore, read
from leukolite.edge.journal.open import check_place, create_journal, is_begun, resume_journal
from leukolite.edge.journal.records import (
    EventRecord,
    FrameRecord,
    GapRecord,
    HealthRecord,
    LatencyRecord,
    Record,
    StartRecord,
    VerdictRecord,
    closing_record,
    pixels_sha256,
    printable,
)
from leukolite.edge.journal.writer import CLOSED, GroupCommit, Journal
from leukolite.errors import DISK_FULL, JournalError, LeukoliteError, reason_of
from leukolite.files import write_file
from leukolite.path_text import text_of_path
from leukolite.sheets import encode_png
from leukolite.sums import SHORT
from leukolite.wording import count

PICTURES = "frames"

_SAME_ON_RESUME = ("sigmas", "settings")


@dataclass(frozen=True)
class RecordingState:
    """For a page or a log.

    Attributes:
        stopped: why nothing is recorded any more; None while all is well.
        records: in the journal; once recording has stopped, those that are kept for certain.
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
        resumed: the journal held a session already.

    Attributes:
        is_closed: nothing more is taken.
    """

    def __init__(
        self,
        journal: Journal,
        start: StartRecord,
        *,
        keep_frames: bool = False,
        keep_running: bool = False,
        resumed: bool = False,
    ) -> None:
        self.resumed, self.is_closed = resumed, False
        self._journal, self._labels = journal, start.classes.labels
        self._keep_frames, self._keep_running = keep_frames, keep_running
        self._commit = GroupCommit(journal)
        self._lock, self._raised, self._has_ending = threading.Lock(), False, False
        self._frames = journal.records  # a number that no earlier part of the session has given to a picture

    @property
    def state(self) -> RecordingState:
        journal = self._journal
        kept = journal.records if journal.stopped is None else journal.synced if journal.left is None else journal.left
        return RecordingState(journal.stopped, kept, journal.unsynced, journal.unrecorded)

    @property
    def folder(self) -> Path:
        """Where the records lie now; somebody may have moved it."""
        return self._journal.folder

    @property
    def anchor(self) -> str:
        """Hash of the last record that is on the disk; note it elsewhere to show later that nothing was cut off or rewritten."""
        return self._journal.synced_anchor

    @property
    def outcome(self) -> str:
        """What was recorded and what was not, in a line."""
        journal = self._journal
        missing = f", {journal.unrecorded} more could not be kept" if journal.unrecorded else ""
        if journal.left is not None:
            return f"{journal.left} of {count(journal.records, 'record')} are left{missing}{journal.elsewhere}"
        lost = f", {journal.unsynced} more may be lost" if journal.unsynced else ""
        return f"{count(journal.synced, 'record')}{lost}{missing}; the last is {self.anchor}"

    def take(self, event: Event) -> None:
        """Raises: JournalError, once, where recording has stopped and the session shall not go on without it."""
        if isinstance(event, SessionEnd):
            self._has_ending = True
        picture = sha256 = None
        if isinstance(event, FrameResult) and self._journal.stopped is None:
            sha256 = pixels_sha256(event.frame.pixels)
            picture = self._keep(event) if self._keep_frames and event.excluded is None else None
        self._append(*records_of(event, self._labels, sha256=sha256, picture=picture))

    def close(self) -> None:
        """Put all on the disk; a second time changes nothing. Who never said how the session ended leaves it as failed.

        Raises:
            JournalError: as `take`, for what shows only now.
        """
        if self.is_closed:
            return
        self.is_closed = True
        self._commit.close()
        if not self._has_ending:
            self._journal.append(closing_record(Ending(EndedBy.PROGRAM_ERROR, "it was closed before it had ended")))
        self._journal.close()
        self._check()

    def _append(self, *records: Record) -> None:
        self._journal.append(*records)
        self._check()

    def _check(self) -> None:
        stopped = self.state.stopped_early
        if stopped is None or self._keep_running or self._raised:
            return
        self._raised = True  # what happens while the session ends is not recorded, and ends nothing else
        remedy = "make room and resume the session" if DISK_FULL in stopped else "mend that, then resume the session"
        raise JournalError(f"{self._journal.folder}: recording stopped: {stopped}; {remedy}")

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
    resume: bool | None,
    keep_frames: bool = False,
    keep_running: bool = False,
    on_stop: Callable[[str], None] = lambda reason: None,
    on_entry: OnEntry = ignore,
    **options: object,
) -> JournalSink:
    """Begin a session's record, or go on with one.

    Args:
        start: what classifies now; a session is resumed by the very same bundle, runtime, noise, source and settings only.
        resume: go on with the session that is there; None: if there is one.
        on_stop: called with one line that says why recording stopped.
        on_entry: called, in order, with each entry that a resumed session holds already, as a summary needs them.
        options: of `Journal`.

    Raises:
        JournalError: the folder is taken, or there is nothing to resume, or it was recorded with something else, or the
            journal does not verify.
    """
    keeps = {"keep_frames": keep_frames, "keep_running": keep_running}
    check_place(folder)
    with locked(folder, make=resume is not True) as held:  # before it is looked at: two may begin at once
        if resume is False or (resume is None and not is_begun(folder)):
            return JournalSink(create_journal(folder, start, held=held, on_stop=on_stop, **options), start, **keeps)
        entries = read(folder)
        first = next(entries, None)
        changed = ""
        if first is not None and isinstance(first.record, StartRecord):  # else `resume_journal` says what is wrong
            check_resumable(folder, first.record, start)
            changed = _changes(*_versions(first.record, start))
        journal, _ = resume_journal(folder, changed, held=held, on_entry=on_entry, on_stop=on_stop, **options)
        return JournalSink(journal, start, resumed=True, **keeps)


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
            return (closing_record(event.ending),)


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


def _versions(before: StartRecord, now: StartRecord) -> tuple[dict[str, str], dict[str, str]]:
    """Of all that may change a pixel or a probability, then and now; and the bundle's own hash, for its card may have changed."""
    then, today = dict(before.versions), dict(now.versions)
    if before.bundle_sha256 is not None and now.bundle_sha256 is not None:
        then["bundle"], today["bundle"] = before.bundle_sha256[:SHORT], now.bundle_sha256[:SHORT]
    return then, today


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(f"{name} {before.get(name, 'none')} -> {now.get(name, 'none')}" for name in names)


def _hash_of(name: str, start: StartRecord) -> str:
    return f"{getattr(start, name)[:12]} of {start.name}"


def _shown(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {value}"
