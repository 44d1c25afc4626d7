"""Files and folders that are written whole or not at all: built beside their place, then moved there."""

import ctypes
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from leukolite.errors import LeukoliteError
from leukolite.streams import stdout_as_file


def reason_of(error: OSError) -> str:
    """What the system says of a failed write or read, in a few words."""
    return "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)


def _cannot_write(path: Path, error: OSError) -> LeukoliteError:
    return LeukoliteError(
        f"{path}: cannot be written ({error.strerror or error}); choose a place that exists, is writable and has room"
    )


def write_file(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path`; after a crash the old file or the new one is there, never a part.

    Raises:
        LeukoliteError: the place cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with new_file(path) as file:
        file.write(data)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` only if the block ends well, for content too long to hold.

    A link's target is replaced, not the link; into stdout ('-'), a device or a pipe the content is written as it is.

    Raises:
        LeukoliteError: the place cannot be written.
        StdoutLost: stdout cannot, or is not read to its end.
    """
    if is_stdout(path):
        with stdout_as_file() as stream:
            yield stream
        return
    temporary = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                yield file
            return
        path = path.resolve()  # not before: /dev/stdout resolves to no path where it is a pipe
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield cast(BinaryIO, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
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


@contextmanager
def new_folder(path: Path, *, replace_if_holds: str | None = None) -> Iterator[Path]:
    """A folder that appears at `path` only if the block ends well.

    Args:
        path: where the folder shall be.
        replace_if_holds: a file name; an existing folder at `path` may be replaced only if it holds that file
            (so that a mistyped path never deletes somebody's pictures). None: `path` must not exist, or be empty.

    Yields:
        A temporary folder beside `path` to fill.

    Raises:
        LeukoliteError: `path` holds something else, or the place cannot be written.
    """
    check_replaceable(path, replace_if_holds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        _swap(staging, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(path: Path, replace_if_holds: str | None) -> None:
    """Refuse early, before hours of work, a place where `new_folder` would not put its result.

    Raises:
        LeukoliteError: `path` is a file, or a folder that is neither empty nor one of ours, or cannot be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise LeukoliteError(f"{path}: expected a folder or nothing, found a file or link; choose another place")
    if path.is_dir() and (os.path.ismount(path) or path.resolve() == Path.cwd()):
        raise LeukoliteError(f"{path}: cannot be replaced as a whole (a mount point, or where you are); name a folder in it")
    if path.is_dir() and any(path.iterdir()) and not (replace_if_holds and _is_ours(path / replace_if_holds)):
        wanted = f" one of leukolite's (with {replace_if_holds})" if replace_if_holds else " empty"
        raise LeukoliteError(f"{path}: the folder exists and is not{wanted}; choose another place")
    parent = nearest_parent(path)
    if not is_writable(parent):
        raise LeukoliteError(f"{path}: cannot be written ({parent} is not a writable folder); choose another place")


def _is_ours(mark: Path) -> bool:
    """True for a file that leukolite wrote: many a folder of others has a manifest.json too."""
    if mark.suffix != ".json":
        return mark.is_file()
    try:
        content = json.loads(mark.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and not content.keys().isdisjoint({"schema", "schema_version"})


def nearest_parent(path: Path) -> Path:
    """The nearest thing above `path` that exists: a folder, or a file that is in the way of one."""
    parent = path.resolve().parent
    while not parent.exists():
        parent = parent.parent
    return parent


def is_writable(folder: Path) -> bool:
    """True if files and folders can be made in it."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _swap(staging: Path, path: Path) -> None:
    """Move `staging` to `path`, in one step where the system can, so that a kill leaves the old folder or the new one."""
    if not path.exists():
        staging.rename(path)
        return
    if _exchange(staging, path):
        return  # the old folder now lies at `staging`, which is deleted
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
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
    """Whether a file's name stands for stdout."""
    return str(path) == "-"


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all; to stdout where `path` is '-'.

    Raises:
        LeukoliteError: the place cannot be written.
    """
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_file(path, text)


def check_file_place(path: Path | None) -> None:
    """Refuse, before the work begins, a place where `write_file` would fail.

    Raises:
        LeukoliteError: names the place.
    """
    if path is None or is_stdout(path):
        return
    if path.exists() and not path.is_dir() and not path.is_file():
        return  # a device or pipe, as /dev/stdout
    if path.is_dir() or not is_writable(nearest_parent(path)):
        raise LeukoliteError(f"{path}: cannot be written; choose a file in a writable folder")
