"""The live page, served for real: who may come, what is answered, that nobody slows the runner, what a browser makes of it."""

import base64
import http.client
import io
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import a_frame

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from chromium import EXECUTABLE, Chromium
from live_pages import PageAddress, killed_at_the_end
from PIL import Image

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.cli import main as edge_run
from leukolite.edge.control import Control
from leukolite.edge.counts import SessionCounts
from leukolite.edge.events import Event, FrameResult, RegionResult
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.edge.journal.format import read, verify
from leukolite.edge.journal.slides import slide_id
from leukolite.edge.page import app as page
from leukolite.edge.page.app import Allowance, application, picture_jpeg
from leukolite.edge.page.door import MOST_CONNECTIONS
from leukolite.edge.page.listen import Address, AddressType, listening
from leukolite.edge.page.server import PageServer
from leukolite.edge.page.state import About, Live
from leukolite.edge.report.summary import summarise
from leukolite.errors import LeukoliteError
from leukolite.runtime import RuntimeInfo

NASTY = '<script>document.title="owned"</script><img src=x onerror=alert(1)>'
CLASSES = Classes.of((NASTY, "healthy"), (NASTY,))
ABOUT = About("tiny", "cell", CLASSES, "synthetic")
TOKEN = "secret-token"


def classified(index: int, k: int = 0, *, side: int = 64) -> FrameResult:
    """A frame with one cell classified as label `k`, one excluded, captured now."""
    frame = a_frame(index, captured_at=time.perf_counter_ns())
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[..., 0] = 200
    verdict = Verdict(k, CLASSES.labels[k], 0.9, np.array([0.9, 0.1]), Latency(1.0, 1.0, 1.0, 1.0))
    other = Exclusion.of(ExclusionKind.OTHER, NASTY)
    regions = RegionResult((8, 8, 40, 40), 0.0, verdict, None), RegionResult((42, 42, 60, 60), 0.0, None, other)
    frame = replace(frame, pixels=pixels, source=NASTY)
    return FrameResult(frame, regions, None, None, 2.0, 0.1, 0, RuntimeInfo(name="litert", version="2", threads=1), Health(), 1e9)


class Served:
    """A page with a session behind it that has no runner."""

    def __init__(self, *, is_local: bool = True, connections: int = MOST_CONNECTIONS) -> None:
        self.counts, self.control, self.health = SessionCounts(CLASSES), Control(), Health(temperature_c=50.0)
        self.live = Live(ABOUT, self.counts, on_new_slide=self.control.begin_slide)
        bound = socket.create_server(("127.0.0.1", 0))
        self.port = bound.getsockname()[1]
        app = application(self.live, self.control, lambda: self.health, port=self.port, token=TOKEN, is_local=is_local)
        self.server = PageServer(self.live, app, bound, connections)

    def take(self, event: Event) -> None:
        """Count an event and show it, as the pipeline does."""
        while (slide := self.control.next_slide()) is not None:
            self.take(Note("synthetic", f"new slide {slide}", "new slide", slide))
        self.counts.take(event)
        self.live.take(event)

    @property
    def own(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: object = None, **headers: str | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """As a browser that has the cookie; a header of None is not sent."""
        headers = {"Cookie": f"leukolite-{self.port}={TOKEN}", "Content_Type": "application/json"} | headers
        return self.ask_as(path, method, body, **{name: value for name, value in headers.items() if value is not None})

    def ask_as(
        self, path: str, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body)
            connection.request(method, path, content, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response, response.read()

    def view(self, has: str = "") -> dict:
        response, body = self.ask(f"/view?has={has}")
        assert response.status == 200, body
        return json.loads(body)

    def post(self, path: str, body: object = None, **headers: str) -> int:
        return self.ask(path, "POST", body, **{"Origin": f"http://{self.own}", **headers})[0].status


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(**how: object) -> Served:
        made.append(Served(**how))
        return made[-1]

    yield start
    for each in made:
        each.server.close()


@pytest.fixture(scope="module")
def untouched() -> Iterator[Served]:
    """One page for all that is refused."""
    served = Served()
    yield served
    assert not served.control.paused
    assert served.live.now.slide.number == 1
    served.server.close()


# what is answered


def test_the_picture_comes_with_its_verdicts_in_one_answer_and_only_once(serve):
    served = serve()
    assert served.view()["picture"] is None
    served.take(classified(7))
    time.sleep(page.PERIOD_S)
    first = served.view()
    assert first["picture"]["index"] == 7
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(first["jpeg"]))))
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels.astype(int) - [200, 0, 0]).max() < 10  # red has stayed red
    assert "jpeg" not in served.view(first["id"])
    served.take(classified(8))
    time.sleep(page.PERIOD_S)
    assert "jpeg" in served.view(first["id"])


