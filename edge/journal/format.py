"""How a journal's lines hang together: each sealed by a hash that covers the line before it.

The format is in docs/reference/journal.md. A record is one line,
{"seq":..,"at":..,"up_ms":..,"prev":..,"record":{..},"sha256":..}. The hash is that of the line's own bytes up to `,"sha256"`,
and `prev` is the hash of the line before: no byte can change unseen, wherever it stands.
Bytes are hashed, not parsed values, so that nothing depends on how somebody's JSON library writes a number.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import Field, ValidationError

from leukolite.edge.ending import Ending
from leukolite.edge.journal.records import SCHEMA, EventRecord, FrameRecord, Record, StartRecord, VerdictRecord
from leukolite.errors import JournalError, reason_of
from leukolite.folder_kinds import what_folder
from leukolite.frozen import Frozen
from leukolite.manifest import Sha256
from leukolite.places import problem_at
from leukolite.regular_file import open_regular
from leukolite.schema import newer_than
from leukolite.strict_json import check_line
from leukolite.wording import shown_json

GENESIS = "0" * 64  # what the first record names as the hash before it
GROUP_RECORDS = 100  # as many records, and no more, may be on their way to the disk
MAX_LINE_BYTES = 1024 * 1024  # a thousand labels' probabilities are 20 kB
MOST_LINE_VALUES = 20_000  # numbers, texts...; a thousand labels' probabilities and names are 2,000

BLOCK_BYTES = 512  # the smallest that a disk writes
_LAST_BYTES = 32 * 1024 * 1024  # more than the last group's records ever take

_HASH_BYTES = len(',"sha256":"') + 64 + len('"}')

OnLine = Callable[[int], None]  # called with each line's length in bytes, for a progress bar


class Entry(Frozen):
    """One line of a journal.

    Attributes:
        seq: 0, 1, 2... through all files.
        at: wall clock, UTC; it may jump, `seq` is the order.
        up_ms: milliseconds since the recording process opened the journal, on the monotonic clock.
        prev: hash of the line before.
    """

    seq: int = Field(ge=0)
    at: datetime
    up_ms: Annotated[float, Field(ge=0)]
    prev: Sha256
    record: Record
    sha256: Sha256


@dataclass(frozen=True)
class TornTail:
    """What a crash in the middle of a write leaves at the journal's end.

    Attributes:
        offset, length: bytes within the file.
    """

    path: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Verified:
    """A journal whose every line was checked.

    Attributes:
        start: its first record; None in a journal without any.
        ending: how the session ended; None where its last record does not say, as after a kill -9 and while it is recorded.
        anchor: hash of the last line; whoever keeps it elsewhere can show later that nothing was cut off or rewritten.
        torn: the unfinished end, if there is one; it is no part of the records.
    """

    start: StartRecord | None
    records: int
    files: int
    ending: Ending | None
    anchor: str
    torn: TornTail | None

    @property
    def ended(self) -> bool:
        """Whether it was closed properly: its source ended, or somebody ended it."""
        return self.ending is not None and not self.ending.is_failure


def seal(record: Record, seq: int, prev: str, at: float, up_ms: float) -> tuple[bytes, str]:
    """A record as a line of the journal, and the line's hash.

    Args:
        at: seconds since 1970.
    """
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    content = shown_json(record.model_dump_json())  # who prints a journal on a terminal shall see it, not be steered by it
    body = f'{{"seq":{seq},"at":"{stamp}","up_ms":{up_ms:.3f},"prev":"{prev}","record":{content}'.encode()
    sha256 = hashlib.sha256(body).hexdigest()
    return body + f',"sha256":"{sha256}"}}\n'.encode(), sha256


def ignore(_: Entry) -> None:
    """Takes an entry and does nothing with it."""


OnEntry = Callable[[Entry], None]


def verify(folder: Path, *, on_line: OnLine = lambda length: None, on_entry: OnEntry = ignore) -> Verified:
    """Check every line of a journal.

    Args:
        on_line: called with each line's length in bytes, for a progress bar.
        on_entry: called with each entry once it is checked.

    Raises:
        JournalError: there is no journal, or names the file, the line and what is wrong with it.
    """
    start, records, anchor, last = None, 0, GENESIS, None
    files, torn = journal_files(folder), None
    for entry in _entries(files, on_line):
        if isinstance(entry, TornTail):
            torn = entry
            break
        if isinstance(entry.record, StartRecord):
            start = entry.record
        on_entry(entry)
        records, anchor, last = records + 1, entry.sha256, entry.record
    ending = last.ending if isinstance(last, EventRecord) else None
    return Verified(start, records, len(files), ending, anchor, torn)


def read(folder: Path, *, on_line: OnLine = lambda length: None) -> Iterator[Entry]:
    """The entries of a journal, each checked before it is given; a torn end is left out.

    Raises:
        JournalError: as `verify`, when the bad line is reached.
    """
    for entry in _entries(journal_files(folder), on_line):
        if isinstance(entry, Entry):
            yield entry


def read_frames(entries: Iterator[Entry]) -> Iterator[tuple[FrameRecord, Sequence[VerdictRecord]]]:
    """Each frame with all its verdicts; one whose verdicts were cut off by a crash is left out."""
    frame: FrameRecord | None = None
    verdicts: list[VerdictRecord] = []
    for entry in entries:
        match entry.record:
            case FrameRecord():
                frame, verdicts = entry.record, []
            case VerdictRecord():
                verdicts.append(entry.record)
            case _:
                continue
        if frame is not None and len(verdicts) == frame.verdicts:
            yield frame, verdicts


def file_name(number: int) -> str:
    return f"journal-{number:06}.jsonl"


def journal_files(folder: Path) -> list[Path]:
    """A journal's files in order. Raises: JournalError, if there is none or one is missing between others."""
    if problem := problem_at(folder, "folder", noun="session"):
        is_of_session = folder.is_file() and (folder.parent / file_name(0)).is_file()
        expected = f"give the session's folder, {folder.parent}" if is_of_session else "expected a session's folder"
        raise JournalError(f"{folder}: {problem}; {expected}, with {file_name(0)}")
    found = sorted(folder.glob("journal-*.jsonl"))
    if not found:
        what = what_folder(folder)
        raise JournalError(f"{folder}: no journal here; {f'this is {what}' if what else f'expected {file_name(0)}'}")
    for number, path in enumerate(found):
        if path.name != file_name(number):
            raise JournalError(f"{folder}: expected {file_name(number)}, found {path.name}; a part of the journal is missing")
        if problem := problem_at(path, "file"):  # a pipe would be waited for
            raise JournalError(f"{path}: {problem}; a part of the journal is missing")
    return found


