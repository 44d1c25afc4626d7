"""What waits for a reader: bounded, in order, verdict lines left out first and counted; who prints never waits."""

import threading
import time

import pytest

from leukolite import outbox
from leukolite.outbox import Outbox


class Reader:
    """A stream that takes what it is allowed to take."""

    def __init__(self, reads: bool = True) -> None:
        self.reads, self.text, self.piece = reads, b"", 10**6

    def write_some(self, data: memoryview) -> int:
        if not self.reads:
            return 0
        taken = bytes(data[: self.piece])
        self.text += taken
        return len(taken)

    @property
    def lines(self) -> list[str]:
        return self.text.decode().splitlines()


@pytest.fixture
def box():
    made = Outbox()
    yield made
    made.close()


def settled(box: Outbox, *readers: Reader, patience_s: float = 20.0) -> bool:
    return not box.settle(readers, lambda: patience_s)


def wait_until_stuck(box: Outbox, reader: Reader) -> None:
    """The thread has taken over all that was given, and found that nobody reads."""
    while not (box._given.empty() and reader in box._waiting and box._waiting[reader].begun):
        time.sleep(0.001)


def test_lines_come_whole_and_in_order_however_little_is_taken_at_once(box):
    out, err = Reader(), Reader()
    out.piece = 3
    for k in range(200):
        box.put(out, f"line {k}\n".encode(), may_be_left_out=True)
        box.put(err, f"note {k}\n".encode())
    assert settled(box, out, err)
    assert out.lines == [f"line {k}" for k in range(200)]
    assert err.lines == [f"note {k}" for k in range(200)]


def test_two_streams_are_written_in_the_order_they_were_given(box):
    written: list[bytes] = []

    class Same(Reader):
        def write_some(self, data: memoryview) -> int:
            written.append(bytes(data))
            return len(data)

    out, err = Same(), Same()
    for k in range(100):
        box.put((out, err)[k % 3 == 0], b"%d\n" % k)
    assert settled(box, out, err)
    assert written == [b"%d\n" % k for k in range(100)]


def test_a_stream_that_nobody_reads_holds_up_no_other(box):
    out, err = Reader(reads=False), Reader()
    box.put(out, b"verdict\n")
    for k in range(50):
        box.put(err, b"note %d\n" % k)
    assert settled(box, err)
    assert len(err.lines) == 50
    assert box.settle([out, err], lambda: 1.0) == [out]  # a busy machine may let the thread wait


def test_where_nobody_reads_the_oldest_verdicts_go_first_and_are_counted_and_notes_stay(box, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_BYTES", 1000)
    out = Reader(reads=False)
    box.put(out, b"first\n", may_be_left_out=True)
    wait_until_stuck(box, out)
    box.put(out, b"note: a camera was lost\n")
    for k in range(300):
        box.put(out, f"verdict {k:03}\n".encode(), may_be_left_out=True)
    wait_until_stuck(box, out)
    assert box.n_unseen(out) == 302
    out.reads = True
    assert settled(box, out)
    first, said, *rest = out.lines
    assert (first, rest[0], rest[-1]) == ("first", "note: a camera was lost", "verdict 299")
    kept = len(rest) - 1
    assert said == f"({300 - kept} lines were not shown: nobody read them)"
    assert rest[1:] == [f"verdict {k:03}" for k in range(300 - kept, 300)]
    assert sum(len(line) + 1 for line in rest) <= 1000
    assert box.n_unseen(out) == 0


def test_even_notes_are_bounded(box, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_BYTES", 1000)
    err = Reader(reads=False)
    for k in range(1000):
        box.put(err, f"note {k:04}\n".encode())
    wait_until_stuck(box, err)
    err.reads = True
    assert settled(box, err)
    assert err.lines[-1] == "note 0999"
    assert len(err.text) < 1200


def test_a_wait_lasts_while_something_is_taken_and_ends_when_nothing_is(box):
    slow = Reader(reads=False)
    box.put(slow, b"x" * 100 + b"\n")
    wait_until_stuck(box, slow)
    began = time.monotonic()
    assert not settled(box, slow, patience_s=0.2)
    assert time.monotonic() - began < 2
    threading.Timer(0.2, lambda: setattr(slow, "reads", True)).start()
    assert settled(box, slow, patience_s=20)


def test_a_disk_that_hangs_costs_bounded_memory_and_nobodys_time(box, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_ENTRIES", 100)
    hangs, go_on = threading.Event(), threading.Event()

    class Hanging(Reader):
        def write_some(self, data: memoryview) -> int:
            hangs.set()
            go_on.wait(20)
            return super().write_some(data)

    disk = Hanging()
    box.put(disk, b"begun\n")
    assert hangs.wait(10)
    for k in range(1000):
        box.put(disk, b"%d\n" % k)
    assert box.settle([disk], lambda: 0.1) == [disk]
    go_on.set()
    assert settled(box, disk)
    assert len(disk.lines) < 110


def test_what_can_never_be_written_is_waited_for_no_longer(box):
    class Gone(Reader):
        def write_some(self, data: memoryview) -> int:
            return -1 if self.reads else 0

    gone = Gone(reads=False)
    for k in range(100):
        box.put(gone, b"%d\n" % k, may_be_left_out=k % 2 == 0)
    wait_until_stuck(box, gone)
    gone.reads = True
    assert settled(box, gone)
    assert box.n_unseen(gone) == 0
