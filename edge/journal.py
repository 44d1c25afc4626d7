"""The session's journal: append-only, hash-chained, fsynced in groups, rotated by size. The format is in docs/journal.md.

A record is one line, {"seq":..,"at":..,"up_ms":..,"prev":..,"record":{..},"sha256":..}. The hash is that of the line's
own bytes up to `,"sha256"`, and `prev` is the hash of the line before: no byte can change unseen, wherever it stands.
Bytes are hashed, not parsed values, so that nothing hangs on how somebody's JSON library writes a number.

`write` hands each record to the kernel at once, so a killed process loses none that was appended; a power cut loses at
most what came after the last fsync: `GROUP_RECORDS` records or `GROUP_SECONDS`.
"""

import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leukolite.bundle import Sha256
from leukolite.edge.records import EventRecord, Record, StartRecord
from leukolite.errors import JournalError

GROUP_RECORDS, GROUP_SECONDS = 100, 1.0
SEGMENT_BYTES = 16 * 1024 * 1024
GENESIS = "0" * 64  # what the first record names as the hash before it
RESERVE, RESERVE_BYTES = ".reserve", 64 * 1024  # given up on a full disk, so that the journal can still say so
MAX_LINE_BYTES = 16 * 1024 * 1024

_HASH_BYTES = len(',"sha256":"') + 64 + len('"}')
_JUMP_SECONDS = 2.0  # more than an NTP slew, less than what anybody sets a clock by

MonotonicClock = Callable[[], int]  # nanoseconds
WallClock = Callable[[], float]  # seconds since 1970, UTC


class Entry(BaseModel):
    """One line of a journal.

    Attributes:
        seq: 0, 1, 2... through all segments.
        at: wall clock, UTC; it may jump, `seq` is the order.
        up_ms: milliseconds since this process opened the journal, on the monotonic clock.
        prev: hash of the line before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seq: int = Field(ge=0)
    at: datetime
    up_ms: Annotated[float, Field(ge=0)]
    prev: Sha256
    record: Record
    sha256: Sha256


@dataclass(frozen=True)
class Torn:
    """An unfinished last line: what a crash in the middle of a write leaves."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Verified:
    """A journal whose every line was proved.

    Attributes:
        start: its first record; None in a journal without any.
        ended: the last record is an 'end'.
        anchor: hash of the last line; whoever keeps it elsewhere can prove later that nothing was cut off or rewritten.
        torn: the unfinished last line, if there is one; it is no part of the records.
    """

    start: StartRecord | None
    records: int
    segments: int
    ended: bool
    anchor: str
    torn: Torn | None


