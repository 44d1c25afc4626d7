"""Files and folders that are written whole or not at all: built beside their place, then moved there.

What is there already is replaced by `force` alone, and a folder only if it is one of ours.
"""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from leukolite.errors import LeukoliteError, reason_of
from leukolite.path_text import json_text
from leukolite.regular_file import open_regular
from leukolite.streams import stdout_as_file, stream_as_file
from leukolite.textfiles import MAX_TEXT_BYTES, parse_json


def _cannot_write(path: Path, error: OSError) -> LeukoliteError:
    return LeukoliteError(f"{path}: cannot be written ({reason_of(error)}); choose a place that exists, is writable and has room")


def write_file(path: Path, content: bytes | str, *, force: bool = False) -> None:
    """Write `content` (text as UTF-8) to `path`; after a crash the old file or the new one is there, never a part.

    Args:
        force: replace a file that is there.

    Raises:
        LeukoliteError: a file is there, or the place cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with new_file(path, force=force) as file:
        file.write(data)


@contextmanager
def new_file(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """A file that appears at `path` only if the block ends well, for content too long to hold.

    A link's target is written, not the link; into stdout ('-'), a device or a pipe the content is written as it is.

    Args:
        force: replace a file that is there.

    Raises:
        LeukoliteError: a file is there, or the place cannot be written.
        StdoutLost: stdout cannot, or is not read to its end.
    """
    if is_stdout(path):
        with stdout_as_file() as stream:
            yield stream
        return
    temporary = None
    try:
        if is_stream(path):
            with stream_as_file(path) as file:
                yield file
            return
        _refuse_replacing(path, force)
        path = path.resolve()  # not before: /dev/stdout resolves to no path where it is a pipe
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_hidden(path), delete=False) as file:
            temporary = Path(file.name)
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        _refuse_replacing(path, force)  # again: the block may have taken hours
        temporary.replace(path)
    except OSError as error:
        _remove(temporary)
        raise _cannot_write(path, error) from error
    except BaseException:  # Ctrl-C too: nothing half-written stays
        _remove(temporary)
        raise


def _remove(temporary: Path | None) -> None:
    if temporary is not None:
        temporary.unlink(missing_ok=True)


def _hidden(path: Path) -> str:
    """How the name begins of what becomes `path`; short, for a name may be as long as the system allows."""
    return f".{path.name[:40]}."


@contextmanager
def new_folder(path: Path, *, replace_if_holds: str | None = None, force: bool = False) -> Iterator[Path]:
    """A folder that appears at `path` only if the block ends well.

    Args:
        path: where the folder shall be.
        replace_if_holds: a file name; with `force`, an existing folder at `path` is replaced if it holds that file
            (so that a mistyped path never deletes somebody's pictures). None: `path` must not exist, or be empty.
        force: replace such a folder.

    Yields:
        A temporary folder beside `path` to fill.

    Raises:
        LeukoliteError: `path` is taken, or the place cannot be written.
    """
    check_replaceable(path, replace_if_holds, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=_hidden(path)))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        if force:
            _swap(staging, path)
        else:
            staging.rename(path)  # onto nothing or an empty folder: what came there meanwhile stays
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(path: Path, replace_if_holds: str | None, *, force: bool = False) -> None:
    """Refuse early, before hours of work, a place where `new_folder` would not put its result.

    Raises:
        LeukoliteError: `path` is a file, or a folder that is neither empty nor to be replaced, or cannot be written.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise LeukoliteError(f"{path}: expected a folder or nothing, found a file or link; choose another place")
        if path.is_dir() and (os.path.ismount(path) or path.resolve() == Path.cwd()):
            raise LeukoliteError(f"{path}: cannot be replaced as a whole (a mount point, or where you are); name a folder in it")
        if path.is_dir() and any(path.iterdir()):
            mark = None if replace_if_holds is None else path / replace_if_holds
            if mark is None or not _is_ours(mark):
                wanted = f"one of leukolite's (with {replace_if_holds})" if replace_if_holds else "empty"
                raise LeukoliteError(f"{path}: the folder exists and is not {wanted}; choose another place")
            if not force:
                raise LeukoliteError(f"{path}: exists ({_written(mark)}); choose another place", advice="force")
        try_place(path, is_folder=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def check_new_file(path: Path, *, force: bool = False) -> None:
    """Refuse, before the work begins, a place where `write_file` would fail; stdout, devices and pipes are none.

    Raises:
        LeukoliteError: names the place.
    """
    try:
        if is_stream(path):
            return
        if path.is_dir():
            raise LeukoliteError(f"{path}: cannot be written (it is a folder); choose a file")
        _refuse_replacing(path, force)
        try_place(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _refuse_replacing(path: Path, force: bool) -> None:
    """A file that is empty, as `mktemp` makes one, is a free place, as an empty folder is."""
    if not force and path.is_file() and path.stat().st_size:
        raise LeukoliteError(f"{path}: exists ({_written(path)}); choose another file", advice="force")


def _written(path: Path) -> str:
    return f"written {datetime.fromtimestamp(path.stat().st_mtime, UTC):%Y-%m-%d %H:%M} UTC"


def try_place(path: Path, *, is_folder: bool = False) -> None:
    """Make a file or folder at `path`, with room for a little, and take it away again: rights say little of read-only disks,
    quotas and names that are too long, and to root nothing.

    Raises:
        LeukoliteError: it cannot be made.
    """
    made: list[Path] = []
    try:
        place = path.resolve()
        parent = nearest_parent(path)
        if not parent.is_dir():
            raise LeukoliteError(f"{path}: cannot be written ({parent} is a file, not a folder); choose another place")
        for folder in reversed([above for above in place.parents if parent in above.parents]):
            folder.mkdir()
            made.append(folder)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=_hidden(place)) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
        if not place.exists():  # the very name may be too long, or not be allowed there
            place.mkdir() if is_folder else place.touch(exist_ok=False)
            place.rmdir() if is_folder else place.unlink()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, before Python 3.13
        raise _cannot_write(path, error if isinstance(error, OSError) else OSError(errno.ELOOP, str(error))) from error
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # somebody else's file came into it
                folder.rmdir()


def _is_ours(mark: Path) -> bool:
    """True for a file that leukolite wrote: many a folder of others has a manifest.json too."""
    if mark.suffix != ".json":
        return mark.is_file()
    try:
        with open_regular(mark) as file:
            content = parse_json(file.read(MAX_TEXT_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and not content.keys().isdisjoint({"schema", "schema_version", "leukolite"})


def nearest_parent(path: Path) -> Path:
    """The nearest thing above `path` that exists: a folder, or a file that is in the way of one."""
    parent = path.resolve().parent
    while not parent.exists():
        parent = parent.parent
    return parent


def _swap(staging: Path, path: Path) -> None:
    """Move `staging` to `path`, in one step where the system can, so that a kill leaves the old folder or the new one."""
    if not path.exists():
        staging.rename(path)
        return
    if _exchange(staging, path):
        return  # the old folder now lies at `staging`, which is deleted
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=_hidden(path)))
    try:
        path.rename(old / "folder")
        staging.rename(path)
    except BaseException:  # Ctrl-C too: whatever happens, the old folder goes back before anything is deleted
        if not path.exists():
            (old / "folder").rename(path)
        shutil.rmtree(old, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders change places in one step; False where system or file system cannot (Linux 3.15 and glibc 2.28 can)."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    at_cwd, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    return bool(renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange) == 0)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path; the whole of it where another path ends alike."""
    names = [path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def is_stdout(path: Path) -> bool:
    """Whether a file's name stands for stdout; the second one is a link to a file where the shell redirects it."""
    return str(path) in ("-", "/dev/stdout")


def is_stream(path: Path) -> bool:
    """Whether what is written there replaces nothing: stdout, a device or a pipe."""
    return is_stdout(path) or (path.exists() and not path.is_file() and not path.is_dir())


def write_json(path: Path, content: Any, *, force: bool = False) -> None:
    """Write JSON, whole or not at all; to stdout where `path` is '-'.

    Args:
        force: replace a file that is there.

    Raises:
        LeukoliteError: a file is there, or the place cannot be written.
    """
    write_file(path, json_text(content, indent=1) + "\n", force=force)
