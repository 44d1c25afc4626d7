"""Why a network camera gives no video: real servers of this machine, each with one thing wrong."""

import base64
import hashlib
import re
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from camera_items import first

from leukolite.address import without_password
from leukolite.edge.camera.diagnosis import why_no_video
from leukolite.edge.camera.open import open_camera
from leukolite.edge.camera.stream import StreamCamera
from leukolite.errors import SourceError

USER, PASSWORD = "doctor", "s3cret"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def running() -> Iterator[Callable[[socketserver.BaseServer], int]]:
    servers = []

    def start(server: socketserver.BaseServer) -> int:
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


REDIRECTS = {
    "loop": "/loop",
    "to-and-fro": "/to-and-fro-2",
    "to-and-fro-2": "/to-and-fro",
    "to-rtsp": f"rtsp://{USER}:{PASSWORD}@cam/live",
    "to-nowhere": "",
    "to-a-closed-port": "http://127.0.0.1:1/live",
    "to-the-page": "/page",
}
CHALLENGES = {
    "digest": 'Digest realm="camera", nonce="abc", qop="auth"',
    "sha": 'Digest realm="camera", nonce="abc", algorithm=SHA-256',
    "bearer": 'Bearer realm="camera"',
}


class Camera(BaseHTTPRequestHandler):
    """Answers /401 with that, and so on; /basic wants the user, /page is a web page."""

    def do_GET(self) -> None:
        what = self.path.strip("/").partition("?")[0]
        status, kind, body = 200, "text/html", b"<!DOCTYPE html><html>live view</html>"
        if what.isdecimal():
            status = int(what)
        elif what == "basic":
            status = 200 if self.headers.get("Authorization") == BASIC else 401
        elif what == "still":
            kind, body = "image/jpeg", b"\xff\xd8\xff"
        elif what == "json":
            kind, body = "application/json", b"{}"
        elif what == "text":
            kind, body = "text/plain", b"camera 7"
        elif what == "mislabelled":
            kind, body = "text/plain", b"\xef\xbb\xbf<!-- the camera's page -->\n<HTML>"
        elif what == "empty":
            kind, body = "multipart/x-mixed-replace; boundary=x", b""
        elif what in REDIRECTS:
            status = 302
        elif what in CHALLENGES or (what == "closes-on-a-password" and "Authorization" not in self.headers):
            status = 401
        elif what == "closes-on-a-password" or what == "closes":
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status == 401:
            self.send_header("WWW-Authenticate", CHALLENGES.get(what, 'Basic realm="camera"'))
        if status == 429:
            self.send_header("Retry-After", "7")
        if location := REDIRECTS.get(what):
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class RtspCamera(socketserver.StreamRequestHandler):
    """Wants a digest at /digest, has nothing at /404, and no video at /audio."""

    def handle(self) -> None:
        while head := self._head():
            url, number = re.findall(r"DESCRIBE (\S+) |CSeq: (\d+)", head)[0][0], re.search(r"CSeq: (\d+)", head)[1]
            path, status, more, body = url.rpartition("/")[2], "200 OK", "", "m=video 0 RTP/AVP 96\r\n"
            if path == "digest" and not self._is_allowed(head, url):
                status, more = "401 Unauthorized", 'WWW-Authenticate: Digest realm="cam", nonce="abc"\r\n'
            elif path == "basic" and BASIC not in head:
                status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"\r\n'
            elif path == "404":
                status = "404 Stream Not Found"
            body = "m=audio 0 RTP/AVP 8\r\n" if path == "audio" else body
            self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def _head(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode()).strip():
            lines.append(line)
        return "".join(lines)

    def _is_allowed(self, head: str, url: str) -> bool:
        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        return md5(f"{md5(f'{USER}:cam:{PASSWORD}')}:abc:{md5(f'DESCRIBE:{url}')}") in head


