"""A session's folder while it is recorded: locked for one process, with room in reserve, and watched for what others do to it.

A descriptor outlives the name it was opened by: a file that was removed takes every write and loses it. So names, inodes and
sizes are compared before anything is called safe.
"""

import fcntl
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from leukolite.edge.journal.format import file_name
from leukolite.errors import JournalError, reason_of
from leukolite.wording import count

RESERVE, RESERVE_BYTES = ".reserve", 64 * 1024  # given up on a full disk, so that the journal can still say so

_LOCK_PAUSES_S = (0.0, 0.01, 0.05)  # `is_recorded_now` holds the lock for a moment


class SessionFolder:
    """A folder that is locked for this process until it is closed, however the process ends. Make one with `locked`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self.fd = path, fd

    def open_file(self, number: int, *, new: bool) -> int:
        """The descriptor of a journal's file, to append to; its name is on the disk.

        Args:
            new: nothing may be there yet.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe of that name is refused
        fd = os.open(file_name(number), flags | (os.O_EXCL if new else 0), 0o666, dir_fd=self.fd)
        try:
            os.fsync(self.fd)
        except OSError:
            os.close(fd)
            raise
        return fd

    def make_reserve(self) -> None:
        path = self.path / RESERVE
        try:
            if not path.exists() or path.stat().st_size < RESERVE_BYTES:  # a power cut leaves less
                path.write_bytes(os.urandom(RESERVE_BYTES))  # random, so that no file system stores it in less
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def give_up_reserve(self) -> None:
        with suppress(OSError):  # it is gone, or the disk fails: there is nothing to gain
            os.unlink(RESERVE, dir_fd=self.fd)

    def remove_file(self, number: int) -> None:
        with suppress(OSError):
            os.unlink(file_name(number), dir_fd=self.fd)

    def file_change(self, number: int, fd: int, size: int) -> str | None:
        """What somebody else did to the file that is being written, as a clause; None where it is as it was written.

        Args:
            number, fd, size: of that file.
        """
        name = file_name(number)
        found = os.fstat(fd)
        if found.st_size != size:
            what = "cut" if found.st_size < size else "written by another process"
            return f"{name} was {what}: {count(size, 'byte')} were written, it has {found.st_size:,}"
        try:
            there = os.stat(name, dir_fd=self.fd)
        except FileNotFoundError:
            return f"{name} was {'removed' if found.st_nlink == 0 else 'renamed or moved'}"
        except OSError:  # nobody can tell
            return None
        return None if _is_same(there, found) else f"another file was put in the place of {name}"

    def folder_change(self) -> str | None:
        """As `file_change`, of the folder itself."""
        return _change_of_name(self.path, os.fstat(self.fd), "its folder")

    @property
    def place(self) -> Path:
        """Where the folder lies now, if the system tells, since somebody may have moved it."""
        with suppress(OSError):
            found = Path(f"/proc/self/fd/{self.fd}").readlink()
            if found.is_dir() and _is_same(found.stat(), os.fstat(self.fd)) and self.folder_change():
                return found
        return self.path

    def other_place(self, number: int, fd: int) -> tuple[Path, int] | None:
        """Where somebody has moved a file that is held open, and how many whole lines it has there; None where it lies in its
        place, was removed, or the system does not tell."""
        with suppress(OSError):
            with suppress(FileNotFoundError):
                if _is_same(os.stat(file_name(number), dir_fd=self.fd), os.fstat(fd)):
                    return None
            found = Path(f"/proc/self/fd/{fd}").readlink()
            if found.is_file() and _is_same(found.stat(), os.fstat(fd)):
                with found.open("rb") as file:
                    return found, _n_lines(file)
        return None

    def lost(self, sizes: Sequence[int]) -> str | None:
        """The first of the journal's earlier files, whose sizes are given, that is not as it was written, as a clause."""
        for number, size in enumerate(sizes):
            name = file_name(number)
            try:
                found = os.stat(name, dir_fd=self.fd).st_size
            except FileNotFoundError:
                return f"{name} was removed or renamed"
            except OSError:
                continue
            if found != size:
                return f"{name} was changed: {count(size, 'byte')} were written, it has {found:,}"
        return None

    def whole_lines(self) -> int:
        """How many whole lines there are now, from the first file on to the first that is missing."""
        lines = 0
        with suppress(OSError):
            for number in itertools.count():
                with os.fdopen(os.open(file_name(number), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd), "rb") as file:
                    lines += _n_lines(file)
        return lines

    def close(self) -> None:
        """Give up the lock; a second time changes nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)


@contextmanager
def locked(path: Path, *, make: bool = False) -> Iterator[SessionFolder]:
    """A session's folder, locked; given up again unless the block ends well: then a journal holds and closes it.

    Args:
        make: the folder, where it is not there.

    Raises:
        JournalError: another process records there, or it cannot be written.
    """
    folder = _lock(path, make)
    try:
        yield folder
    except BaseException as error:
        folder.close()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def is_recorded_now(path: Path) -> bool:
    """Whether a process records a session in a folder at this moment."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def sync_folder(path: Path) -> None:
    """Put a folder's names on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: cannot be written ({reason_of(error)}); choose a place that exists, is writable and has room")


def _lock(path: Path, make: bool) -> SessionFolder:
    for pause_s in _LOCK_PAUSES_S:
        time.sleep(pause_s)
        try:
            if make:
                path.mkdir(parents=True, exist_ok=True)
                sync_folder(path.parent)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _change_of_name(path, os.fstat(fd), "") is None:  # else it was removed or replaced before it was locked
                return SessionFolder(path, fd)
        except BlockingIOError:
            pass
        except OSError as error:
            os.close(fd)
            raise unwritable(path, error) from error
        os.close(fd)
    raise JournalError(f"{path}: another process is recording this session; stop it first")


def _change_of_name(path: Path, held: os.stat_result, what: str) -> str | None:
    """Why a path no longer leads to what is held open, as a clause about `what`."""
    try:
        there = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{what} was {'removed' if held.st_nlink == 0 else 'renamed or moved'}"
    except OSError:  # nobody can tell
        return None
    return None if _is_same(there, held) else f"{what} was replaced by another"


def _n_lines(file: BinaryIO) -> int:
    return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