def test_no_name_reaches_the_page_raw(serve):
    served, name = serve(), "caf\udce9\x1b]0;t\x07\n\u202egpj"
    frame = classified(7)
    served.take(replace(frame, frame=replace(frame.frame, source=name)))
    served.take(Gap(8, name, f"{name}: not available"))
    time.sleep(page.PERIOD_S)
    state = served.view()
    shown = r"caf\udce9\x1b]0;t\x07\n\u202egpj"
    assert state["picture"]["source"] == shown
    assert (state["lost"], state["messages"][0]["text"]) == (f"{shown}: not available", f"{shown}: {shown}: not available")


def test_a_page_of_an_earlier_session_gets_a_new_picture(serve):
    names = []
    for served in (serve(), serve()):
        served.take(classified(0))
        names.append(served.view()["id"])
    assert names[0] != names[1]


def test_a_large_frame_is_shown_smaller_and_a_small_one_as_it_is():
    def size(width: int, height: int) -> tuple[int, int]:
        return Image.open(io.BytesIO(picture_jpeg(np.zeros((height, width, 3), np.uint8)))).size

    assert size(2592, 1944) == (1024, 768)
    assert size(640, 480) == (640, 480)
    assert size(5000, 1) == (1024, 1)


def test_the_buttons_pause_start_and_begin_a_slide(serve):
    served = serve()
    served.take(classified(0))
    assert served.post("/pause") == 204
    assert served.control.paused
    assert served.view()["state"] == "paused"  # at once, though the state before is fresh
    assert served.post("/start") == 204
    assert not served.control.paused
    assert served.post("/slide", {"name": "S-17"}) == 204
    assert served.view()["slide"]["number"] == 2
    assert b"S-17" not in served.ask("/view")[1]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b'{"name": 5}', b"[" * 4000, b'{"name": "\\ud800"}', {"name": " "}, {"name": "x" * 300}]
)
def test_what_is_no_slide_is_refused(untouched, body):
    assert untouched.post("/slide", body) == 400
    assert untouched.live.now.slide.number == 1


# who may come


def test_every_answer_forbids_scripts_frames_and_copies(serve):
    served = serve()
    for path, status in (
        ("/", 200),
        ("/live.js", 200),
        ("/live.css", 200),
        ("/view", 200),
        ("/nowhere", 404),
        ("/../cli.py", 404),
    ):
        response, _ = served.ask(path)
        assert response.status == status, path
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:9999", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("127.0.0.2:8000", 200)]
    + [(name, 421) for name in ("evil.example", "localhost.evil.example", "192.168.1.5:8000", "", "[", "127.0.0.1.evil.example")],
)
def test_on_this_machine_alone_it_must_be_named_as_such(untouched, host, status):
    assert untouched.ask("/view", Host=host)[0].status == status


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1"])
def test_another_pages_post_changes_nothing(untouched, origin):
    assert untouched.post("/pause", Origin=origin) == 403
    assert not untouched.control.paused


def test_a_post_without_an_origin_changes_nothing(serve):
    served = serve()
    assert served.ask("/pause", "POST")[0].status == 403
    assert not served.control.paused


@pytest.mark.parametrize("is_local", [True, False])
def test_nobody_comes_without_the_token_on_this_machine_neither(serve, is_local):
    served = serve(is_local=is_local)
    name = f"leukolite-{served.port}"
    for path in ("/", "/view", "/live.js"):
        assert served.ask_as(path)[0].status == 401
        assert served.ask_as(path, Cookie=f"{name}=wrong")[0].status == 401
        assert served.ask_as(path, Authorization="Bearer ")[0].status == 401
        assert served.ask_as(path, Cookie=f"{name}={TOKEN}")[0].status == 200
        assert served.ask_as(path, Authorization=f"Bearer {TOKEN}")[0].status == 200
    assert served.ask_as("/?token=wrong")[0].status == 401
    assert served.ask_as(f"/view?token={TOKEN}")[0].status == 401  # an address that others may see is for the first page alone
    assert served.ask_as("/pause", "POST", Origin=f"http://{served.own}")[0].status == 401
    assert served.post("/pause", Origin="http://evil.example") == 403
    assert not served.control.paused
    assert served.ask_as("/pause", "POST", Authorization=f"Bearer {TOKEN}")[0].status == 204
    assert served.control.paused


