"""A source by the name that a user gives it. A new kind of camera is a file of its own and an entry in `KINDS`."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.address import without_secrets
from leukolite.edge.camera import stream
from leukolite.edge.camera.ahead import ReadAhead
from leukolite.edge.camera.containers import is_video
from leukolite.edge.camera.folder import ImageFolder
from leukolite.edge.camera.picamera import open_picamera2, plugged_in_picamera2
from leukolite.edge.camera.source import CameraInfo, CameraOptions, FrameSource, Size
from leukolite.edge.camera.stream import open_stream
from leukolite.edge.camera.synthetic import open_synthetic
from leukolite.edge.camera.v4l2 import open_v4l2, plugged_in_v4l2
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError
from leukolite.manifest import Unit
from leukolite.places import problem_at
from leukolite.wording import is_utf8

MOST_CHARACTERS = 2_000  # of a camera's name
_ADDRESS = re.compile(rf"({'|'.join(stream.SCHEMES)}):/")


def _not_listed() -> tuple[list[CameraInfo], list[str]]:
    return [], []


@dataclass(frozen=True)
class CameraKind:
    """A kind of camera.

    Attributes:
        shown: its names, for the help.
        prefixes: what stands before the first colon of its names.
        open: gives the camera of a name, without touching the device; None where the name is not well formed.
        plugged_in: gives the cameras of this kind that are there, and why some could not be asked.
        has_sizes: a size of the pictures may be asked for.
    """

    shown: str
    prefixes: tuple[str, ...]
    open: Callable[[str, CameraOptions], FrameSource | None]
    plugged_in: Callable[[], tuple[list[CameraInfo], list[str]]] = _not_listed
    has_sizes: bool = False


KINDS = (
    CameraKind("synthetic[:FPS]", ("synthetic",), open_synthetic),
    CameraKind("picamera2[:N]", ("picamera2",), open_picamera2, plugged_in_picamera2, has_sizes=True),
    CameraKind("v4l2:/dev/videoN or v4l2:/dev/v4l/by-id/NAME", ("v4l2",), open_v4l2, plugged_in_v4l2, has_sizes=True),
    CameraKind("an rtsp:// or http:// address", stream.SCHEMES, open_stream),
)
CAMERAS = tuple(kind.shown for kind in KINDS)


def is_network_camera(name: str) -> bool:
    """Whether a camera's name is an address."""
    scheme, is_address, _ = name.partition("://")
    return bool(is_address) and scheme in stream.SCHEMES


def open_camera(
    name: str, unit: Unit, labels: Sequence[str], *, seed: int, size: Size | None = None, kinds: Sequence[CameraKind] = KINDS
) -> FrameSource:
    """A camera by name, for a model's unit and labels; hardware is opened by its `frames`.

    Args:
        size: of the pictures; None takes the camera's own.
        kinds: of cameras that there are.

    Raises:
        SourceError: there is none of that name, or it has no size to choose.
    """
    if len(name) > MOST_CHARACTERS:
        raise SourceError(f"{without_secrets(name)[:40]}…", f"longer than {MOST_CHARACTERS:,} characters", advice="list-cameras")
    if not is_utf8(name):  # OpenCV crashes on it
        raise SourceError(without_secrets(name), "a camera's name is UTF-8", advice="list-cameras")
    prefix = name.partition(":")[0]
    kind = next((kind for kind in kinds if prefix in kind.prefixes), None)
    if size is not None and (kind is None or not kind.has_sizes):
        raise SourceError(prefix, "this camera has a size of its own", advice="camera-size-kinds")
    camera = None if kind is None else kind.open(name, CameraOptions(unit, tuple(labels), seed, size))
    if camera is None:
        shown = ", ".join(kind.shown for kind in kinds)
        said = name if kind is not None and prefix not in stream.SCHEMES else without_secrets(name)
        raise SourceError("", f"no camera named {said!r}; there is {shown}{_meant(said, kinds)}")
    return camera


def _meant(name: str, kinds: Sequence[CameraKind]) -> str:
    """What a name that no camera has may mean; empty where nobody can tell."""
    prefix, colon, rest = name.partition(":")
    if prefix == "v4l2" and rest:
        return f"; for a device write v4l2:/dev/{rest}"
    if prefix == "synthetic":
        return "; frames per second are above 0"
    if name.isdecimal():
        return f"; for /dev/video{name} write v4l2:/dev/video{name}"
    if name.startswith(("/dev/", "video")):
        return f"; for a device write v4l2:/dev/{name.removeprefix('/dev/')}"
    if Path(name).exists():
        return "; this is a file or folder, which is a source and no camera"
    prefixes = [one for kind in kinds for one in kind.prefixes]
    near = [] if prefix in prefixes else difflib.get_close_matches(prefix, prefixes, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}{colon}{rest}?" if near else ""


def open_source(path: Path, labels: Sequence[str] = ()) -> FrameSource:
    """A folder, an image or a video as a source, which is read ahead of what is classified.

    Args:
        labels: of the model that will classify its pictures: its class folders are known by them.

    Raises:
        SourceError: it is missing, empty, neither image nor video, or cannot be opened.
    """
    if problem := problem_at(path, "file or folder"):
        is_address = _ADDRESS.match(str(path)) is not None
        is_device = path.exists() and not path.is_dir() and not path.is_file()
        said = without_secrets(str(path).replace(":/", "://", 1)) if is_address else str(path)  # Path makes one slash of two
        raise SourceError(
            said,
            f"{problem}; expected a folder of images, an image or a video",
            advice="camera-address" if is_address else "camera-device" if is_device else None,
        )
    return ReadAhead(VideoFile(path) if is_video(path) else ImageFolder(path, labels))
