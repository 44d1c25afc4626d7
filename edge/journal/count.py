"""A journal's records counted as the pipeline's events are, so that both give the same figures."""

from datetime import datetime

from leukolite.classifier import Latency
from leukolite.edge.counts import CountedRegion, SessionCounts
from leukolite.edge.ending import Ending
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import EventRecord, FrameRecord, GapRecord, HealthRecord, StartRecord, VerdictRecord
from leukolite.errors import JournalError


class JournalCounts:
    """Counts a journal's entries, taken in their order.

    Attributes:
        counts: of all frames whose verdicts are complete; call `close` after the last entry.
        next_index: of the first frame of the source that has no record yet.
        began, last: wall clock of the first and the last record, UTC.
        ending: how the session ended; None where its last record does not say, as after a kill -9.
        ending_before: likewise, before it was resumed the last time.
        stopped: why recording stopped, if it did and was not resumed.
    """

    def __init__(self, start: StartRecord) -> None:
        self.counts = SessionCounts(start.classes, start.sigmas, start.slide)
        self.next_index = 0
        self.began: datetime | None = None
        self.last: datetime | None = None
        self.ending: Ending | None = None
        self.ending_before: Ending | None = None
        self.stopped: str | None = None
        self._labels = start.classes.labels
        self._frame: FrameRecord | None = None
        self._verdicts: list[VerdictRecord] = []

    def take(self, entry: Entry) -> None:
        """Raises: JournalError, if a frame's truth is none of the session's labels."""
        record = entry.record
        self.began, self.last = self.began or entry.at, entry.at
        if isinstance(record, EventRecord) and record.event == "resumed":
            self.ending_before = self.ending
        self.ending = record.ending if isinstance(record, EventRecord) else None
        if isinstance(record, VerdictRecord):
            self._verdicts.append(record)
            return
        self.close()
        match record:
            case FrameRecord():
                if record.truth is not None and record.truth not in self._labels:
                    raise JournalError(
                        f"record {entry.seq}: its truth {record.truth!r} is none of the labels {', '.join(self._labels)}"
                    )
                self._frame = record
                self.next_index = max(self.next_index, record.index + 1)
            case GapRecord():
                self.counts.add_gap()
                self.next_index = max(self.next_index, record.index + 1)
            case HealthRecord():
                self.counts.add_health(record.conditions, record.temperature_c)
            case EventRecord(event="end" | "failed"):
                pass  # `ending` says so; a session that still runs has none
            case EventRecord():
                self.counts.add_happening(record.event, record.slide)
                if record.event in ("recording stopped", "resumed"):
                    self.stopped = record.detail if record.event == "recording stopped" else None
            case StartRecord():
                self.counts.slide.slide = record.slide  # a resumed session goes on with the slide it began with

    def close(self) -> None:
        """Count the frame in hand."""
        frame, verdicts = self._frame, self._verdicts
        self._frame, self._verdicts = None, []
        if frame is None or len(verdicts) != frame.verdicts:  # a crash cut its verdicts off
            return
        self.counts.add_frame(
            regions=[_region(verdict) for verdict in verdicts],
            excluded=None if frame.excluded is None else frame.excluded.kind,
            truth=None if frame.truth is None else self._labels.index(frame.truth),
            age_ms=frame.age_ms,
            skipped=frame.skipped,
            throttled=frame.throttled,
            temperature_c=frame.temperature_c,
            runtime=frame.runtime,
        )


def _region(verdict: VerdictRecord) -> CountedRegion:
    ms = verdict.latency_ms
    return CountedRegion(
        verdict.sigma,
        verdict.label,
        None if verdict.excluded is None else verdict.excluded.kind,
        None if ms is None else Latency(ms.capture, ms.locate, ms.preprocess, ms.invoke),
    )
