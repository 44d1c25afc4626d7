"""A source by the name that a user gives it. A new kind of camera is a file of its own and an entry here."""

import re
from collections.abc import Sequence
from pathlib import Path

from leukolite.edge.camera.files import ImageFolder, VideoFile, is_video
from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.source import FrameSource, Size
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import SourceError
from leukolite.manifest import Unit

CAMERAS = ("synthetic[:FPS]", "picamera2[:N]", "v4l2:/dev/videoN", "an rtsp:// or http:// address")
STREAMS = ("rtsp", "rtsps", "http", "https")


def open_camera(name: str, unit: Unit, labels: Sequence[str], *, seed: int, size: Size | None = None) -> FrameSource:
    """A camera by name, for a model's unit and labels; hardware is opened by its `frames`.

    Args:
        size: of the pictures; None takes the camera's own.

    Raises:
        SourceError: there is none of that name, or it has no size to choose.
    """
    kind, _, rest = name.partition(":")
    if size is not None and kind not in ("picamera2", "v4l2"):
        raise SourceError(kind, "this camera has a size of its own", advice="camera-size-kinds")
    if kind == "synthetic" and (not rest or _is_rate(rest)):
        return SyntheticCamera(unit, labels, seed, float(rest) if rest else None)
    if kind == "picamera2" and (not rest or rest.isdecimal()):
        return PiCamera(int(rest or 0), size) if size is not None else PiCamera(int(rest or 0))
    if kind == "v4l2" and rest.startswith("/"):
        return V4l2Camera(rest, size)
    if kind in STREAMS and rest.startswith("//"):
        return StreamCamera(name)
    raise SourceError("", f"no camera named {name!r}; there is {', '.join(CAMERAS)}")


def _is_rate(text: str) -> bool:
    return re.fullmatch(r"\d{1,4}(\.\d+)?", text) is not None and float(text) > 0


def open_source(path: Path) -> FrameSource:
    """A folder, an image or a video as a source. Raises: SourceError, if it is missing, empty or cannot be opened."""
    if not path.exists():
        raise SourceError(str(path), "no such file or folder; expected a folder of images, an image or a video")
    return VideoFile(path) if is_video(path) else ImageFolder(path)
