"""Keeps the chatter of C++ libraries from the terminal; they write past Python, to the process's file descriptors."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from leukolite.streams import guard_of


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the block writes to stdout and stderr, from Python or C++, nowhere.

    An exception passes through; its message carries what a person needs.
    """
    _flush()
    guards = [guard for guard in map(guard_of, (sys.stdout, sys.stderr)) if guard is not None]
    saved = [(fd, os.dup(fd)) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for fd, _ in saved:
        os.dup2(nowhere, fd)
    os.close(nowhere)
    for guard in guards:  # which may write elsewhere
        guard.is_muted = True
    try:
        yield
    finally:
        _flush()
        for fd, copy in saved:
            os.dup2(copy, fd)
            os.close(copy)
        for guard in guards:
            guard.is_muted = False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as in a program that closed it
            stream.flush()
