"""Open files and sockets, of which a process may have so many: enough for judging and recording, whatever else wants some."""

import os
import resource
from contextlib import suppress
from pathlib import Path

WANTED = 4096  # more than a session with a page and a camera ever has; a limit of a billion helps nobody
RESERVED = 32  # for what a session opens later: its journal's next file and copies, a camera opened again, results, sensors
SPARE = 8  # held back for the results: a folder, the file in it, and what a page is made of


def raise_limit() -> None:
    """Let this process have as many descriptors as it may give itself, `WANTED` at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def to_spare(reserved: int = RESERVED) -> int:
    """How many more descriptors a side service may have, so that `reserved` stay for the session; below 0 where too few do."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (WANTED if limit == resource.RLIM_INFINITY else limit) - _n_open() - reserved


def _n_open() -> int:
    for folder in (Path("/proc/self/fd"), Path("/dev/fd")):
        if folder.is_dir():
            return sum(1 for _ in os.scandir(folder)) - 1  # not the one that lists them
    return 64  # nobody can tell: more than a session has at its start


class SpareDescriptors:
    """Held back until they are given up, so that a session's results can be written in a process that has no other left.

    Giving them up a second time changes nothing.
    """

    def __init__(self) -> None:
        self._held: list[int] = []
        with suppress(OSError):  # there are none to hold back any more
            while len(self._held) < SPARE:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def give_up(self) -> None:
        while self._held:
            os.close(self._held.pop())