def test_another_name_is_for_a_page_that_other_machines_may_open(serve):
    assert serve(is_local=False).ask("/view", Host="pi.local:8000")[0].status == 200
    assert serve().ask("/view", Host="pi.local:8000")[0].status == 421


def test_the_printed_address_gives_a_cookie_that_scripts_and_other_sites_do_not_get(serve):
    served = serve()
    response, _ = served.ask_as(f"/?token={TOKEN}")
    assert response.status == 200
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert served.ask_as("/view", Cookie=cookie.partition(";")[0])[0].status == 200


def test_a_slides_id_is_told_to_nobody_without_the_token_and_names_cannot_be_tried_out(serve):
    served = serve()
    _, refusal = served.ask_as("/slide", "POST", {"name": "S-17"}, Origin=f"http://{served.own}", Content_Type="application/json")
    assert served.live.now.slide.number == 1
    assert refusal == served.ask_as("/view")[1]  # says the same whatever was asked for
    answers = [served.ask("/slide", "POST", {"name": f"S-{k}"}, Origin=f"http://{served.own}")[0] for k in range(7)]
    assert [answer.status for answer in answers] == [204] * 5 + [429] * 2
    assert answers[-1].headers["Retry-After"] in ("1", "2")
    assert served.live.now.slide.number == 6


def test_five_slides_may_begin_at_once_and_then_one_in_two_seconds():
    now = [100.0]
    slides = Allowance(5, 2.0, lambda: now[0])
    assert [slides.wait_s() for _ in range(6)] == [0, 0, 0, 0, 0, 2.0]
    now[0] += 1.5
    assert slides.wait_s() == 0.5
    now[0] += 0.5
    assert [slides.wait_s(), slides.wait_s()] == [0, 2.0]
    now[0] += 3600
    assert [slides.wait_s() for _ in range(6)] == [0, 0, 0, 0, 0, 2.0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": None}, 415),
        ({"Content_Type": "application/json; charset=utf-8"}, 204),
        ({"Transfer_Encoding": "chunked"}, 411),
        ({"Content_Length": "4097"}, 413),
        ({"Content_Length": "99999999999999999999"}, 413),
    ],
)
def test_a_body_is_json_of_a_length_that_is_said_and_small(serve, headers, status):
    served = serve()
    content = b'd\r\n{"name": "a"}\r\n0\r\n\r\n' if "Transfer_Encoding" in headers else b'{"name": "a"}'
    answer, _ = served.ask("/slide", "POST", content, Origin=f"http://{served.own}", **headers)
    assert answer.status == status
    assert (answer.headers["Connection"] == "close") == (status != 204)


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//"])
def test_an_origin_that_is_no_address_is_another_page(untouched, origin):
    assert untouched.post("/pause", Origin=origin) == 403


# nobody slows the runner


def test_a_frame_is_taken_while_the_server_is_held_up(serve, monkeypatch):
    served, held, go_on = serve(), threading.Event(), threading.Event()

    def slow(pixels: np.ndarray) -> bytes:
        held.set()
        assert go_on.wait(30)
        return picture_jpeg(pixels)

    monkeypatch.setattr(page, "picture_jpeg", slow)
    served.take(classified(0))
    viewer = threading.Thread(target=served.view)
    viewer.start()
    assert held.wait(10)
    for i in range(1, 200):
        served.take(classified(i))
    assert served.live.now.slide.counts.frames == 200  # all while a picture was being made
    go_on.set()
    viewer.join(20)
    time.sleep(page.PERIOD_S)
    assert served.view()["picture"]["index"] == 199


def test_of_ten_viewers_one_that_never_reads_holds_up_neither_the_runner_nor_the_others(serve):
    served, seen = serve(), [0] * 9
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", served.port))
        deaf.setblocking(False)

        def watch(k: int) -> None:
            has = ""
            while seen[k] < 39:
                state = served.view(has)
                has = state["id"]
                seen[k] = state["picture"]["index"] if state["picture"] else 0
                time.sleep(0.02)

        noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)  # a JPEG too large for the socket's buffers
        viewers = [threading.Thread(target=watch, args=(k,), daemon=True) for k in range(9)]
        for viewer in viewers:
            viewer.start()
        for i in range(40):
            record = classified(i)
            served.take(replace(record, frame=replace(record.frame, pixels=noise)))
            with suppress(BlockingIOError):
                deaf.send(PageAddress(served.port, TOKEN).view)
            time.sleep(0.02)
        for viewer in viewers:
            viewer.join(30)
        assert seen == [39] * 9
        assert served.live.now.slide.counts.frames == 40
        began = time.monotonic()
        served.server.close()
        assert time.monotonic() - began < 3  # the deaf one is not waited for


