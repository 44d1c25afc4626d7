"""However many come to the live page, its owner is answered, judging goes on, and descriptors are bounded: real sockets."""

import asyncio
import contextlib
import http.client
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from live_pages import PageAddress, killed_at_the_end

from leukolite.edge.journal.format import read, verify
from leukolite.edge.journal.records import FrameRecord
from leukolite.edge.page import door
from leukolite.edge.page.door import Door
from leukolite.edge.page.listen import Address, listening
from leukolite.edge.page.server import PageServer
from leukolite.errors import LeukoliteError

LARGE = b"x" * 3_000_000  # more than a connection's buffers hold


class Hall:
    """A page behind a door: it welcomes who says so, and answers with what was asked for."""

    def __init__(self, most: int) -> None:
        self.bound = socket.create_server(("127.0.0.1", 0), backlog=door.BACKLOG)
        self.port = self.bound.getsockname()[1]
        self.server = PageServer(self, self.answer, self.bound, most)  # type: ignore[arg-type]
        self.door: Door = self.server._server._door

    def close(self) -> None:
        """As of `Live`."""

    async def answer(self, scope, receive, send) -> None:
        if scope["path"] != "/stranger":
            scope["welcome"]()
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
        body = LARGE if scope["path"] == "/large" else b"here you are"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})

    def connect(self, n: int = 1) -> list[socket.socket]:
        return [socket.create_connection(("127.0.0.1", self.port), timeout=20) for _ in range(n)]

    def ask(self, path: str = "/") -> http.client.HTTPConnection:
        """A guest's or stranger's connection that was answered and is kept open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path)
        assert connection.getresponse().read() == b"here you are"
        return connection


@pytest.fixture
def hall() -> Iterator[Callable[..., Hall]]:
    made: list[Hall] = []

    def begin(most: int = 16) -> Hall:
        made.append(Hall(most))
        return made[-1]

    yield begin
    for each in made:
        each.server.close()


def is_open(connection: socket.socket) -> bool:
    """Whether nobody has closed the other side yet."""
    if not select.select([connection], [], [], 0)[0]:
        return True
    with contextlib.suppress(OSError):
        return bool(connection.recv(1, socket.MSG_PEEK))
    return False


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_connections_are_bounded_the_newest_come_in_and_the_oldest_strangers_go(hall):
    served = hall(most=16)
    idle = served.connect(100)
    wait_until(lambda: sum(map(is_open, idle)) <= 14)
    assert [is_open(one) for one in idle[-10:]] == [True] * 10
    assert not any(map(is_open, idle[:80]))
    assert len(served.door.visitors) + len(served.door.lobby) <= 16
    served.ask().close()
    for one in idle:
        one.close()


def test_no_number_of_strangers_drives_out_a_guest(hall):
    served = hall(most=16)
    guests = [served.ask() for _ in range(6)]
    idle = served.connect(200)
    for guest in guests:
        guest.request("GET", "/")  # on the connection it has
        assert guest.getresponse().read() == b"here you are"
    for connection in (*idle, *guests):
        connection.close()


def test_too_many_guests_leave_places_for_newcomers(hall):
    served = hall(most=16)
    guests = [served.ask() for _ in range(40)]
    wait_until(lambda: sum(one.is_guest for one in list(served.door.visitors)) <= 14)
    assert is_open(guests[-1].sock)
    for guest in guests:
        guest.close()


def test_the_address_that_has_most_strangers_makes_room(hall):
    served = hall(most=8)
    lone = socket.create_connection(("127.0.0.1", served.port), timeout=20, source_address=("127.0.0.2", 0))
    crowd = served.connect(60)
    wait_until(lambda: sum(map(is_open, crowd)) <= 7)
    assert is_open(lone)  # the oldest of all
    for one in (lone, *crowd):
        one.close()


HALF = b"GET / HTTP/1.1\r\nHost: a\r\n"


def strangers_who_sent(served: Hall, sent: bytes, n: int) -> list[socket.socket]:
    """As many connections one after the other, of which the door has seen that they sent something."""
    arrived = []
    for _ in range(n):
        before = set(served.door.visitors)
        arrived += served.connect()
        arrived[-1].sendall(sent)
        wait_until(lambda: set(served.door.visitors) - before)  # noqa: B023
    return arrived


@pytest.mark.parametrize("sent", [b"G", HALF])
def test_who_sent_half_a_request_goes_before_a_newcomer_who_has_not_spoken_yet(hall, sent):
    served = hall(most=16)
    halves = strangers_who_sent(served, sent, 14)  # all places of strangers
    (owner,) = served.connect()
    wait_until(lambda: len(served.door.lobby) == 1)
    more = strangers_who_sent(served, sent, 13)
    assert [is_open(one) for one in halves] == [False] * 14
    assert is_open(owner)
    owner.sendall(HALF + b"\r\n")
    assert owner.recv(100).startswith(b"HTTP/1.1 200 ")
    for one in (owner, *halves, *more):
        one.close()


def test_who_was_answered_without_a_token_goes_before_a_newcomer(hall):
    served = hall(most=16)
    refused = [served.ask("/stranger") for _ in range(14)]
    (owner,) = served.connect()
    wait_until(lambda: len(served.door.lobby) == 1)
    assert [is_open(one.sock) for one in refused] == [False] + [True] * 13
    assert is_open(owner)
    owner.close()
    for one in refused:
        one.close()


def test_who_was_long_in_the_lobby_is_no_newcomer_once_he_speaks(hall):
    served = hall(most=16)
    (old,) = served.connect()
    wait_until(lambda: served.door.lobby)
    others = served.connect(12)
    wait_until(lambda: len(served.door.lobby) == 13)
    old.sendall(b"G")
    wait_until(lambda: served.door.visitors)
    others += served.connect(2)
    wait_until(lambda: not is_open(old))
    assert all(map(is_open, others))
    for one in (old, *others):
        one.close()


def test_nobody_goes_before_his_moment_is_over_however_many_come(hall, monkeypatch):
    monkeypatch.setattr(door, "MOMENT_S", 0.4)
    served, began = hall(most=16), time.monotonic()
    strangers = served.connect(60)
    wait_until(lambda: not is_open(strangers[0]))
    assert time.monotonic() - began >= 0.4
    for one in strangers:
        one.close()


def test_a_browsers_few_connections_are_no_crowd_among_strangers_of_many_addresses(hall):
    served = hall(most=16)  # of which one in eight, two, are no crowd
    strangers = [connect_from(served, f"127.0.1.{i}") for i in range(12)]
    browser = [connect_from(served, "127.0.0.2") for _ in range(2)]
    strangers += [connect_from(served, f"127.0.2.{i}") for i in range(12)]
    wait_until(lambda: not any(map(is_open, strangers[:12])))
    assert all(map(is_open, browser))
    for one in (*browser, *strangers):
        one.close()


def connect_from(served: Hall, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20, source_address=(address, 0))


def test_while_half_open_strangers_come_all_the_time_the_owner_is_always_answered(hall):
    served, comes, halves = hall(most=64), threading.Event(), []

    def come() -> None:
        while not comes.wait(1 / 400):
            halves.extend(served.connect())
            halves[-1].sendall(b"G")

    attack = threading.Thread(target=come)
    attack.start()
    try:
        wait_until(lambda: len(halves) > 70)
        for _ in range(40):
            served.ask().close()
            time.sleep(0.01)
    finally:
        comes.set()
        attack.join()
        for one in halves:
            one.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET /" + b"a" * 1000])
def test_who_sends_no_whole_head_is_thrown_out(hall, monkeypatch, sent):
    monkeypatch.setattr(door, "HEAD_S", 0.3)
    served = hall()
    (connection,) = served.connect()
    connection.sendall(sent)
    wait_until(lambda: not is_open(connection), 5)
    wait_until(lambda: not served.door.visitors and not served.door.lobby)
    connection.close()


def trickle(connection: socket.socket, text: bytes) -> bool:
    """Whether a text that goes out byte by byte was cut off."""
    with contextlib.suppress(OSError):
        for byte in text:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
            if not is_open(connection):
                return True
        return False
    return True


def test_a_head_that_trickles_is_cut_off_the_second_one_too(hall, monkeypatch):
    monkeypatch.setattr(door, "HEAD_S", 0.3)
    served = hall()
    (first,) = served.connect()
    assert trickle(first, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50)
    second = served.ask()
    assert trickle(second.sock, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50)
    first.close()
    second.close()


def test_a_body_that_trickles_is_cut_off(hall, monkeypatch):
    monkeypatch.setattr(door, "REQUEST_S", 0.3)
    served = hall()
    (connection,) = served.connect()
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    assert trickle(connection, b"x" * 200)
    connection.close()


@pytest.mark.parametrize("times", [1, 20])
def test_who_never_reads_is_thrown_out_however_often_he_asks(hall, monkeypatch, times):
    monkeypatch.setattr(door, "REQUEST_S", 0.4)
    served = hall()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", served.port))
    for _ in range(times):
        deaf.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: len(served.door.visitors) == 1)
    wait_until(lambda: not served.door.visitors, 5)
    deaf.close()


def test_a_slow_reader_is_waited_for(hall, monkeypatch):
    monkeypatch.setattr(door, "HEAD_S", 0.2)
    served = hall()
    (slow,) = served.connect()
    slow.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    time.sleep(0.5)  # longer than it may be idle
    got = 0
    while piece := slow.recv(2**20):
        got += len(piece)
    assert got > len(LARGE)
    slow.close()


def test_a_descriptor_that_cannot_be_had_is_no_end_and_no_busy_loop(hall, monkeypatch):
    served, tries = hall(), []
    sock_accept = asyncio.selector_events.BaseSelectorEventLoop.sock_accept

    async def none_left(loop, bound):
        tries.append(time.monotonic())
        if len(tries) < 4:
            raise OSError(24, "Too many open files")
        return await sock_accept(loop, bound)

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_accept", none_left)
    served.ask().close()
    served.ask().close()
    wait_until(lambda: len(tries) >= 4)
    assert tries[3] - tries[0] > 0.25


def test_a_limit_too_low_for_a_page_is_one_line(monkeypatch):
    monkeypatch.setattr("leukolite.edge.page.listen.to_spare", lambda reserved: 3)
    with (
        pytest.raises(LeukoliteError, match=r"^127\.0\.0\.1:\d+: .*expected 5 more; raise the limit"),
        listening(Address("127.0.0.1", 0)),
    ):
        pass


def test_with_64_descriptors_and_1_000_connections_a_session_judges_records_and_obeys(tmp_path):
    folder = tmp_path / "session"
    command = [sys.executable, "-c", "from leukolite.edge.start import main; main()", "--bundle", "synthetic-cells", "--quiet"]
    command += ["--camera", "synthetic:50", "--every-frame", "--record", str(folder), "--json", str(tmp_path / "o.json")]
    limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--serve", "0"], **streams, **limited) as process, killed_at_the_end(process):
        page = PageAddress.of(process.stderr.readline())
        idle: list[socket.socket] = []

        def come() -> None:
            for _ in range(1000):
                idle.append(socket.socket())
                idle[-1].setblocking(False)
                idle[-1].connect_ex(("127.0.0.1", page.port))

        attack = threading.Thread(target=come)
        attack.start()
        began = time.monotonic()
        for button, status in (("pause", 204), ("start", 204)):
            with contextlib.closing(page.connect()) as viewer:
                assert page.post(viewer, button) == status
        assert time.monotonic() - began < 10  # on a busy machine
        attack.join()
        descriptors = sum(1 for _ in Path(f"/proc/{process.pid}/fd").iterdir())
        assert descriptors < 64 - 16  # what the session may want is free
        then = n_frames(folder)
        wait_until(lambda: n_frames(folder) > then + 20, 30)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
        for one in idle:
            one.close()
    assert process.returncode == 0, errors
    assert errors.splitlines()[-1] == "stopped by SIGTERM"
    assert verify(folder).ended


def n_frames(folder: Path) -> int:
    with contextlib.suppress(LeukoliteError):  # a line that is just being written
        return sum(isinstance(entry.record, FrameRecord) for entry in read(folder))
    return 0
