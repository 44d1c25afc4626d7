"""A camera's login from a file: it opens the camera, and stands nowhere else."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.camera.login import address_with_login
from leukolite.edge.camera.open import open_camera, open_source
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.cli import main as edge_run
from leukolite.edge.journal.format import file_name, seal
from leukolite.edge.journal.records import SourceSettings
from leukolite.edge.settings import first_record
from leukolite.errors import LeukoliteError, SourceError
from leukolite.synthetic import render_cell

USER, PASSWORD = "dr joe", "s3cr@t/?#%:&ü"
SECRETS = ("s3cr", "dr joe", "dr%20joe", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()[:12])
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("picture") / "cell.jpg"
    Image.fromarray(render_cell(np.random.default_rng(1), "blast", size=128)).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def port(picture) -> Iterator[int]:
    """An MJPEG camera that wants a login, at /live before the host and at /video within the address."""

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_in_query = self.path == "/video?user=joe&pwd=s3cret"
            if not (is_in_query or (self.path == "/live" and self.headers.get("Authorization") == BASIC)):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="cam"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def login(tmp_path) -> Callable[..., Path]:
    def write(text: str | bytes = f"{USER}:{PASSWORD}\n", mode: int = 0o600) -> Path:
        path = tmp_path / "login"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


def session(camera: str, *options: object) -> tuple[object, ...]:
    return ("--bundle", "synthetic-cells", "--camera", camera, "--cells", "one", "--frames", 1, *options)


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_session_with_a_login_goes_on_with_the_login_given_again(call, refuses, port, login, tmp_path):
    file, camera = login(), f"http://127.0.0.1:{port}/live"
    out = tmp_path / "out"
    outputs = ("--journal", out / "s", "--out", out / "o", "--json", out / "v.json")
    first = call(edge_run, *session(camera, "--camera-login", file, *outputs))
    assert first.exit_code == 0, first.output
    assert first_record(out / "s").source.camera == f"http://***@127.0.0.1:{port}/live"
    line = refuses(edge_run, "--resume", out / "s", "--frames", 1)
    assert line == (
        f"Error: http://***@127.0.0.1:{port}/live: what *** stands for is needed, for it is never recorded; give it to"
        " edge-run with --camera-login FILE"
    )
    again = call(edge_run, "--resume", out / "s", "--frames", 1, "--camera-login", file)
    assert again.exit_code == 0, again.output
    recorded = call(edge_run, *session(camera, "--camera-login", file, "--record", out / "s"))
    assert recorded.exit_code == 0, recorded.output
    call(leukolite, "journal", "summary", out / "s", "--out", out / "sum")
    call(leukolite, "journal", "export", out / "s", "--csv", out / "s.csv", "--json", out / "s.json")
    said = first.output + line + again.output + recorded.output
    for secret in SECRETS:
        assert secret not in said
        assert secret.encode() not in everything_below(out)


def test_a_login_in_the_query_comes_with_the_whole_address(call, refuses, port, login, tmp_path):
    whole = f"http://127.0.0.1:{port}/video?user=joe&pwd=s3cret"
    assert call(edge_run, *session(whole, "--journal", tmp_path / "s")).exit_code == 0
    assert first_record(tmp_path / "s").source.camera == f"http://127.0.0.1:{port}/video?user=***&pwd=***"
    resume = ("--resume", tmp_path / "s", "--frames", 1, "--camera-login")
    assert "write the whole address into the file" in refuses(edge_run, *resume, login("joe:s3cret"))
    other = refuses(edge_run, *resume, login(whole.replace("/video", "/sub")))
    assert other.endswith(
        f"it holds the address of another camera, http://127.0.0.1:{port}/sub, not http://127.0.0.1:{port}/video"
    )
    assert call(edge_run, *resume, login(whole)).exit_code == 0
    bare = session(f"http://127.0.0.1:{port}/video", "--camera-login", login(whole), "--record", tmp_path / "s")
    assert call(edge_run, *bare).exit_code == 0
    assert b"s3cret" not in everything_below(tmp_path / "s")


def test_a_wrong_login_is_named_without_being_shown(refuses, port, login):
    line = refuses(edge_run, *session(f"http://127.0.0.1:{port}/live", "--camera-login", login("joe:not-s3cret")))
    assert "401 Unauthorized: the camera refuses this user or password" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("joe:s3cret", 0o644, "other users may read it (mode 644); chmod 600"),
        ("joe:s3cret", 0o640, "other users may read it (mode 640); chmod 600"),
        ("s3cret", 0o600, "expected one line USER:PASSWORD, or the camera's whole address"),
        (":s3cret", 0o600, "expected one line USER:PASSWORD"),
        ("", 0o600, "the first line is empty; expected a camera's login"),
        ("\njoe:s3cret", 0o600, "the first line is empty"),
        ("joe:s3cret" * 1000, 0o600, "the first line is longer than 4,096 bytes"),
        (b"joe:s3cret\xff", 0o600, "expected a camera's login in one line of UTF-8 text"),
        ("joe:s3cret".encode("utf-16"), 0o600, "expected a camera's login in one line of UTF-8 text"),
        ("http://***@cam/x", 0o600, "found one of which a part is left out"),
        ("http://joe:s3cret@other/x", 0o600, "it holds the address of another camera, http://other/x, not http://cam/x"),
    ],
)
def test_a_file_that_holds_no_login_is_refused_without_naming_what_it_holds(login, content, mode, said):
    with pytest.raises(LeukoliteError) as caught:
        address_with_login("http://cam/x", login(content, mode))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("joe:a@b/c?d#e%f:g\r\nmore", "rtsp://joe:a%40b%2Fc%3Fd%23e%25f%3Ag@cam:554/x?channel=1"),
        ("\ufeffjoe:", "rtsp://joe:@cam:554/x?channel=1"),
        ("joe: a ", "rtsp://joe:%20a%20@cam:554/x?channel=1"),
        ("rtsp://joe:b@cam:554/x?channel=1", "rtsp://joe:b@cam:554/x?channel=1"),
    ],
)
def test_a_login_is_put_into_the_address(login, line, address):
    for given in ("rtsp://cam:554/x?channel=1", "rtsp://***@cam:554/x?channel=1", "rtsp://old:login@cam:554/x?channel=1"):
        assert address_with_login(given, login(line)) == address


def test_a_file_of_systemds_may_be_readable_by_its_group(login, monkeypatch):
    """A credential is root's, and this user reads it by an access list, whose mask stands where the group's bits do."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert address_with_login("http://cam/x", login("joe:b", 0o440)) == "http://joe:b@cam/x"