def test_closing_ends_at_once_with_viewers_connected(serve):
    served = serve()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/view", headers=PageAddress(served.port, TOKEN).headers)
    connection.getresponse().read()
    began = time.monotonic()
    served.server.close()
    assert time.monotonic() - began < 3
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port), timeout=2)
    connection.close()


# the command's side


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("8000", ("127.0.0.1", 8000)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:0", ("::1", 0)),
        ("pi.local:8000", ("pi.local", 8000)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(given, address):
    assert AddressType().convert(given, None, None) == Address(*address)


@pytest.mark.parametrize("given", ["", "x", ":8000", "65536", "-1", "localhost", "localhost:", "٨٠٠٠"])
def test_what_is_no_address_is_a_wrong_call(refuses, given):
    line = refuses(edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", f"--serve={given}", code=2)
    assert "expected a port like 8000" in line


def test_a_port_in_use_is_told_before_the_bundle_is_opened(refuses):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refuses(edge_run, "--bundle", "no-such-bundle", "--camera", "synthetic", "--serve", port)
    assert f"127.0.0.1:{port}: cannot serve there (address already in use)" in line


def test_without_starlette_the_line_says_what_to_install(refuses, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    line = refuses(edge_run, "--bundle", "no-such-bundle", "--camera", "synthetic", "--serve", 0)
    assert "pip install 'leukolite[web]'" in line


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_address_that_is_printed_has_a_token_new_each_time(host):
    with listening(Address(host, 0)) as first, listening(Address(host, 0)) as second:
        assert first.token != second.token
        assert len(first.token) >= 43  # 32 bytes
        assert first.url.endswith(f":{first.port}/?token={first.token}")
        assert "0.0.0.0" not in first.url
        assert first.is_local == (host == "127.0.0.1")


def test_a_host_that_is_not_this_machine_is_one_line():
    with pytest.raises(LeukoliteError, match=r"^192\.0\.2\.1:8000: cannot serve there"), listening(Address("192.0.2.1", 8000)):
        pass


def test_the_command_shows_the_page_and_ends_at_once_when_asked():
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells"]
    command += ["--camera", "synthetic:20", "--serve", "0", "--quiet"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        killed_at_the_end(process),
    ):
        page = PageAddress.of(process.stderr.readline())
        frames: list[int] = []
        with closing(page.connect()) as viewer:  # stays connected
            while not frames or frames[-1] < 5:
                frames.append(page.look(viewer)["slide"]["frames"])
                time.sleep(0.1)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        assert time.monotonic() - began < 5
    assert process.returncode == 0
    assert errors.splitlines() == ["stopped by SIGTERM"]


@pytest.mark.parametrize("recorded", [True, False])
def test_the_slide_that_was_named_at_the_start_is_shown_by_its_number_and_never_by_its_id(tmp_path, monkeypatch, recorded):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells", "--quiet"]
    command += ["--camera", "synthetic:20", "--slide", "S-17", "--serve", "0"]
    command += ["--journal", str(tmp_path / "session")] if recorded else []
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
        killed_at_the_end(process),
    ):
        page = PageAddress.of(process.stderr.readline())
        with closing(page.connect()) as viewer:
            shown = [page.look(viewer)]
            assert page.post(viewer, "slide", {"name": "S-18"}) == 204
            shown.append(page.look(viewer))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    salt = (tmp_path / "config" / "leukolite" / "salt").read_bytes()
    slides = [state["slide"] for state in shown]
    assert [(slide["number"], slide["named"]) for slide in slides] == [(1, True), (2, True)]
    assert not any(slide_id(name, salt) in json.dumps(shown) for name in ("S-17", "S-18"))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "session").rglob("*") if path.is_file())
    assert all((slide_id(name, salt).encode() in kept) == recorded for name in ("S-17", "S-18"))


def test_pausing_and_going_on_are_in_the_journal_and_no_frame_is_between_them(tmp_path):
    folder = tmp_path / "session"
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells", "--quiet"]
    command += ["--camera", "synthetic:50", "--every-frame", "--journal", str(folder), "--serve", "0"]

    def recorded() -> list[str]:
        """What followed the start record: frames and what was done to the session."""
        records = [entry.record for entry in read(folder)]
        return [getattr(record, "event", record.kind) for record in records if record.kind in ("frame", "event")]

    def wait_for(last: str) -> None:
        deadline = time.monotonic() + 30
        while last not in recorded()[-1:]:
            assert time.monotonic() < deadline, recorded()
            time.sleep(0.05)

    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
        killed_at_the_end(process),
    ):
        page = PageAddress.of(process.stderr.readline())
        with closing(page.connect()) as viewer:
            for button, last in (("pause", "paused"), ("start", "frame"), ("pause", "paused")):
                assert page.post(viewer, button) == 204
                wait_for(last)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    shown = recorded()
    done = [event for event, _ in itertools.groupby(shown)]  # each run of frames once
    assert done[done[0] == "frame" :] == ["paused", "unpaused", "frame", "paused", "end"]
    summary = summarise(folder, read(folder))
    assert (summary.happened["paused"], summary.happened["unpaused"]) == (2, 1)
    assert verify(folder).ended