def _entries(files: Sequence[Path], on_line: OnLine) -> Iterator[Entry | TornTail]:
    last: Entry | None = None
    for path in files:
        offset = 0
        try:
            with open_regular(path) as file:
                for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES), b""), 1):
                    try:
                        entry = _parse(f"{path}: line {number}", line, last)
                    except JournalError:
                        if path != files[-1] or not _is_torn(line, file, offset, seq=0 if last is None else last.seq + 1):
                            raise
                        yield TornTail(path, offset, path.stat().st_size - offset)
                        return
                    yield entry
                    on_line(len(line))
                    last, offset = entry, offset + len(line)
        except OSError as error:
            raise JournalError(f"{path}: cannot be read ({reason_of(error)})") from error


def _is_torn(line: bytes, rest: BinaryIO, offset: int, seq: int) -> bool:
    """True if a bad line and what follows it to the file's end can be what a crash in the middle of a write leaves, and nothing
    else can: the beginning of the next record, then nothing or, on file systems that grow a file before its data are there,
    zeros. They begin where a record does or a block of the disk, and end with the file. Where blocks are written in any order
    (ext4 with data=writeback), they may end where another block begins, before the rest of the last group; a session that was
    closed had no such group.

    Args:
        rest: of the file, after the line.
        offset: of the line in the file.
        seq: of the record that the line would be.
    """
    begun, mark, _ = line.partition(b"\0")
    if not _is_begun_record(begun, seq):
        return False
    if not mark:
        return not rest.read(1)
    place, chunk = offset + len(begun), line[len(begun) :]
    if begun and place % BLOCK_BYTES:
        return False
    while chunk and chunk.count(0) == len(chunk):
        place += len(chunk)
        chunk = rest.read(MAX_LINE_BYTES)
    if not chunk:
        return True
    after = chunk.lstrip(b"\0") + rest.read(_LAST_BYTES)
    place += len(chunk) - len(chunk.lstrip(b"\0"))
    return place % BLOCK_BYTES == 0 and after.count(b"\n") < GROUP_RECORDS and not rest.read(1) and not _is_closed(after)


