"""Fakes of the edge's seams: a runtime that classifies by colour, listed sources, a sink that remembers, a stream server."""

import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from leukolite.classes import Classes
from leukolite.classifier import Classifier
from leukolite.edge.camera.scripted import Scripted as Item
from leukolite.edge.camera.scripted import ScriptedCamera
from leukolite.edge.camera.source import Frame, Note
from leukolite.edge.events import FrameResult, SessionEnd
from leukolite.edge.list_sink import ListSink
from leukolite.fakes import FakeRuntime
from leukolite.preprocess import InputSpec

LABELS = ("red", "blue")
CLASSES = Classes.of(LABELS)


class Colour(FakeRuntime):
    """A runtime that says how red the picture is; it hangs on the calls given, until `let_go` is set."""

    def __init__(self, hangs_at: Iterable[int] = ()) -> None:
        super().__init__(how_red, name="colour", hangs_at=hangs_at)


def how_red(batch: np.ndarray) -> np.ndarray:
    """The shares of red and of blue."""
    red, _, blue = batch[0].reshape(-1, 3).mean(axis=0) + 1
    return np.array([red, blue], np.float32) / np.float32(red + blue)


class Listed(ScriptedCamera):
    """A camera named 'listed' that knows a label of the colour classifier, and one of another's."""

    def __init__(self, *openings: Iterable[Item], live: bool = False) -> None:
        super().__init__(*openings, name="listed", truths=("Red", "mauve"), live=live)


class Remembers(ListSink):
    """The events by kind, as tests compare them."""

    @property
    def records(self) -> list[FrameResult]:
        return self.results

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def endings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, SessionEnd)]


def a_frame(index: int, truth: str | None = None, *, captured_at: int = 0) -> Frame:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 200
    return Frame(pixels, index, captured_at, 1.5, f"{index}.png", truth)


def colour_classifier(runtime: object = None) -> Classifier:
    return Classifier(runtime or Colour(), CLASSES, InputSpec(height=8, width=8))


class StreamServer(ThreadingHTTPServer):
    """Serves the parts of a multipart MJPEG stream to each who asks, then ends."""

    daemon_threads = True

    def __init__(self, parts: list[bytes], pause_s: float, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.parts, self.pause_s, self.asked = parts, pause_s, 0
        self.url = f"http://127.0.0.1:{self.server_port}/stream?action=stream"


class _Handler(BaseHTTPRequestHandler):
    server: StreamServer

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for part in self.server.parts:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n".encode()
            try:
                self.wfile.write(head + part + b"\r\n")
            except OSError:  # the viewer has left
                return
            time.sleep(self.server.pause_s)

    def log_message(self, *_: object) -> None:
        pass