@pytest.mark.parametrize(
    "options", [("--camera", "synthetic"), ("--camera", "v4l2:/dev/video0"), ("--source", "x.png"), ("--camera", "https:/cam")]
)
def test_a_login_goes_with_an_address_alone(refuses, login, options):
    line = refuses(edge_run, "--bundle", "synthetic-cells", *options, "--camera-login", login(), code=2)
    assert "--camera-login goes with a network camera" in line


def test_the_login_is_neither_in_the_processs_title_nor_in_what_it_says(port, tmp_path):
    """A real process, whose command line every user may read, with the login on stdin."""
    code = "from leukolite.edge.cli import main; main()"
    arguments = map(str, session(f"http://127.0.0.1:{port}/live", "--camera-login", "-", "--journal", tmp_path / "s"))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=f"{USER}:{PASSWORD}\n".encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"s3cr" not in done.stdout + done.stderr + everything_below(tmp_path / "s")


def test_a_recorded_address_without_its_login_is_never_opened():
    for address in ("rtsp://***@cam/x", "http://cam/x?pwd=***"):
        with pytest.raises(SourceError, match=r"what \*\*\* stands for is needed"):
            StreamCamera(address)


@pytest.mark.parametrize(
    "name",
    [
        "rstp://joe:s3cret@cam/x",
        "RTSP://joe:s3cret@cam/x",
        "rtsp:/joe:s3cret@cam/x",
        "joe:s3cret@cam/x",
        "rtsp://joe:s3cret@cam/" + "x" * 5000,
        "rtsp://joe:s3cret@[cam",
        "rtsp://joe:s3cret@cam/\udce9",
        "ftp://joe:s3cret@cam/x",
    ],
)
def test_an_address_that_is_no_cameras_is_refused_without_its_login(name):
    with pytest.raises(SourceError) as caught:
        open_camera(name, "cell", ("a", "b"), seed=0)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("address", ["rtsp://joe:s3cret@cam/x", "http://cam/x?token=s3cret", "rtsp://joe:my s3cret@cam/x"])
def test_an_address_given_as_a_source_is_refused_without_its_login(refuses, address):
    with pytest.raises(SourceError) as caught:
        open_source(Path(address))
    assert "s3cret" not in str(caught.value)
    line = refuses(edge_run, "--bundle", "synthetic-cells", "--source", address)
    assert "s3cret" not in line
    assert "give the address of a camera with --camera" in line


@pytest.mark.parametrize(
    ("call_of", "code"),
    [
        (("info",), 1),
        (("journal", "verify"), 1),
        (("data",), 1),
        (("info", "synthetic-cells"), 2),
        (("evaluate", "x", "--noise"), 2),
    ],
)
def test_no_command_shows_the_login_of_an_address_that_it_cannot_take(refuses, call_of, code):
    assert "s3cret" not in refuses(leukolite, *call_of, "rtsp://joe:s3cret@cam/x?token=s3cret", code=code)


def test_an_exception_of_opencvs_is_an_error_that_hides_the_login(monkeypatch):
    def fail(url: str, *_: object) -> None:
        raise ValueError(f"cannot open {url}")

    monkeypatch.setattr("leukolite.edge.camera.stream.cv2.VideoCapture", fail)
    with pytest.raises(SourceError) as caught:
        next(StreamCamera("http://joe:s3cret@cam/x?token=geheim").frames())
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "geheim" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_journal_of_before_gives_no_password_away_and_goes_on(tmp_path, call, port, login):
    """Its first record holds the query with all that stood in it, and no mark that there was a user."""
    whole = f"http://127.0.0.1:{port}/video?user=joe&pwd=s3cret"
    assert call(edge_run, *session(whole, "--journal", tmp_path / "s", "--frames", 1)).exit_code == 0
    start = first_record(tmp_path / "s")
    before = start.model_copy(update={"source": SourceSettings.model_construct(camera=whole, path=None, seed=0)})
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / file_name(0)).write_bytes(seal(before, 0, "0" * 64, 1.7e9, 0.0)[0])
    assert first_record(folder).source == start.source
    result = call(edge_run, *session(whole, "--record", folder))
    assert result.exit_code == 0, result.output
    call(leukolite, "journal", "export", folder, "--json", tmp_path / "e.json")
    assert "s3cret" not in (tmp_path / "e.json").read_text()
    assert json.loads((tmp_path / "e.json").read_text())["records"][0]["record"]["source"]["camera"].endswith("?user=***&pwd=***")