def _is_closed(lines: bytes) -> bool:
    """Whether the last line is whole, and closes a session."""
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    body, tail = last[: -_HASH_BYTES - 1], last[-_HASH_BYTES - 1 :]
    if tail != f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode():
        return False
    try:
        return _is_end(Entry.model_validate_json(last).record)
    except ValidationError:
        return False


def _is_begun_record(line: bytes, seq: int) -> bool:
    """Whether bytes are how the line of record `seq` begins; a whole line whose end became another byte is not."""
    head = f'{{"seq":{seq},"at":"'.encode()
    if not line.startswith(head[: len(line)]) or b"\n" in line or len(line) >= MAX_LINE_BYTES:
        return False
    body, _, sealed = line.rpartition(b',"sha256":"')
    whole_seal = f'{hashlib.sha256(body).hexdigest()}"}}'.encode()
    return len(sealed) <= len(whole_seal) or not sealed.startswith(whole_seal)


def _parse(where: str, line: bytes, last: Entry | None) -> Entry:
    seq, prev = (0, GENESIS) if last is None else (last.seq + 1, last.sha256)
    body, tail = line[: -_HASH_BYTES - 1], line[-_HASH_BYTES - 1 :]
    sha256 = hashlib.sha256(body).hexdigest()
    if tail != f',"sha256":"{sha256}"}}\n'.encode():
        raise JournalError(f"{where}: record {seq} is not what was written (its hash is another); records before it are whole")
    try:
        check_line(line, MOST_LINE_VALUES)
        entry = Entry.model_validate_json(line)
    except ValidationError as error:
        if seq == 0 and (is_newer := newer_than(line, SCHEMA, "record")):
            raise JournalError(f"{where}: {is_newer}") from error
        first = error.errors()[0]
        loc = ".".join(map(str, first["loc"])) or "line"
        raise JournalError(f"{where}: {loc}: {first['msg']}; was it written by another version of leukolite?") from error
    except ValueError as error:
        raise JournalError(f"{where}: {error}; was it written by another program?") from error
    if entry.seq != seq or entry.prev != prev:
        raise JournalError(
            f"{where}: expected record {seq} after {prev[:12]}, found record {entry.seq} after {entry.prev[:12]};"
            " records were taken out, put in or moved"
        )
    if (seq == 0) != isinstance(entry.record, StartRecord):
        raise JournalError(f"{where}: a journal has one start record, its first; found {entry.record.kind} as record {seq}")
    if last is not None and _is_end(last.record) and not _is_resumption(entry.record):
        raise JournalError(f"{where}: record {seq} follows the session's end without having resumed it")
    return entry


def _is_end(record: Record) -> bool:
    return isinstance(record, EventRecord) and record.event in ("end", "failed")


def _is_resumption(record: Record) -> bool:
    return isinstance(record, EventRecord) and record.event == "resumed"