@pytest.fixture
def http(running: Callable[[socketserver.BaseServer], int]) -> int:
    return running(ThreadingHTTPServer(("127.0.0.1", 0), Camera))


@pytest.fixture
def rtsp(running: Callable[[socketserver.BaseServer], int]) -> int:
    return running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), RtspCamera))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("401", "401 Unauthorized: the address needs a user and password (http://USER:PASSWORD@127.0.0.1/...)"),
        ("basic", "401 Unauthorized: the address needs a user and password"),
        ("digest", "401 Unauthorized: the address needs a user and password"),
        ("403", "403 Forbidden: this user may not see it"),
        ("404", "404 Not Found: the server runs, but has nothing at this path"),
        ("418", "418 I'm a Teapot: the server refuses this; look up"),
        ("429", "429 Too Many Requests: the camera was asked too often; wait a minute, then try again (it says: 7 s)"),
        ("502", "502 Bad Gateway: a server in between does not reach the camera"),
        ("text", "text (text/plain), not a video; give the address of the stream itself"),
        ("mislabelled", "a web page, not a video"),
        ("empty", "the server answers with multipart/x-mixed-replace, and sends nothing"),
        ("to-and-fro", "302: the server sends on from one address to the next without end (a redirect loop)"),
        ("to-rtsp", "302: the server sends on to rtsp://cam/live; give that address"),
        ("to-nowhere", "302: the server sends on to another address, and does not say which"),
        ("to-a-closed-port", "the server sends on to http://127.0.0.1:1/live: connection refused: nothing answers at port 1"),
        ("to-the-page", "a web page"),
        ("500", "500 Internal Server Error: the camera fails; start it again"),
        ("503", "503 Service Unavailable: the camera is busy"),
        ("page", "a web page, not a video; give the address of the stream itself"),
        ("still", "a single picture (image/jpeg), not a video"),
        ("json", "text (application/json), not a video"),
        ("loop", "302: the server sends on from one address to the next without end (a redirect loop)"),
    ],
)
def test_what_an_http_server_answers_is_said(http, path, said):
    assert why_no_video(f"http://127.0.0.1:{http}/{path}").startswith(said)


def test_a_user_that_http_refuses_is_told_from_one_that_is_missing(http):
    wrong = why_no_video(f"http://doctor:wrong@127.0.0.1:{http}/basic")
    assert wrong.startswith("401 Unauthorized: the camera refuses this user or password")
    assert why_no_video(f"http://{USER}:{PASSWORD}@127.0.0.1:{http}/basic").startswith("a web page")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("digest", "401 Unauthorized: the camera refuses this user or password"),
        ("closes-on-a-password", "401 Unauthorized: the camera refuses this user or password"),
        ("sha", "the server asks for a login that is not known here (Unsupported digest authentication algorithm 'SHA-256')"),
        ("bearer", "401: the camera asks for a login that is not known here (Bearer); choose Basic or Digest (MD5)"),
        ("403", "403 Forbidden: this user may not see it"),
    ],
)
def test_a_wrong_password_is_never_taken_for_a_server_that_is_off(http, path, said):
    assert why_no_video(f"http://doctor:wrong@127.0.0.1:{http}/{path}").startswith(said)


