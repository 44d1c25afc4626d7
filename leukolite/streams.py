"""stdout and stderr that cannot end a command: whoever reads them may go away, or their disk be full, or they be closed.

Every process of ours calls `guard_streams` before it prints. From then on what cannot be written is dropped; the first time
that is said on stderr, unless the reader simply went away (`| head`) or the stream was closed from the beginning (`>&-`).
What the stream's encoding does not hold is written escaped. A process that must not wait for its readers either, because it
has more to do than to print, prints as `leukolite.unwaited` has it.
"""

import errno
import io
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from leukolite.errors import LeukoliteError, reason_of
from leukolite.outbox import Outbox

_NAMES = ("stdin", "stdout", "stderr")  # by file descriptor
_READER_LEFT = (errno.EPIPE, errno.ECONNRESET)


class StdoutLost(LeukoliteError):
    """What was asked for on stdout could not be written there.

    Attributes:
        reason: why, in a few words.
        reader_left: whoever read it went away, as `head` does once it has enough.
    """

    def __init__(self, reason: str, *, reader_left: bool) -> None:
        super().__init__(f"stdout: not all could be written ({reason}); read it to its end, or write into a file")
        self.reason, self.reader_left = reason, reader_left


class GuardedFile(io.FileIO):
    """stdout or stderr, as bytes: a write that fails drops its bytes and all that follow.

    Attributes:
        lost: why nothing is written any more; None while all is well.
        strict: raise instead, for a file that was asked for on stdout.
        own: the descriptor that is written to; `write_own` writes to it.
        outbox: writes in our place; None: who writes waits.
        may_be_left_out: where nobody reads, what is written now goes before the rest.
        is_muted: what is written now goes nowhere.
        patience_s: for so long a write may wait in vain; asked again and again.
    """

    def __init__(self, descriptor: int, lost: StdoutLost | None = None) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.lost, self.strict, self.own = lost, False, descriptor
        self.write_own: Callable[[memoryview], int] = lambda data: os.write(descriptor, data)
        self.outbox: Outbox | None = None
        self.may_be_left_out = self.is_muted = False
        self.patience_s: Callable[[], float] = lambda: math.inf

    def write(self, data: Any) -> int:
        """All of it, or none that anybody sees. Raises: StdoutLost, where `strict`."""
        rest = whole = memoryview(data).cast("B")
        if self.outbox is not None and not self.strict:
            if self.lost is None and not self.is_muted:
                self.outbox.put(self, bytes(whole), may_be_left_out=self.may_be_left_out)
            return len(whole)
        taken_at = time.monotonic()
        while rest and self.lost is None:
            if (written := self.write_some(rest)) > 0:
                rest, taken_at = rest[written:], time.monotonic()
            elif self.lost is not None:
                break
            elif time.monotonic() - taken_at > self.patience_s():
                self.lose("nobody reads it")
            else:
                select.select([], [self.own], [], 0.1)
        if self.lost is not None and self.strict:
            raise self.lost
        return len(whole)

    def write_some(self, data: memoryview) -> int:
        """See `leukolite.outbox.Outlet`; a descriptor that waits for its reader is waited for."""
        if self.lost is not None:
            return -1
        try:
            return self.write_own(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            reader_left = error.errno in _READER_LEFT
            self.lose("the reader went away" if reader_left else reason_of(error), reader_left=reader_left)
            return -1

    def lose(self, reason: str, *, reader_left: bool = False) -> None:
        """Write nothing more, and say so once."""
        self.lost = StdoutLost(reason, reader_left=reader_left)
        if self.fileno() == 1 and not reader_left and not self.strict:
            sys.stderr.write(f"note: stdout cannot be written ({reason}): nothing more is printed there\n")
            sys.stderr.flush()


class _Text(io.TextIOWrapper):
    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of ASCII click would think that it is a mistake, and write UTF-8 past it."""
        return "latin-1" if super().encoding.lower() in ("ascii", "us-ascii", "646", "ansi_x3.4-1968") else super().encoding


def guard_streams() -> None:
    """Put guards before this process's stdout and stderr; streams that somebody has replaced, as tests do, are left alone."""
    closed = [_fill(descriptor) for descriptor in range(3)]
    for descriptor in (2, 1):
        name = _NAMES[descriptor]
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _guarded(descriptor, stream, closed[descriptor]))
    for name in ("COLUMNS", "LINES"):
        if os.environ.get(name) == "0":  # as some terminals say; a table of no width would be empty
            del os.environ[name]


@contextmanager
def stdout_as_file() -> Iterator[BinaryIO]:
    """stdout for a file's bytes, which must all arrive.

    Raises:
        StdoutLost: as soon as they do not.
    """
    sys.stdout.flush()  # what was printed before comes before
    guard = guard_of(sys.stdout)
    if guard is not None:
        if guard.outbox is not None and guard.lost is None and guard.outbox.settle([guard], guard.patience_s):
            guard.lost = StdoutLost("nobody reads it", reader_left=False)
        guard.strict = True
    try:
        yield cast(BinaryIO, sys.stdout.buffer)
        sys.stdout.flush()
    finally:
        if guard is not None:
            guard.strict = False  # what is still in the buffer is dropped


@contextmanager
def stream_as_file(path: Path) -> Iterator[BinaryIO]:
    """A pipe or device for a file's bytes, which must all arrive; it waits for its reader as stdout does.

    Raises:
        OSError: as soon as they do not.
    """
    descriptor = _open_stream(path)
    try:
        guard = GuardedFile(descriptor)
        guard.strict, guard.patience_s = True, _patience_s
        with io.BufferedWriter(guard) as file:
            yield cast(BinaryIO, file)
    except StdoutLost as error:
        raise OSError(errno.EPIPE, error.reason) from error
    finally:
        os.close(descriptor)


def _open_stream(path: Path) -> int:
    """Without waiting in the kernel, where no signal handler could end the wait for a pipe's reader."""
    began = time.monotonic()
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
        if time.monotonic() - began > _patience_s():
            raise OSError(errno.EPIPE, "nobody reads it")
        time.sleep(0.1)


def _patience_s() -> float:
    """As of the process's own streams."""
    return min((guard.patience_s() for guard in map(guard_of, (sys.stdout, sys.stderr)) if guard is not None), default=math.inf)


def guard_of(stream: Any) -> GuardedFile | None:
    """What stands before stdout or stderr; None before a stream that somebody has replaced."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw if isinstance(raw, GuardedFile) else None


def _fill(descriptor: int) -> bool:
    """Give a descriptor that is closed to the null device, lest the next file that is opened become stdout; True if it was."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the lowest number that is free
        return True
    return False


def _guarded(descriptor: int, stream: TextIO | None, was_closed: bool) -> TextIO:
    lost = StdoutLost("it is closed", reader_left=False) if stream is None or was_closed else None
    raw = GuardedFile(descriptor, lost)
    at_once = bool(getattr(stream, "write_through", False))  # python -u
    if stream is not None:
        stream.flush()
    return _Text(
        cast(BinaryIO, raw if at_once else io.BufferedWriter(raw)),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=descriptor == 2 or raw.isatty(),
        write_through=at_once,
    )