# in a browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[..., Chromium]]:
    if EXECUTABLE is None:
        pytest.skip("no chromium: `make test-all` installs it, or sudo apt install chromium")
    opened: list[Chromium] = []

    def start(**options: object) -> Chromium:
        opened.append(Chromium(tmp_path / f"profile{len(opened)}", **options))
        return opened[-1]

    yield start
    for each in opened:
        each.__exit__()


class Runner(threading.Thread):
    """Gives frames while the session is not paused."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self.served, self.ended, self.given = served, threading.Event(), 0

    def run(self) -> None:
        while not self.ended.wait(0.05):
            if not self.served.control.paused:
                self.served.take(classified(self.given, self.given % 3 % 2))
                self.given += 1


@pytest.mark.parametrize(("width", "height", "mobile"), [(390, 844, True), (1280, 900, False)])
def test_a_browser_shows_it_and_its_buttons_work(serve, browser, width, height, mobile):
    served = serve()
    runner = Runner(served)
    runner.start()
    chromium = browser(width=width, height=height, mobile=mobile)
    chromium.open(f"http://{served.own}/?token={TOKEN}")
    chromium.wait(lambda: chromium.text("#state") == "running", "running")
    first = chromium.wait(lambda: chromium.text("#counted tr:last-child td:last-child"), "a count")
    chromium.wait(lambda: chromium.text("#counted tr:last-child td:last-child") != first, "the counts change")
    assert chromium.evaluate("location.href") == f"http://{served.own}/"  # the token has left the address
    assert chromium.evaluate("document.querySelectorAll('#boxes .box').length") == 2
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert "%" in chromium.text("#share")

    # labels, sources and reasons are text, whatever they hold
    assert NASTY in chromium.text("#counted")
    assert chromium.text("#excluded").startswith("other reasons")
    assert chromium.evaluate("document.querySelector('#boxes .excluded').title") == f"excluded: other reasons ({NASTY})"
    assert NASTY in chromium.text("#caption")
    assert chromium.evaluate("document.querySelectorAll('main script, img[src=x]').length") == 0
    assert chromium.evaluate("document.title") == "tiny: live"

    chromium.click("#pause")
    chromium.wait(lambda: chromium.text("#state") == "paused" and chromium.text("#veil") == "paused", "paused")
    assert served.control.paused
    chromium.click("#pause")
    chromium.wait(lambda: chromium.text("#state") == "running", "running again")
    assert not served.control.paused

    chromium.click("#slide")
    chromium.wait(lambda: chromium.text("#ask") != "", "the question for a name")
    chromium.type("S-17/2026 Müller")
    chromium.click("#begin")
    chromium.wait(lambda: chromium.text("#slide-title") == "Slide 2 of this session", "the new slide")
    assert served.live.now.slide.counts.slide not in chromium.evaluate("document.documentElement.outerHTML")
    assert "Müller" not in chromium.evaluate("document.documentElement.outerHTML + document.querySelector('#name').value")
    assert chromium.complaints == []
    runner.ended.set()
    runner.join()


def test_a_browser_says_when_what_it_shows_is_old(serve, browser):
    served = serve()
    record = classified(0)
    served.take(replace(record, frame=replace(record.frame, captured_at=record.frame.captured_at - 9_000_000_000)))
    chromium = browser()
    chromium.open(f"http://{served.own}/?token={TOKEN}")
    chromium.wait(lambda: "no new frame for" in chromium.text("#veil"), "an old picture")
    served.server.close()
    chromium.wait(lambda: chromium.text("#state") == "no connection", "no connection")
    assert "What you see is old" in chromium.text("#alarm")
    assert chromium.evaluate("document.querySelector('#pause').disabled")
