"""Fakes of the edge's seams: a runtime that classifies by colour, listed sources, a sink that remembers, a stream server."""

import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from leukolite.classes import Classes
from leukolite.classifier import Classifier
from leukolite.edge.camera.source import Frame, Gap, Items, Note
from leukolite.edge.events import Event, FrameResult, SessionEnd
from leukolite.edge.host.health import Health
from leukolite.manifest import TensorFormat
from leukolite.preprocess import InputSpec
from leukolite.runtime import RuntimeInfo, Tensor

LABELS = ("red", "blue")
CLASSES = Classes.of(LABELS)
Item = Frame | Gap | Note | BaseException | Callable[[], object]


class Colour:
    """A runtime that says how red the picture is; it hangs on the calls given, until `let_go` is set."""

    info = RuntimeInfo(name="colour", version="1", threads=1)
    input = Tensor((1, 8, 8, 3), TensorFormat(dtype="uint8", scale=1 / 255))
    output = Tensor((1, 2), TensorFormat(dtype="float32"))

    def __init__(self, hangs_at: Iterable[int] = ()) -> None:
        self.calls, self.let_go, self._hangs_at = 0, threading.Event(), set(hangs_at)

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls - 1 in self._hangs_at:
            self.let_go.wait(30)
        red, _, blue = batch[0].reshape(-1, 3).mean(axis=0) + 1
        return np.array([red, blue], np.float32) / np.float32(red + blue)


class Listed:
    """A source of the given items, one list for each time it is opened; an exception among them is raised in its turn, a
    function called."""

    name, truths = "listed", ("Red", "mauve")

    def __init__(self, *openings: Iterable[Item], live: bool = False) -> None:
        self._openings, self.live, self.opened, self.closed, self.overlaps = list(openings), live, 0, 0, 0

    def frames(self) -> Items:
        items = self._openings[min(self.opened, len(self._openings) - 1)]
        self.overlaps += self.opened > self.closed  # a device can be open once
        self.opened += 1
        try:
            for item in items:
                if isinstance(item, BaseException):
                    raise item
                if callable(item):
                    item()
                else:
                    yield item
        finally:
            self.closed += 1


class Remembers:
    """A sink."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closed = 0

    def take(self, event: Event) -> None:
        assert not self.closed
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1

    @property
    def records(self) -> list[FrameResult]:
        return [event for event in self.events if isinstance(event, FrameResult)]

    @property
    def gaps(self) -> list[Gap]:
        return [event for event in self.events if isinstance(event, Gap)]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def endings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, SessionEnd)]

    @property
    def health(self) -> list[Health]:
        return [event for event in self.events if isinstance(event, Health)]


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