def test_a_certificate_of_the_cameras_own_is_no_hindrance(running, tmp_path):
    make = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cam")
    subprocess.run([*make, "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    port = running(server)
    assert why_no_video(f"https://127.0.0.1:{port}/404").startswith("404 Not Found")
    assert why_no_video(f"https://doctor:wrong@127.0.0.1:{port}/basic").startswith("401 Unauthorized: the camera refuses")


def test_a_server_that_hangs_up_is_not_said_to_be_off(http):
    said = why_no_video(f"http://127.0.0.1:{http}/closes")
    assert said.startswith(f"port {http} of 127.0.0.1 ends the connection without an answer; is the address rtsp:// or https://?")


@pytest.mark.parametrize(
    ("user", "path", "said"),
    [
        ("", "digest", "401 Unauthorized: the address needs a user and password (rtsp://USER:PASSWORD@127.0.0.1/...)"),
        ("doctor:wrong@", "digest", "401 Unauthorized: the camera refuses this user or password"),
        (f"{USER}:{PASSWORD}@", "digest", "the camera answers, but its video cannot be decoded"),
        ("doctor:wrong@", "basic", "401 Unauthorized: the camera refuses this user or password"),
        (f"{USER}:{PASSWORD}@", "basic", "the camera answers, but its video cannot be decoded"),
        ("", "404", "404 Stream Not Found: the server runs, but has nothing at this path"),
        ("", "audio", "the camera answers, but offers no video at this path"),
    ],
)
def test_what_an_rtsp_server_answers_is_said(rtsp, user, path, said):
    assert why_no_video(f"rtsp://{user}127.0.0.1:{rtsp}/{path}").startswith(said)


def test_the_other_protocol_is_named(http, rtsp):
    assert "speaks HTTP; is the address http://?" in why_no_video(f"rtsp://127.0.0.1:{http}/live")
    assert "is the address rtsp:// or https://?" in why_no_video(f"http://127.0.0.1:{rtsp}/live")
    assert "is the address http://?" in why_no_video(f"https://127.0.0.1:{http}/live")
    assert "is the address rtsp://?" in why_no_video(f"rtsps://127.0.0.1:{rtsp}/live")


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_port_at_which_nothing_answers_and_an_unknown_host_are_told_apart(scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert why_no_video(f"{scheme}://127.0.0.1:{port}/x").startswith(f"connection refused: nothing answers at port {port}")
    assert "is not known" in why_no_video(f"{scheme}://no-such-camera.invalid/x")
    assert "is not known" in why_no_video(f"{scheme}://{'a' * 70}.invalid/x")


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_says_nothing_is_not_waited_for(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = why_no_video(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x", timeout_s=0.2)
        port = silent.getsockname()[1]
    assert said.startswith(f"port {port} of 127.0.0.1 takes the connection, and says nothing for 0.2 s; is the port right?")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rtsp://admin:p#ss@cam/live", "in a user or password write # as %23"),
        ("rtsp://admin:pa/ss@cam/live", "in a user or password write # as %23"),
        ("rtsp://admin:12/3@cam/live", "in a user or password write # as %23"),
        ("http://cam:80a/x", "expected a port number, 1 to 65535"),
        ("http://cam:99999/x", "expected a port number, 1 to 65535"),
        ("http:///x", "names no host"),
    ],
)
def test_an_address_that_is_not_well_formed_is_said_to_be_so(url, said):
    assert said in why_no_video(url)


@pytest.mark.parametrize(
    "url", ["rtsp://admin:s3cret#x@cam/live", "rtsp://admin:s3cret/x@cam/live", "rtsp://admin:s3cret?x@cam/live"]
)
def test_a_badly_written_password_is_not_shown_either(url):
    assert without_password(url) == "rtsp://cam/live"
    assert "s3cret" not in why_no_video(url)


def test_the_camera_says_why_it_cannot_be_opened_without_its_password(http, capfd):
    camera = StreamCamera(f"http://{USER}:oh-no@127.0.0.1:{http}/basic")
    with pytest.raises(SourceError, match="no video there: 401 Unauthorized: the camera refuses") as caught:
        first(camera, 1)
    assert "oh-no" not in str(caught.value)
    assert USER not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("address", ["http://[::1/x", "rtsp://admin:s3cret@[cam/live"])
def test_an_address_of_which_no_part_can_be_told_is_refused_without_being_shown(address):
    with pytest.raises(SourceError, match=r"the address is not well formed .*; expected one like \w+://HOST/PATH") as caught:
        open_camera(address, "cell", ("a", "b"), seed=0)
    assert "s3cret" not in str(caught.value)
