"""Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) end a session after the frame in hand, all closed and written."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from leukolite.edge.control import Control

STOP_SIGNALS = {signal.SIGINT: "the user", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


@contextmanager
def stopped_by_signals(control: Control) -> Iterator[Control]:
    """Within the block the first Ctrl-C, SIGTERM or SIGHUP stops `control`.

    A second Ctrl-C raises KeyboardInterrupt, for who will not wait for the frame in hand. The others may come several times
    (a shell and the kernel both say that a terminal was closed; `timeout` signals twice) and mean the same. SIGHUP stays
    ignored where it is, as under nohup.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]

    def ask(number: int, _: FrameType | None) -> None:
        asked = signal.Signals(number)
        control.stop(STOP_SIGNALS[asked])
        if asked is signal.SIGINT:
            signal.signal(asked, signal.default_int_handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield control
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
