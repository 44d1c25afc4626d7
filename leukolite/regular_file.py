"""Opening files that others name: only regular ones, so that a pipe does not hang and a device is not read for ever."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """A regular file, open for reading; nothing else is read, and nothing waits for who writes into a pipe.

    Args:
        follow_links: whether the last part of `path` may be a link.

    Raises:
        OSError: it cannot be opened, or is no regular file; `strerror` says what it is.
    """
    if not follow_links and path.is_symlink():
        raise OSError(errno.ELOOP, "a link, not a file", str(path))
    check_regular(path.stat().st_mode, path)  # opening a device may do something already
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
    flags |= getattr(os, "O_BINARY", 0) | (0 if follow_links else getattr(os, "O_NOFOLLOW", 0))
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        check_regular(os.fstat(file.fileno()).st_mode, path)  # another may have taken its place meanwhile
    except OSError:
        file.close()
        raise
    return file


def check_regular(mode: int, path: Path) -> None:
    """Raises: OSError, if `mode` is that of no regular file."""
    if not stat.S_ISREG(mode):
        raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, f"{kind_of(mode)}, not a file", str(path))


def kind_of(mode: int) -> str:
    """'folder', 'pipe', 'socket' or 'device', with its article; of what is no regular file."""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((kind for test, kind in kinds if test(mode)), "a device")
