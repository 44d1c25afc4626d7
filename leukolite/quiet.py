"""Keeps the chatter of C++ libraries from the terminal; they write past Python, to the process's file descriptors."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the block writes to stdout and stderr, from Python or C++, nowhere.

    An exception passes through; its message carries what a person needs.
    """
    _flush()
    saved = [(fd, os.dup(fd)) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for fd, _ in saved:
        os.dup2(nowhere, fd)
    os.close(nowhere)
    try:
        yield
    finally:
        _flush()
        for fd, copy in saved:
            os.dup2(copy, fd)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as in a program that closed it
            stream.flush()