class Journal:
    """Writes a session's journal. Make one with `create` or `resume`; safe to use from several threads.

    Recording that has stopped (full disk, failing disk) never raises: `stopped` says why, `on_stop` is told once, and
    what is appended from then on is counted in `unrecorded`.

    Args:
        folder: the session's folder.
        verified: what it holds already.
        on_stop: told, once, in one line why recording stopped.
        clock: monotonic nanoseconds.
        wall: seconds since 1970.
        sync: puts a file on the disk; `os.fsync`.
    """

    def __init__(
        self,
        folder: Path,
        verified: Verified,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        on_stop: Callable[[str], None] = lambda reason: None,
        clock: MonotonicClock = time.monotonic_ns,
        wall: WallClock = time.time,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self.folder, self.anchor, self.records = folder, verified.anchor, verified.records
        self.stopped: str | None = None
        self.unrecorded = 0
        self.synced = verified.records  # how many records are on the disk for certain
        self._segment_bytes, self._on_stop, self._clock, self._wall, self._sync_file = segment_bytes, on_stop, clock, wall, sync
        self._opened, self._skew = clock(), wall() - clock() / 1e9
        self._oldest_unsynced: int | None = None
        self._lock, self._sync_lock = threading.RLock(), threading.Lock()
        self._folder_fd = _lock_folder(folder)
        self._fd, self._size = -1, 0
        try:
            self._open_segment(max(verified.segments - 1, 0))
            self._make_reserve()
        except OSError as error:
            self._close_files()
            raise _unwritable(folder, error) from error

    @staticmethod
    def create(folder: Path, start: StartRecord, **options: object) -> "Journal":
        """Begin a session in a folder that does not exist yet or is empty.

        Raises:
            JournalError: something is there, or the place cannot be written.
        """
        try:
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise JournalError(f"{folder}: exists and is not empty; choose a new folder, or go on with --resume {folder}")
            folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(folder.parent)
        except OSError as error:
            raise _unwritable(folder, error) from error
        journal = Journal(folder, Verified(None, 0, 0, False, GENESIS, None), **options)  # type: ignore[arg-type]
        journal.append(start)
        journal.sync()
        if journal.stopped is not None:
            reason = journal.stopped
            journal.close()
            raise JournalError(f"{folder}: the session cannot begin ({reason})")
        return journal

    @staticmethod
    def resume(folder: Path, **options: object) -> tuple["Journal", Verified]:
        """Go on with a session. A torn last line is cut off; the cut bytes are kept beside the journal.

        Returns:
            The journal and what it held; `Verified.torn` says what was cut.

        Raises:
            JournalError: the journal does not verify, holds no record, or is being written by another process.
        """
        verified = verify(folder)
        if verified.start is None:
            raise JournalError(f"{folder}: the journal holds no record; begin a new session")
        guard = _lock_folder(folder)  # before anything is cut: the torn line may be one that is just being written
        try:
            verified = verify(folder)
            if verified.torn is not None:
                _cut(folder, verified.torn, verified.records)
        except OSError as error:
            raise _unwritable(folder, error) from error
        finally:
            os.close(guard)
        journal = Journal(folder, verified, **options)  # type: ignore[arg-type]
        cut = f"a torn line of {verified.torn.length} bytes was cut" if verified.torn else ""
        journal.append(EventRecord(event="resumed", detail=cut))
        return journal, verified

    @property
    def unsynced(self) -> int:
        """How many records a power cut at this moment may lose."""
        return self.records - self.synced

    def append(self, record: Record) -> bool:
        """Add a record; it is the kernel's when this returns, and the disk's within a group.

        Returns:
            False where recording has stopped.
        """
        with self._lock:
            if self.stopped is not None:
                self.unrecorded += 1
                return False
            now, wall = self._clock(), self._wall()
            skew = wall - now / 1e9
            if abs(skew - self._skew) > _JUMP_SECONDS:
                jump, self._skew = skew - self._skew, skew
                self._write(EventRecord(event="clock jumped", detail=f"by {jump:+.3f} s"), now, wall)
            self._write(record, now, wall)
            written = self.stopped is None
            due = self._is_due(now, 1.0)
        if due:
            self.sync()
        return written

    def sync(self) -> None:
        """Put all that was appended on the disk."""
        with self._sync_lock:
            with self._lock:
                if self.stopped is not None or self.unsynced == 0:
                    return
                upto, fd = self.records, os.dup(self._fd)  # a copy, so that a rotation meanwhile does no harm
                self._oldest_unsynced = None
            try:
                self._sync_file(fd)
            except OSError as error:
                with self._lock:  # after a failed fsync the kernel may have dropped the pages: nothing more is certain
                    self._stop(f"{_reason(error)}; the last {self.unsynced} records may be lost")
                return
            finally:
                os.close(fd)
            with self._lock:
                self.synced = max(self.synced, upto)

    def sync_if_due(self, share: float = 1.0) -> None:
        """Sync if a group's limit, or this share of it, is reached; for a thread that keeps idle sessions safe."""
        with self._lock:
            due = self._is_due(self._clock(), share)
        if due:
            self.sync()

    def close(self) -> None:
        """Sync and let go of the files. It adds no 'end' record: append one before, if it was the end."""
        self.sync()
        with self._lock:
            if self.stopped is None:
                self.stopped = "closed"
                (self.folder / RESERVE).unlink(missing_ok=True)
            self._close_files()

    def _is_due(self, now: int, share: float) -> bool:
        if self.stopped is not None or self._oldest_unsynced is None:
            return False
        return self.unsynced >= GROUP_RECORDS * share or now - self._oldest_unsynced >= GROUP_SECONDS * share * 1e9

    def _write(self, record: Record, now: int, wall: float) -> None:
        """One line, whole or not at all."""
        if self.stopped is not None:
            return
        line, sha256 = seal(record, self.records, self.anchor, datetime.fromtimestamp(wall, UTC), (now - self._opened) / 1e6)
        try:
            if self._size and self._size + len(line) > self._segment_bytes:
                self._rotate()
            self._write_all(line)
        except OSError as error:
            self._cut_back_and_stop(_reason(error))
            return
        self._size += len(line)
        self.anchor, self.records = sha256, self.records + 1
        if self._oldest_unsynced is None:
            self._oldest_unsynced = now

    def _write_all(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _cut_back_and_stop(self, reason: str) -> None:
        """After a failed write: the journal ends with its last whole record, then with word of what happened."""
        try:
            os.ftruncate(self._fd, self._size)
            (self.folder / RESERVE).unlink(missing_ok=True)
            now = self._clock()
            note = EventRecord(event="recording stopped", detail=reason)
            at, up_ms = datetime.fromtimestamp(self._wall(), UTC), (now - self._opened) / 1e6
            line, sha256 = seal(note, self.records, self.anchor, at, up_ms)
            try:
                self._write_all(line)
            except OSError:
                os.ftruncate(self._fd, self._size)
            else:
                self._size += len(line)
                self.anchor, self.records = sha256, self.records + 1
            self._sync_file(self._fd)
            self.synced = self.records
        except OSError as error:
            reason = f"{reason}, then {_reason(error)}"
        self.unrecorded += 1
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self._on_stop(f"recording stopped: {reason}; {self.records} records in {self.folder} are kept")

    def _rotate(self) -> None:
        self._sync_file(self._fd)
        self.synced, self._oldest_unsynced = self.records, None
        self._open_segment(self._segment + 1)

    def _open_segment(self, number: int) -> None:
        path = self.folder / segment_name(number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        os.fsync(self._folder_fd)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._segment, self._size = fd, number, os.fstat(fd).st_size

    def _make_reserve(self) -> None:
        path = self.folder / RESERVE
        if not path.exists():
            path.write_bytes(os.urandom(RESERVE_BYTES))  # random, so that no file system stores it in less

    def _close_files(self) -> None:
        for fd in (self._fd, self._folder_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._folder_fd = -1


class GroupCommit:
    """A thread that syncs a journal ahead of the limits, so that an append seldom waits for the disk and an idle session
    is safe within `GROUP_SECONDS`. Use as a context; leaving it closes nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._ended = journal, threading.Event()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    def __enter__(self) -> "GroupCommit":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(GROUP_SECONDS / 8):
            self._journal.sync_if_due(0.5)


def seal(record: Record, seq: int, prev: str, at: datetime, up_ms: float) -> tuple[bytes, str]:
    """A record as a line of the journal, and the line's hash."""
    stamp = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    body = f'{{"seq":{seq},"at":"{stamp}","up_ms":{up_ms:.3f},"prev":"{prev}","record":{record.model_dump_json()}'.encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return body + f',"sha256":"{sha256}"}}\n'.encode(), sha256


def verify(folder: Path) -> Verified:
    """Prove every line of a journal.

    Raises:
        JournalError: there is no journal, or names the file, the line and what is wrong with it.
    """
    start, records, ended, anchor = None, 0, False, GENESIS
    segments, torn = segments_of(folder), None
    for entry in _entries(segments):
        if isinstance(entry, Torn):
            torn = entry
            break
        if isinstance(entry.record, StartRecord):
            start = entry.record
        records, anchor = records + 1, entry.sha256
        ended = isinstance(entry.record, EventRecord) and entry.record.event == "end"
    return Verified(start, records, len(segments), ended, anchor, torn)


def read(folder: Path) -> Iterator[Entry]:
    """The entries of a journal, each proved before it is given; a torn last line is left out.

    Raises:
        JournalError: as `verify`, when the bad line is reached.
    """
    for entry in _entries(segments_of(folder)):
        if isinstance(entry, Entry):
            yield entry


def segment_name(number: int) -> str:
    return f"journal-{number:06}.jsonl"


def segments_of(folder: Path) -> list[Path]:
    """A journal's files in order. Raises: JournalError, if there is none or one is missing between others."""
    if not folder.is_dir():
        raise JournalError(f"{folder}: no such session; expected a folder with {segment_name(0)}")
    found = sorted(folder.glob("journal-*.jsonl"))
    if not found:
        raise JournalError(f"{folder}: no journal here; expected {segment_name(0)}")
    for number, path in enumerate(found):
        if path.name != segment_name(number):
            raise JournalError(f"{folder}: expected {segment_name(number)}, found {path.name}; a part of the journal is missing")
    return found


def _entries(segments: list[Path]) -> Iterator[Entry | Torn]:
    seq, prev, ended = 0, GENESIS, False
    for path in segments:
        offset = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                    if not line.endswith(b"\n"):
                        rest = len(line) + sum(len(more) for more in iter(lambda: file.read(1 << 20), b""))
                        if path != segments[-1]:
                            raise JournalError(f"{path}: line {number}: unfinished, but not the journal's last line")
                        yield Torn(path, offset, rest)
                        return
                    entry = _parse(path, number, line, seq, prev, ended)
                    yield entry
                    seq, prev, offset = seq + 1, entry.sha256, offset + len(line)
                    ended = isinstance(entry.record, EventRecord) and entry.record.event == "end"
        except OSError as error:
            raise JournalError(f"{path}: cannot be read ({_reason(error)})") from error


def _parse(path: Path, number: int, line: bytes, seq: int, prev: str, ended: bool) -> Entry:
    where = f"{path}: line {number}"
    body, tail = line[: -_HASH_BYTES - 1], line[-_HASH_BYTES - 1 :]
    sha256 = hashlib.sha256(body).hexdigest()
    if tail != f',"sha256":"{sha256}"}}\n'.encode():
        raise JournalError(f"{where}: record {seq} is not what was written (its hash is another); records before it are whole")
    try:
        entry = Entry.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        loc = ".".join(map(str, first["loc"])) or "line"
        raise JournalError(f"{where}: {loc}: {first['msg']}; written by another version of leukolite?") from error
    if entry.seq != seq or entry.prev != prev:
        raise JournalError(
            f"{where}: expected record {seq} after {prev[:12]}, found record {entry.seq} after {entry.prev[:12]};"
            " records were taken out, put in or moved"
        )
    if (seq == 0) != isinstance(entry.record, StartRecord):
        raise JournalError(f"{where}: a journal has one start record, its first; found {entry.record.kind} as record {seq}")
    if ended and not (isinstance(entry.record, EventRecord) and entry.record.event == "resumed"):
        raise JournalError(f"{where}: record {seq} follows the session's end without having resumed it")
    return entry


def _lock_folder(folder: Path) -> int:
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


def _cut(folder: Path, torn: Torn, records: int) -> None:
    """Take a torn line off the journal, and keep it beside."""
    with torn.path.open("r+b") as file:
        file.seek(torn.offset)
        kept = folder / f"torn-after-{records:09}.bin"
        kept.write_bytes(file.read())
        file.truncate(torn.offset)
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk full"
    return error.strerror or str(error)


def _unwritable(folder: Path, error: OSError) -> JournalError:
    return JournalError(f"{folder}: cannot be written ({_reason(error)}); choose a place that exists, is writable and has room")
