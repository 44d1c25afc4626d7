"""One line that a file or stdin holds, as a name or a password: what stands in a call, every user of the machine can read."""

import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from leukolite.errors import LeukoliteError, reason_of
from leukolite.places import problem_at
from leukolite.textfiles import decode_text

MAX_LINE_BYTES = 4096


def first_line_of(path: Path, what: str, *, private: bool = False) -> str:
    """The first line, without its end and a byte order mark.

    Args:
        path: of a file or pipe; '-' is stdin.
        what: it is, for the errors, which never name what they found.
        private: a file of this user's own that others may read is refused, as ssh does with a key.

    Raises:
        LeukoliteError: it cannot be read, is empty, longer than `MAX_LINE_BYTES` or not UTF-8, or others may read it.
    """
    if str(path) == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise LeukoliteError(f"stdin is closed; expected {what} in one line")
        return _line(sys.stdin.buffer, "stdin", what)
    if not path.is_fifo() and (problem := problem_at(path, "file")):  # a pipe is how a shell hands over a secret
        raise LeukoliteError(f"{path}: {problem}; expected a file that holds {what} in one line")
    try:
        with path.open("rb") as file:
            if private:
                _check_private(path, os.fstat(file.fileno()))
            return _line(file, str(path), what)
    except OSError as error:
        raise LeukoliteError(f"{path}: cannot be read ({reason_of(error)})") from error


def _check_private(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_mode & 0o077:
        raise LeukoliteError(f"{path}: other users may read it (mode {stat.S_IMODE(found.st_mode):o}); chmod 600 {path}")


def _line(file: BinaryIO, where: str, what: str) -> str:
    data = file.readline(MAX_LINE_BYTES + 1)
    if len(data) > MAX_LINE_BYTES:
        raise LeukoliteError(f"{where}: the first line is longer than {MAX_LINE_BYTES:,} bytes; expected {what}")
    try:
        line = decode_text(data).rstrip("\r\n")
    except ValueError:
        raise LeukoliteError(f"{where}: expected {what} in one line of UTF-8 text; save the file again as UTF-8") from None
    if not line.strip():
        raise LeukoliteError(f"{where}: the first line is empty; expected {what}")
    return line
