"""The session's journal on the disk: append-only, hash-chained, fsynced in groups, rotated by size.

`append` hands its records to the kernel at once, so a killed process loses none that was appended; a power cut loses at most
what came after the last fsync: `GROUP_RECORDS` records or `GROUP_SECONDS`. The format is in docs/reference/journal.md.
"""

import fcntl
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from leukolite.clock import Clock, WallClock
from leukolite.edge.journal.format import GENESIS, GROUP_RECORDS, Entry, OnEntry, Verified, file_name, ignore, read, seal, verify
from leukolite.edge.journal.records import EventRecord, Record, StartRecord, printable
from leukolite.errors import JournalError, reason_of
from leukolite.wording import count

GROUP_SECONDS = 1.0
FILE_BYTES = 16 * 1024 * 1024
RESERVE, RESERVE_BYTES = ".reserve", 64 * 1024  # given up on a full disk, so that the journal can still say so

CLOSED = "the journal was closed"

_TORN = "torn-after-"  # files that keep what was cut off
_JUMP_SECONDS = 2.0  # more than an NTP slew, less than what anybody sets a clock by


class Journal:
    """Writes a session's journal. Make one with `create_journal` or `resume_journal`; safe to use from several threads.

    A disk that is full or fails never raises: `stopped` says why nothing is recorded any more, `on_stop` is called once, what
    is appended from then on is counted in `unrecorded`, and what was written stays whole.

    Args:
        folder: the session's folder.
        folder_fd: its descriptor, locked; the journal closes it.
        verified: what the folder holds already.
        file_bytes: a file that would grow beyond this is followed by a new one.
        on_stop: called with one line that says why recording stopped.
        clock: monotonic nanoseconds.
        wall: seconds since 1970.
        sync: puts a file on the disk; `os.fsync`.
    """

    def __init__(
        self,
        folder: Path,
        folder_fd: int,
        verified: Verified,
        *,
        file_bytes: int = FILE_BYTES,
        on_stop: Callable[[str], None] = lambda reason: None,
        clock: Clock = time.monotonic_ns,
        wall: WallClock = time.time,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self.folder, self.anchor, self.records = folder, verified.anchor, verified.records
        self.stopped: str | None = None
        self.unrecorded = 0
        self.synced = verified.records  # how many records are on the disk for certain
        self._file_bytes, self._on_stop, self._clock, self._wall, self._sync_file = file_bytes, on_stop, clock, wall, sync
        self._opened, self._skew = clock(), wall() - clock() / 1e9
        self._oldest_unsynced: int | None = None
        # taken in this order: one appends, one syncs, one looks at the state
        self._append_lock, self._sync_lock, self._lock = threading.Lock(), threading.Lock(), threading.RLock()
        self._folder_fd, self._number = folder_fd, max(verified.files - 1, 0)
        _make_reserve(folder)
        self._fd, self._size = self._open_file(self._number)

    @property
    def unsynced(self) -> int:
        """How many records a power cut at this moment may lose."""
        return self.records - self.synced

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
                with self._lock:
                    self._write(group, now, wall)
            self.sync_if_due()
            return self.stopped is None

    def sync(self) -> None:
        """Put all that was appended on the disk."""
        with self._sync_lock:
            with self._lock:
                if self.stopped is not None or self.unsynced == 0:
                    return
                upto, fd = self.records, os.dup(self._fd)  # a copy, so that a new file meanwhile does no harm
                self._oldest_unsynced = None
            try:
                self._sync_file(fd)
            except OSError as error:
                # after a failed fsync the kernel may have dropped the pages: nothing more is certain
                self._stop(f"{reason_of(error)}; the last {count(self.unsynced, 'record')} may be lost")
                return
            finally:
                os.close(fd)
            with self._lock:
                self.synced = max(self.synced, upto)

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
        """Sync and let go of the files. It adds no 'end' record: append one before, if it was the end."""
        self.sync()
        with self._lock:
            if self._fd < 0:
                return
            (self.folder / RESERVE).unlink(missing_ok=True)
            os.close(self._fd)
            os.close(self._folder_fd)
            self._fd = self._folder_fd = -1
            self.stopped = self.stopped or CLOSED

    def _write(self, records: Sequence[Record], now: int, wall: float) -> None:
        """The records' lines, all or none of them."""
        if self.stopped is not None:
            self.unrecorded += len(records)
            return
        lines, anchor = [], self.anchor
        for seq, record in enumerate(records, self.records):
            line, anchor = seal(record, seq, anchor, wall, (now - self._opened) / 1e6)
            lines.append(line)
        content = b"".join(lines)
        try:
            if self._size and self._size + len(content) > self._file_bytes:
                self._begin_file()
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

    def _end(self, reason: str) -> None:
        """The journal ends with its last whole record, then, in the room that was kept, with word of what happened."""
        note = EventRecord(event="recording stopped", detail=reason)
        try:
            os.ftruncate(self._fd, self._size)
            (self.folder / RESERVE).unlink(missing_ok=True)
            line, anchor = seal(note, self.records, self.anchor, self._wall(), (self._clock() - self._opened) / 1e6)
            try:
                self._write_all(line)
            except OSError:  # not even that: the records end where they ended
                os.ftruncate(self._fd, self._size)
            else:
                self._size, self.anchor, self.records = self._size + len(line), anchor, self.records + 1
            self._sync_file(self._fd)
            self.synced = self.records
        except OSError as error:
            reason = f"{reason}, then {reason_of(error)}"
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        with self._lock:
            if self.stopped is not None:
                return
            self.stopped = reason
        kept = f"{count(self.records, 'record')} in {self.folder} {'is' if self.records == 1 else 'are'} kept"
        self._on_stop(f"recording stopped: {reason}; {kept}")

    def _begin_file(self) -> None:
        self._sync_file(self._fd)
        self.synced, self._oldest_unsynced = self.records, None
        fd, size = self._open_file(self._number + 1)
        os.close(self._fd)
        self._fd, self._size, self._number = fd, size, self._number + 1

    def _open_file(self, number: int) -> tuple[int, int]:
        path = self.folder / file_name(number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            os.fsync(self._folder_fd)
        except OSError:
            os.close(fd)
            raise
        return fd, os.fstat(fd).st_size


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


def is_begun(folder: Path) -> bool:
    """Whether a session is recorded in a folder: one whole record at least, not what a start that came to nothing left.

    Raises:
        JournalError: its first record is damaged, or its first file is missing.
    """
    if not folder.is_dir() or not any(folder.glob("journal-*.jsonl")):
        return False
    with _what_to_do(folder):
        return next(read(folder), None) is not None


@contextmanager
def _what_to_do(folder: Path) -> Iterator[None]:
    """Of a record that is damaged, for one who wants to go on with it."""
    try:
        yield
    except JournalError as error:
        if not any(folder.glob("journal-*.jsonl")):
            raise
        raise JournalError(f"{error}; keep this folder as it is, and record into a new one") from error


def create_journal(folder: Path, start: StartRecord, **options: object) -> Journal:
    """Begin a session in a folder that does not exist yet or is empty, or holds what a start that came to nothing left.

    Args:
        options: of `Journal`.

    Raises:
        JournalError: something is there, or the place cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise JournalError(f"{folder}: is a file; choose a new folder")
    if folder.is_symlink() and not folder.exists():
        raise JournalError(f"{folder}: a link whose target is gone; choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error) from error
    with _locked(folder) as folder_fd:
        _clear(folder)
        nothing = Verified(None, 0, 0, False, GENESIS, None)
        journal = Journal(folder, folder_fd, nothing, **options)  # type: ignore[arg-type]
    journal.append(start)
    journal.sync()
    if journal.stopped is not None:
        journal.close()
        (folder / file_name(0)).unlink(missing_ok=True)  # nothing was recorded: the next attempt finds an empty folder
        raise JournalError(f"{folder}: the session cannot begin ({journal.stopped})")
    return journal


def _clear(folder: Path) -> None:
    """Refuse a folder that is in use; of a start that came to nothing, as in a power cut, keep the torn record beside."""
    if is_begun(folder):
        raise JournalError(f"{folder}: a session is recorded there already; choose a new folder")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(_TORN)}
    others = sorted(names - {RESERVE, file_name(0), "salt", "lost+found"})  # as in a service's folder, and a disk's
    if others:
        raise JournalError(f"{folder}: exists and is not empty (it holds {printable(others[0])}); choose a new folder")
    if file_name(0) in names:
        _cut(verify(folder))


def resume_journal(folder: Path, detail: str = "", *, on_entry: OnEntry = ignore, **options: object) -> tuple[Journal, Verified]:
    """Go on with a session. A torn end is cut off; the cut bytes are kept beside the journal.

    Args:
        detail: what is different from before, in a line; it goes into the 'resumed' record.
        on_entry: called with each entry that the journal holds already, in order, and with the 'resumed' one.
        options: of `Journal`.

    Returns:
        The journal and what it held; `Verified.torn` says what was cut.

    Raises:
        JournalError: the journal does not verify, holds no record, or is being written by another process.
    """
    if not folder.is_dir():
        verify(folder)  # says what is wrong
    with _locked(folder) as folder_fd:  # before anything is read: the torn line may be one that is just being written
        with _what_to_do(folder):
            verified = verify(folder, on_entry=on_entry)
        if verified.start is None:
            raise JournalError(f"{folder}: no session was recorded there")
        if verified.torn is not None:
            _cut(verified)
            detail = f"a torn end of {count(verified.torn.length, 'byte')} was cut off{f'; {detail}' if detail else ''}"
        journal = Journal(folder, folder_fd, verified, **options)  # type: ignore[arg-type]
    resumed = EventRecord(event="resumed", detail=detail)
    if not journal.append(resumed):
        journal.close()
        raise JournalError(f"{folder}: the session cannot go on ({journal.stopped})")
    at, n = datetime.now(UTC), verified.records
    on_entry(Entry(seq=n, at=at, up_ms=0, prev=verified.anchor, record=resumed, sha256=journal.anchor))
    return journal, verified


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """`_lock`, given up again unless the block ends well: then a journal holds and closes it."""
    folder_fd = _lock(folder)
    try:
        yield folder_fd
    except BaseException as error:
        os.close(folder_fd)
        if isinstance(error, OSError):
            raise _unwritable(folder, error) from error
        raise


def _lock(folder: Path) -> int:
    """The folder's descriptor, locked for this process until it is closed, however the process ends."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise JournalError(f"{folder}: another process is recording this session; stop it first") from error
    return fd


def _cut(verified: Verified) -> None:
    """Take a torn end off the journal, and keep it beside."""
    torn = verified.torn
    if torn is None:
        return
    with torn.path.open("r+b") as file:
        file.seek(torn.offset)
        with _new_torn_file(torn.path.parent, verified.records) as kept:
            kept.write(file.read())
            kept.flush()
            os.fsync(kept.fileno())
        file.truncate(torn.offset)
        os.fsync(file.fileno())


def _new_torn_file(folder: Path, records: int) -> BinaryIO:
    """A crash may tear the very first record that follows another torn end."""
    for n in itertools.count(1):
        with suppress(FileExistsError):
            return (folder / f"{_TORN}{records:09}{f'-{n}' if n > 1 else ''}.bin").open("xb")
    raise AssertionError


def _make_reserve(folder: Path) -> None:
    path = folder / RESERVE
    try:
        if not path.exists() or path.stat().st_size < RESERVE_BYTES:  # a power cut leaves less
            path.write_bytes(os.urandom(RESERVE_BYTES))  # random, so that no file system stores it in less
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unwritable(folder: Path, error: OSError) -> JournalError:
    return JournalError(f"{folder}: cannot be written ({reason_of(error)}); choose a place that exists, is writable and has room")
