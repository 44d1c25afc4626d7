"""What drivers and decoders raise or give, whatever it is, ends no session and takes no more memory than a service has."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_items import everything, items_of, jpeg, picture, video
from environments import peak_memory
from fake_v4l2 import FakeVideo

from leukolite.edge.camera import folder
from leukolite.edge.camera.boundary import FFMPEG_BYTES, checked_items
from leukolite.edge.camera.opencv_video import OpenCvVideo
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError

ERRORS = (ValueError("odd"), cv2.error("bad flag"), MemoryError(), OSError(5, "Input/output error"), AttributeError("gone"))


@pytest.mark.parametrize("call", ["grab", "retrieve", "get", "set", "isOpened"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_of_any_call_to_a_driver_is_a_lost_camera_with_its_reason(v4l2, monkeypatch, call, error):
    def fails(*arguments: object) -> object:
        raise error

    monkeypatch.setattr(FakeVideo, call, fails)
    with pytest.raises(SourceError, match=rf"v4l2:.*the driver fails \({type(error).__name__}"):
        list(checked_items(V4l2Camera(v4l2)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e30], ids=str)
def test_a_property_that_is_no_number_ends_nothing(v4l2, monkeypatch, value):
    real = FakeVideo.get
    monkeypatch.setattr(FakeVideo, "get", lambda self, which: real(self, which) if which == cv2.CAP_PROP_FRAME_WIDTH else value)
    items, lost = everything(V4l2Camera(v4l2))
    assert isinstance(items[0], Note)
    assert "still plugged in" in lost
    assert {item.timed_by for item in items if isinstance(item, Frame)} <= {"arrival"}


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.uint16), np.zeros((0, 0, 3), np.uint8)],
    ids=["grey", "four channels", "16 bits", "empty"],
)
def test_a_picture_of_another_kind_is_a_gap(v4l2, monkeypatch, picture):
    monkeypatch.setattr(FakeVideo, "fourcc", b"YUYV")
    monkeypatch.setattr(FakeVideo, "retrieve", lambda self: (True, picture))
    assert {type(item) for item in until_lost(V4l2Camera(v4l2))} == {Note, Gap}


def until_lost(source: V4l2Camera) -> list[object]:
    found: list[object] = []
    try:
        for item in checked_items(source):
            found.append(item)
    except SourceError:
        pass
    return found


def test_postscript_from_a_camera_is_a_gap_and_starts_no_program(serve, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)  # as Pillow starts Ghostscript
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) show\n{} loop\n%%EOF\n"
    from leukolite.edge.camera.stream import StreamCamera

    items, _ = everything(StreamCamera(serve([jpeg(0), postscript, jpeg(1)]).url))
    assert Gap in [type(item) for item in items]
    assert [item.reason for item in items if isinstance(item, Gap)] == ["damaged or truncated (not a JPEG)"]


class _Endless(BaseHTTPRequestHandler):
    """Says that a picture of 1.9 GB comes, and sends what is taken of it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        length, block = 1_900_000_000, b"\xff\xd8" + bytes(1 << 20)
        try:
            self.wfile.write(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % length)
            for _ in range(length >> 20):
                self.wfile.write(block)
        except OSError:
            return

    def log_message(self, *arguments: object) -> None:
        return


def test_a_stream_whose_picture_claims_gigabytes_takes_no_more_memory_than_a_bound():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code = (
        "from leukolite.edge.camera.boundary import checked_items; from leukolite.edge.camera.stream import StreamCamera\n"
        "from leukolite.errors import SourceError\n"
        f"items = checked_items(StreamCamera('http://127.0.0.1:{server.server_port}/'))\n"
        "try:\n    assert not any(hasattr(item, 'pixels') for item in items)\n"
        "except SourceError as error:\n    print('lost')\n"
    )
    said, peak = peak_memory(code)
    server.shutdown()
    server.server_close()
    assert said == "lost\n"
    assert peak < 150 * 2**20 + FFMPEG_BYTES


def test_an_exception_of_a_pictures_decoder_is_a_gap_and_the_other_pictures_come(tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        picture(tmp_path / name)
    real = folder.read_rgb

    def read(path: Path) -> np.ndarray:
        if path.name == "b.png":
            raise SystemError("error return without exception set")
        return real(path)

    monkeypatch.setattr(folder, "read_rgb", read)
    items = [item for item in checked_items(folder.ImageFolder(tmp_path)) if not isinstance(item, Note)]
    assert [type(item) for item in items] == [Frame, Gap, Frame]
    assert items[1].reason == "the decoder fails (SystemError: error return without exception set)"


# videos


def test_a_video_larger_than_4k_is_refused_before_it_is_decoded(tmp_path, with_pyav, monkeypatch):
    monkeypatch.setattr("leukolite.edge.camera.decoder_memory.MOST_PIXELS", 32 * 24 - 1)
    with pytest.raises(SourceError, match=r"frames of 32x24 are larger than 4K \(4096x2304\)"):
        VideoFile(video(tmp_path / "red.avi"))


def test_an_exception_of_a_videos_decoder_is_a_gap_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    path = video(tmp_path / "red.avi")
    real = OpenCvVideo.pictures

    def breaks(self: OpenCvVideo) -> object:
        pictures = real(self)
        yield next(pictures)
        raise RuntimeError("stack overflow\nin the decoder")

    monkeypatch.setattr(OpenCvVideo, "pictures", breaks)
    items, _ = items_of(path)
    assert [type(item) for item in items][:2] == [Frame, Gap]
    assert items[1].reason == "the decoder fails (RuntimeError: stack overflow in the decoder); nothing behind is read"


def test_an_exception_when_a_video_is_opened_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)

    def fails(*arguments: object) -> object:
        raise cv2.error("no backend")

    monkeypatch.setattr(OpenCvVideo, "__init__", fails)
    with pytest.raises(SourceError, match=r"the decoder fails \(error: .*no backend\); is the video whole\?"):
        VideoFile(video(tmp_path / "red.avi"))
