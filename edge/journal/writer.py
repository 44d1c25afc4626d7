"""The session's journal on the disk: append-only, hash-chained, fsynced in groups, rotated by size.

`append` hands its records to the kernel at once, so a killed process loses none that was appended; a power cut loses at most
what came after the last fsync: `GROUP_RECORDS` records or `GROUP_SECONDS`. The format is in docs/reference/journal.md.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from leukolite.clock import Clock, WallClock
from leukolite.edge.journal.folder import SessionFolder
from leukolite.edge.journal.format import GROUP_RECORDS, Verified, file_name, seal
from leukolite.edge.journal.records import EventRecord, Record
from leukolite.errors import reason_of, text_of
from leukolite.wording import count

GROUP_SECONDS = 1.0
FILE_BYTES = 16 * 1024 * 1024

CLOSED = "the journal was closed"
_MEANWHILE = "while it was being recorded"

_JUMP_SECONDS = 2.0  # more than an NTP slew, less than what anybody sets a clock by


class Journal:
    """Writes a session's journal. Made by `leukolite.edge.journal.open`; safe to use from several threads.

    A disk that is full or fails never raises, nor does somebody who removes, cuts or moves what is being written: `stopped` says
    why nothing is recorded any more, `on_stop` is called once, what is appended from then on is counted in `unrecorded`, and
    what was written stays as it is.

    Args:
        folder: the session's, locked; the journal closes it.
        verified: what the folder holds already.
        file_bytes: a file that would grow beyond this is followed by a new one.
        on_stop: called with one line that says why recording stopped.
        clock: monotonic nanoseconds.
        wall: seconds since 1970.
        sync: puts a file on the disk; `os.fsync`.
    """

    def __init__(
        self,
        folder: SessionFolder,
        verified: Verified,
        *,
        file_bytes: int = FILE_BYTES,
        on_stop: Callable[[str], None] = lambda reason: None,
        clock: Clock = time.monotonic_ns,
        wall: WallClock = time.time,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self.folder, self.anchor, self.records = folder.path, verified.anchor, verified.records
        self.stopped: str | None = None
        self.unrecorded = 0
        self.synced, self.synced_anchor = verified.records, verified.anchor  # what is on the disk for certain
        self.left: int | None = None  # records that somebody else left of it
        self.elsewhere = ""  # where those are that were moved away, as the end of a clause
        self._held, self._file_bytes, self._on_stop, self._sync_file = folder, file_bytes, on_stop, sync
        self._clock, self._wall = clock, wall
        self._opened, self._skew = clock(), wall() - clock() / 1e9
        self._oldest_unsynced: int | None = None
        # taken in this order: one appends, one syncs (and changes the file), one looks at the state
        self._append_lock, self._sync_lock, self._lock = threading.Lock(), threading.Lock(), threading.RLock()
        folder.make_reserve()
        self._earlier = [(folder.path / file_name(number)).stat().st_size for number in range(verified.files - 1)]
        self._fd = folder.open_file(len(self._earlier), new=False)
        self._size = os.fstat(self._fd).st_size

    @property
    def unsynced(self) -> int:
        """How many records a power cut at this moment may lose."""
        return self.records - self.synced

    @property
    def kept(self) -> str:
        """How many records there are for certain, and how many may be lost, in a clause."""
        if self.left is not None:
            return f"{self.left} of {count(self.records, 'record')} are left in {self.folder}{self.elsewhere}"
        lost = f", {self.unsynced} more may be lost" if self.unsynced else ""
        return f"{count(self.synced, 'record')} in {self.folder} {'is' if self.synced == 1 else 'are'} kept{lost}"

    def append(self, *records: Record) -> bool:
        """Add records; they are the kernel's when this returns, and the disk's within a group.

        Returns:
            False where recording has stopped, before or among them.
        """
        with self._append_lock:
            now, wall = self._clock(), self._wall()
            jump = wall - now / 1e9 - self._skew
            if abs(jump) > _JUMP_SECONDS:
                self._skew += jump
                records = (EventRecord(event="clock jumped", detail=f"by {jump:+.3f} s"), *records)
            for first in range(0, len(records), GROUP_RECORDS):
                group = records[first : first + GROUP_RECORDS]
                if self.unsynced + len(group) > GROUP_RECORDS:
                    self.sync()
                self._write(group, now, wall)
            self.sync_if_due()
            return self.stopped is None

    def sync(self) -> None:
        """Put all that was appended on the disk."""
        with self._sync_lock:
            self._sync()

    def sync_if_due(self, share: float = 1.0) -> None:
        """Sync if a group's limit, or this share of it, is reached."""
        with self._lock:
            oldest = self._oldest_unsynced
            waited = 0 if oldest is None else self._clock() - oldest
            due = self.unsynced >= GROUP_RECORDS * share or waited >= GROUP_SECONDS * share * 1e9
        if due:
            self.sync()

    def stop(self, reason: str) -> None:
        """Record nothing more, because what belongs to the records cannot be kept; the last record says so."""
        with self._append_lock, self._sync_lock, self._lock:
            if self.stopped is None:
                self._end(reason)

    def close(self) -> None:
        """Sync and let go of the files. It adds no 'end' record: append one before, if it was the end. It never raises."""
        with self._append_lock, self._sync_lock:
            self._sync()
            with self._lock:
                if self._fd < 0:
                    return
                if self.stopped is None and (lost := self._held.lost(self._earlier)):
                    self._stop_changed(lost)
                self.folder = self._held.place
                self._held.give_up_reserve()
                with suppress(OSError):  # what it would say, the sync has said
                    os.close(self._fd)
                self._held.close()
                self._fd = -1
                self.stopped = self.stopped or CLOSED

    def discard(self) -> None:
        """Close a journal of which nothing was recorded, and take its file away: the next attempt finds an empty folder."""
        self._held.remove_file(len(self._earlier))  # while it is locked
        self.close()

    def _sync(self) -> None:
        """With `_sync_lock` held: the file that is open is not changed meanwhile. It never raises."""
        with self._lock:
            if self.stopped is not None or self.unsynced == 0:
                return
            upto, anchor = self.records, self.anchor
            self._oldest_unsynced = None
        try:
            self._sync_file(self._fd)
            with self._lock:
                if self.stopped is None:
                    self._call_safe(upto, anchor)
        except OSError as error:
            # the kernel may have dropped the pages: nothing more is certain, and nothing may be written behind them
            self._stop(reason_of(error))
        except Exception as error:  # noqa: BLE001  # in a thread of its own it would end in silence
            self._stop(text_of(error))

    def _call_safe(self, upto: int, anchor: str) -> None:
        """What the disk has taken is safe, unless somebody has changed what it was written to."""
        if changed := self._held.file_change(len(self._earlier), self._fd, self._size):
            self._stop_changed(changed)
            return
        self.synced, self.synced_anchor = upto, anchor
        if moved := self._held.folder_change():
            self.folder = self._held.place
            self._end(f"{moved} {_MEANWHILE}")

    def _write(self, records: Sequence[Record], now: int, wall: float) -> None:
        """The records' lines, all or none of them. With `_append_lock` held."""
        lines, anchor = [], self.anchor
        for seq, record in enumerate(records, self.records):
            line, anchor = seal(record, seq, anchor, wall, (now - self._opened) / 1e6)
            lines.append(line)
        content = b"".join(lines)
        if self._size and self._size + len(content) > self._file_bytes:
            self._begin_file()
        with self._lock:
            if self.stopped is not None:
                self.unrecorded += len(records)
                return
            try:
                if os.fstat(self._fd).st_size != self._size:  # behind somebody else's bytes no record could be read
                    self.unrecorded += len(records)
                    self._stop_changed(self._file_change())
                    return
                self._write_all(content)
                size, n = self._size + len(content), self.records + len(records)
                self._size, self.anchor, self.records = size, anchor, n  # no call in between: no interrupt either
            except OSError as error:
                self.unrecorded += len(records)
                self._end(reason_of(error))
                return
            except BaseException:  # an impatient Ctrl-C: half a line must not stand before the next
                os.ftruncate(self._fd, self._size)
                raise
            if self._oldest_unsynced is None:
                self._oldest_unsynced = now

    def _write_all(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _begin_file(self) -> None:
        """Go on in the next file, once the one before is on the disk; for want of descriptors in the same."""
        with self._sync_lock:
            self._sync()
            with self._lock:
                if self.stopped is not None:
                    return
                if lost := self._held.lost(self._earlier):
                    self._stop_changed(lost)
                    return
                try:
                    fd = self._held.open_file(len(self._earlier) + 1, new=True)
                except OSError as error:
                    if error.errno not in (errno.EMFILE, errno.ENFILE):
                        self._end(reason_of(error))
                    return
                with suppress(OSError):  # what it would say, the sync has said
                    os.close(self._fd)
                self._earlier.append(self._size)
                self._fd, self._size = fd, 0

    def _end(self, reason: str) -> None:
        """The journal ends with its last whole record, then, in the room that was kept, with word of what happened."""
        note = EventRecord(event="recording stopped", detail=reason)
        try:
            if os.fstat(self._fd).st_size < self._size:  # nothing can be written behind what somebody has cut off
                self._stop_changed(self._file_change())
                return
            os.ftruncate(self._fd, self._size)
            self._held.give_up_reserve()
            line, anchor = seal(note, self.records, self.anchor, self._wall(), (self._clock() - self._opened) / 1e6)
            try:
                self._write_all(line)
            except OSError:  # not even that: the records end where they ended
                os.ftruncate(self._fd, self._size)
            else:
                self._size, self.anchor, self.records = self._size + len(line), anchor, self.records + 1
            self._sync_file(self._fd)
            self.synced, self.synced_anchor = self.records, self.anchor
        except OSError as error:
            if reason_of(error) != reason:
                reason = f"{reason}, then {reason_of(error)}"
        self._stop(reason)

    def _stop_changed(self, what: str) -> None:
        """Somebody else has changed what is being written: the records that are left are counted, nothing is added."""
        self.left, self.folder = min(self._held.whole_lines(), self.records), self._held.place
        if moved := self._held.other_place(len(self._earlier), self._fd):
            self.elsewhere = f"; {min(moved[1], self.records)} lie in {moved[0]}"
        self._stop(f"{what} {_MEANWHILE}")

    def _file_change(self) -> str:
        number = len(self._earlier)
        return self._held.file_change(number, self._fd, self._size) or f"{file_name(number)} was changed"

    def _stop(self, reason: str) -> None:
        with self._lock:
            if self.stopped is not None:
                return
            self.stopped = reason
        with suppress(Exception):  # `stopped` says it to everybody else
            self._on_stop(f"recording stopped: {reason}; {self.kept}")


class GroupCommit:
    """A thread that syncs a journal ahead of the limits, so that an append seldom waits for the disk and an idle session is
    safe within `GROUP_SECONDS`."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._ended = journal, threading.Event()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; the journal stays open."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(GROUP_SECONDS / 8):
            self._journal.sync_if_due(0.5)
