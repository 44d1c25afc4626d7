"""Beginning a session's journal, and going on with one: what a crash left behind is no session, and no reason to refuse one."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from leukolite.edge.journal.folder import RESERVE, SessionFolder, locked
from leukolite.edge.journal.format import GENESIS, Entry, OnEntry, Verified, file_name, ignore, read, verify
from leukolite.edge.journal.records import EventRecord, StartRecord, printable
from leukolite.edge.journal.slides import is_of_salt
from leukolite.edge.journal.writer import Journal
from leukolite.errors import JournalError
from leukolite.wording import count

_TORN = "torn-after-"  # files that keep what was cut off


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


def create_journal(folder: Path, start: StartRecord, *, held: SessionFolder | None = None, **options: object) -> Journal:
    """Begin a session in a folder that does not exist yet or is empty, or holds what a start that came to nothing left.

    Args:
        held: the folder, where it is locked already.
        options: of `Journal`.

    Raises:
        JournalError: something is there, or the place cannot be written.
    """
    check_place(folder)
    with nullcontext(held) if held is not None else locked(folder, make=True) as place:
        _clear(folder)
        nothing = Verified(None, 0, 1, None, GENESIS, None)
        journal = Journal(place, nothing, **options)  # type: ignore[arg-type]
        journal.append(start)
        journal.sync()
        if journal.stopped is not None:
            journal.discard()
            raise JournalError(f"{folder}: the session cannot begin ({journal.stopped})")
    return journal


def check_place(folder: Path) -> None:
    """Raises: JournalError, where no folder can be made."""
    if folder.exists() and not folder.is_dir():
        raise JournalError(f"{folder}: is a file; choose a new folder")
    if folder.is_symlink() and not folder.exists():
        raise JournalError(f"{folder}: a link whose target is gone; choose a new folder")


def _clear(folder: Path) -> None:
    """Refuse a folder that is in use; of a start that came to nothing, as in a power cut, keep the torn record beside."""
    if is_begun(folder):
        raise JournalError(f"{folder}: a session is recorded there already; choose a new folder", advice="or-record")
    names = {path.name for path in folder.iterdir()}
    known = {RESERVE, file_name(0), "lost+found"}  # the last one is a disk's own
    others = sorted(name for name in names - known if not name.startswith(_TORN) and not is_of_salt(name))  # a service's salt
    if others:
        raise JournalError(f"{folder}: exists and is not empty (it holds {printable(others[0])}); choose a new folder")
    if file_name(0) in names:
        _cut(verify(folder))


def resume_journal(
    folder: Path, detail: str = "", *, held: SessionFolder | None = None, on_entry: OnEntry = ignore, **options: object
) -> tuple[Journal, Verified]:
    """Go on with a session. A torn end is cut off; the cut bytes are kept beside the journal.

    Args:
        detail: what is different from before, in a line; it goes into the 'resumed' record.
        held: the folder, where it is locked already.
        on_entry: called with each entry that the journal holds already, in order, and with the 'resumed' one.
        options: of `Journal`.

    Returns:
        The journal and what it held; `Verified.torn` says what was cut.

    Raises:
        JournalError: the journal does not verify, holds no record, or is being written by another process.
    """
    if not folder.is_dir():
        verify(folder)  # says what is wrong
    # locked before anything is read: the torn line may be one that is just being written
    with nullcontext(held) if held is not None else locked(folder) as place:
        with _what_to_do(folder):
            verified = verify(folder, on_entry=on_entry)
        if verified.start is None:
            raise JournalError(f"{folder}: no session was recorded there")
        if verified.torn is not None:
            _cut(verified)
            detail = f"a torn end of {count(verified.torn.length, 'byte')} was cut off{f'; {detail}' if detail else ''}"
        journal = Journal(place, verified, **options)  # type: ignore[arg-type]
        resumed = EventRecord(event="resumed", detail=detail)
        if not journal.append(resumed):
            journal.close()
            raise JournalError(f"{folder}: the session cannot go on ({journal.stopped})")
    at, n = datetime.now(UTC), verified.records
    on_entry(Entry(seq=n, at=at, up_ms=0, prev=verified.anchor, record=resumed, sha256=journal.anchor))
    return journal, verified


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
