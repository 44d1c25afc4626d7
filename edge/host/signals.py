"""Ctrl-C and SIGTERM end a session after the frame in hand, with everything closed and written."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from leukolite.edge.control import Control

STOP_SIGNALS = {signal.SIGINT: "the user", signal.SIGTERM: "SIGTERM"}


@contextmanager
def stopped_by_signals(control: Control) -> Iterator[Control]:
    """Within the block the first Ctrl-C or SIGTERM stops `control`; a second one does what it did before the block."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def ask(number: int, _: FrameType | None) -> None:
        asked = signal.Signals(number)
        control.stop(STOP_SIGNALS[asked])
        signal.signal(asked, before[asked])

    for number in STOP_SIGNALS:
        signal.signal(number, ask)
    try:
        yield control
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
