"""Printing that waits for no reader, for a process that has more to do: see `leukolite.outbox` for what becomes of the lines.

Also libraries below Python, which write to the process's descriptors, wait for nobody: what they cannot write is lost. To its
end the process waits for a reader only while he takes something.
"""

import io
import math
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from leukolite.outbox import Outbox
from leukolite.streams import GuardedFile, StdoutLost, guard_of
from leukolite.wording import count

PATIENCE_S = 10.0  # for so long what is still to be shown at the end waits for a reader who takes nothing
ASKED_PATIENCE_S = 3.0  # likewise once the process was asked to end, which ends the wait for a file on stdout too

_SOCKET_S = 0.02  # how long a socket may hold up who writes to it; its other settings are shared with other processes


@contextmanager
def unwaited_streams() -> Iterator[None]:
    """Within the block nobody who prints waits for who reads; it lasts until the process ends."""
    outbox, shared = Outbox(), []
    sys.stdout.flush()
    sys.stderr.flush()
    for guard in _guards():
        if _unblock(guard):
            shared.append(guard.fileno())
        guard.outbox = outbox
    for stream in (sys.stdout, sys.stderr):
        if guard_of(stream) is not None:  # whole lines, also of python -u
            cast(io.TextIOWrapper, stream).reconfigure(line_buffering=True, write_through=False)
    try:
        yield
    finally:
        settle_streams(lambda: ASKED_PATIENCE_S)
        outbox.close()
        for guard in _guards():  # a traceback may follow
            guard.outbox, guard.patience_s = None, lambda: ASKED_PATIENCE_S
        for descriptor in shared:
            os.set_blocking(descriptor, True)


def give_up_once(asked: Callable[[], bool]) -> None:
    """Let a file on stdout wait for its reader until `asked`, as by a signal; without `unwaited_streams` it waits for ever."""
    for guard in _guards():
        if guard.outbox is not None:
            guard.patience_s = lambda: ASKED_PATIENCE_S if asked() else math.inf


def settle_streams(patience_s: Callable[[], float]) -> None:
    """Wait until all is read that was printed; who takes nothing for so long is given up, at a KeyboardInterrupt at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    waited = [guard for guard in _guards() if guard.outbox is not None and guard.lost is None]
    if not waited:
        return
    outbox = cast(Outbox, waited[0].outbox)
    try:
        unread = outbox.settle(waited, patience_s)
    except KeyboardInterrupt:
        unread = list(waited)
    notes = []
    for guard in waited:
        if guard in unread:
            n, guard.lost = outbox.n_unseen(guard), StdoutLost("nobody reads it", reader_left=False)
            notes += [f"note: {count(n, 'line was', 'lines were')} not shown on stdout, which nobody read\n"] * (
                guard.fileno() == 1
            )
    if notes:
        sys.stderr.writelines(notes)
        settle_streams(patience_s)


def print_passing(line: str, stream: TextIO) -> None:
    """Print a line at once, so that a pipe shows it when it is said; where nobody reads it goes before errors and notes."""
    guard = guard_of(stream)
    if guard is not None:
        guard.may_be_left_out = True
    try:
        stream.write(f"{line}\n")
        stream.flush()
    finally:
        if guard is not None:
            guard.may_be_left_out = False


def _guards() -> list[GuardedFile]:
    return [guard for guard in map(guard_of, (sys.stdout, sys.stderr)) if guard is not None]


def _unblock(guard: GuardedFile) -> bool:
    """Let writes to a guard's descriptor wait for nobody, those of libraries below Python too.

    Returns:
        Whether other processes that have the same terminal or pipe open must get it back as it was; not where it could be
        opened once more, for this process alone.
    """
    descriptor = guard.fileno()
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        same = socket.socket(fileno=os.dup(descriptor))
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, int(1e6 * _SOCKET_S)))
        guard.own, guard.write_own = same.fileno(), lambda data: same.send(data, socket.MSG_DONTWAIT)
        return False
    own, is_shared = os.dup(descriptor), False
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        try:
            again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # another user's terminal, as under su
            is_shared = os.get_blocking(descriptor)
            os.set_blocking(descriptor, False)
        else:
            os.dup2(again, descriptor)
            os.close(own)
            own = again
    guard.own, guard.write_own = own, lambda data: os.write(own, data)
    return is_shared
