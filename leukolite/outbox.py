"""What is printed waits here for its reader, so that who prints never does.

A thread writes it. Where nobody reads (Ctrl-S, a stalled ssh, a full pipe) a bounded part of it is kept: lines that may be
left out go first, the oldest of them, and a line in their place says how many went.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

from leukolite.wording import count

MOST_BYTES = 2**20  # that wait for one stream's reader; some 12,000 lines
MOST_ENTRIES = 50_000  # that wait for the thread, should a disk behind a stream hang

_AGAIN_S = 0.05  # until a stream that takes nothing is tried again, and how late the end of a wait may be noticed


class Outlet(Protocol):
    """A stream's raw side."""

    def write_some(self, data: memoryview) -> int:
        """Write what can be written without waiting.

        Returns:
            Bytes: 0 while nobody reads, -1 where nothing will be written any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """Some text, or a mark without any, which is set once all before it is written."""

    number: int
    outlet: Outlet
    data: bytes = b""
    may_be_left_out: bool = False
    mark: threading.Event | None = None


@dataclass(slots=True)
class _Waiting:
    """What a stream's reader has not taken.

    Attributes:
        begun: the rest of the entry in hand, which is never left out: half a line would stand there.
        passing: what may be left out; `lasting`: the rest. Together they are in the order of their numbers.
        n_bytes, n_lines: in both.
        unseen: lines left out since something was written.
    """

    begun: memoryview = field(default_factory=lambda: memoryview(b""))
    passing: deque[_Entry] = field(default_factory=deque)
    lasting: deque[_Entry] = field(default_factory=deque)
    n_bytes: int = 0
    n_lines: int = 0
    unseen: int = 0

    def __bool__(self) -> bool:
        return bool(self.begun or self.passing or self.lasting)

    @property
    def turn(self) -> int:
        """The next entry's number; what is begun comes before all."""
        return -1 if self.begun else min(entries[0].number for entries in (self.passing, self.lasting) if entries)

    def add(self, entry: _Entry) -> None:
        (self.passing if entry.may_be_left_out else self.lasting).append(entry)
        self.n_bytes += len(entry.data)
        self.n_lines += _lines(entry.data)
        while self.n_bytes > MOST_BYTES:
            self.unseen += _lines(self._take(self.passing or self.lasting))

    def next_piece(self) -> memoryview:
        """What is to be written now; nothing where only marks were left."""
        while self and not self.begun:
            if self.unseen:
                n, self.unseen = self.unseen, 0
                were = f"{count(n, 'line was', 'lines were')} not shown: nobody read {'it' if n == 1 else 'them'}"
                self.begun = memoryview(f"({were})\n".encode())
            else:
                turn = self.turn
                self.begun = memoryview(
                    self._take(self.passing if self.passing and self.passing[0].number == turn else self.lasting)
                )
        return self.begun

    def drop(self) -> None:
        """All of it."""
        self.begun, self.unseen = memoryview(b""), 0
        while entries := self.passing or self.lasting:
            self._take(entries)

    def _take(self, entries: deque[_Entry]) -> bytes:
        entry = entries.popleft()
        self.n_bytes -= len(entry.data)
        self.n_lines -= _lines(entry.data)
        if entry.mark is not None:
            entry.mark.set()
        return entry.data


class Outbox:
    """Writes to any number of streams from one thread, in the order in which it was given; a stream that takes nothing holds up
    no other."""

    def __init__(self) -> None:
        self._given: SimpleQueue[_Entry | None] = SimpleQueue()  # whose `put` takes no lock that a signal could find taken
        self._numbers = itertools.count()
        self._waiting: dict[Outlet, _Waiting] = {}
        self._taken_at = 0.0  # when a reader took something last, seconds
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def put(self, outlet: Outlet, data: bytes, *, may_be_left_out: bool = False) -> None:
        """Give a stream's next bytes, whole lines; it never waits."""
        if self._given.qsize() < MOST_ENTRIES:
            self._given.put(_Entry(next(self._numbers), outlet, data, may_be_left_out))

    def settle(self, outlets: Iterable[Outlet], patience_s: Callable[[], float]) -> list[Outlet]:
        """Wait until all is written that was given before.

        Args:
            patience_s: for so long it lasts while nobody takes anything; asked again and again.

        Returns:
            The streams that nobody reads.
        """
        began, marks = time.monotonic(), {outlet: threading.Event() for outlet in outlets}
        for outlet, mark in marks.items():
            self._given.put(_Entry(next(self._numbers), outlet, mark=mark))
        while marks:
            next(iter(marks.values())).wait(_AGAIN_S)
            marks = {outlet: mark for outlet, mark in marks.items() if not mark.is_set()}
            if time.monotonic() - max(began, self._taken_at) > patience_s():
                break
        return list(marks)

    def n_unseen(self, outlet: Outlet) -> int:
        """How many lines its reader has not taken."""
        waiting = self._waiting.get(outlet)
        if waiting is None:
            return 0
        return waiting.unseen + waiting.n_lines + _lines(waiting.begun.tobytes())

    def close(self) -> None:
        """Write nothing more."""
        self._given.put(None)
        self._thread.join(2 * _AGAIN_S)  # no longer: a disk may hang

    def _work(self) -> None:
        while self._collect():
            streams = [(outlet, waiting) for outlet, waiting in self._waiting.items() if waiting]
            streams.sort(key=lambda pair: pair[1].turn)
            if streams and not any(self._write(*pair) for pair in streams):
                time.sleep(_AGAIN_S)

    def _collect(self) -> bool:
        """Take over what was given, and wait for it where nothing else is to be done; False at the end."""
        idle = not any(self._waiting.values())
        for _ in range(max(self._given.qsize(), idle)):
            entry = self._given.get()
            if entry is None:
                return False
            self._waiting.setdefault(entry.outlet, _Waiting()).add(entry)
        return True

    def _write(self, outlet: Outlet, waiting: _Waiting) -> bool:
        """Whether the stream took something."""
        piece = waiting.next_piece()
        if not piece:
            return True
        n = outlet.write_some(piece)
        if n < 0:
            waiting.drop()
        elif n:
            waiting.begun, self._taken_at = piece[n:], time.monotonic()
        return n != 0


def _lines(data: bytes) -> int:
    return max(data.count(b"\n"), 1) if data else 0
