"""Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) end a session after the frame in hand, all closed and written."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from leukolite.edge.control import Control

STOP_SIGNALS = {signal.SIGINT: "the user", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
STUCK_S = 10.0  # so long after a Ctrl-C that was only noted another one ends what hangs; a key held down or hit in haste does not


@contextmanager
def stopped_by_signals(control: Control, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Control]:
    """Within the block the first Ctrl-C, SIGTERM or SIGHUP stops `control`.

    A second Ctrl-C raises KeyboardInterrupt while a frame is in hand, for who will not wait for it. At all other times, as while
    results are written, it is noted and changes nothing, unless one was noted `STUCK_S` before. The others may come several times
    (a shell and the kernel both say that a terminal was closed; `timeout` signals twice) and mean the same. SIGHUP stays
    ignored where it is, as under nohup.

    Afterwards signals do what they did before. Where one has stopped `control` they are ignored instead: the process was asked to
    end and does so, and another one must not change with which exit code.

    Args:
        clock: seconds, monotonic.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    came: set[signal.Signals] = set()
    noted_at: float | None = None

    def ask(number: int, _: FrameType | None) -> None:
        nonlocal noted_at
        asked = signal.Signals(number)
        is_first = asked not in came
        came.add(asked)
        control.stop(STOP_SIGNALS[asked])
        if asked is not signal.SIGINT or is_first:
            return
        if control.give_up():
            raise KeyboardInterrupt
        if noted_at is None:
            noted_at = clock()
        elif clock() - noted_at >= STUCK_S:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, ask)
    try:
        yield control
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if came else handler)
