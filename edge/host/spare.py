"""Descriptors held back, so that a session's results can be written in a process that has no other left."""

import os
from contextlib import suppress

SPARE = 8  # for a folder, the file in it, and what a page is made of


class SpareDescriptors:
    """Holds them until they are given up; a second time changes nothing."""

    def __init__(self) -> None:
        self._held: list[int] = []
        with suppress(OSError):  # there are none to hold back any more
            while len(self._held) < SPARE:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def give_up(self) -> None:
        while self._held:
            os.close(self._held.pop())
