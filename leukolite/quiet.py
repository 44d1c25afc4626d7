"""Keeps the chatter of C++ libraries from the terminal; they write past Python, to the process's file descriptors."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Send what the block writes to stdout and stderr, from Python or C++, nowhere.

    An exception passes through; its message carries what a person needs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(fd, os.dup(fd)) for fd in (1, 2)]
    with tempfile.TemporaryFile() as kept:
        for fd, _ in saved:
            os.dup2(kept.fileno(), fd)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, copy in saved:
                os.dup2(copy, fd)
                os.close(copy)
