"""Where a process of ours begins: while it imports, which takes a second, Ctrl-C ends it without a word.

Nothing that takes time is imported before.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from leukolite.imports import import_explained

INTERRUPTED = 128 + signal.SIGINT  # what a shell says of a program that Ctrl-C ended


class Terminated(SystemExit):
    """SIGTERM or SIGHUP: what is half-made is taken away on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def main() -> None:
    """The `leukolite` command: a signal that ends it unwinds it, so that what is half-made is taken away."""
    with interrupts_end_it():
        import_explained("leukolite.streams").guard_streams()
        command = import_explained("leukolite.cli").main
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has SIGHUP ignored
            signal.signal(number, _terminate)
    try:
        command()
    except Terminated as error:  # what its parent shall see
        signal.signal(error.number, signal.SIG_DFL)
        os.kill(os.getpid(), error.number)


@contextmanager
def interrupts_end_it() -> Iterator[None]:
    """Within the block Ctrl-C ends the process at once, with exit code 130; where there is nothing to lose, as during imports.

    An exception in the middle of an import would come out as another one's, or as a warning of its own. What the block itself has
    made of Ctrl-C for the rest of the process stays.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is end:
            signal.signal(signal.SIGINT, before)


def _terminate(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would disturb the tidying up
    raise Terminated(number)
