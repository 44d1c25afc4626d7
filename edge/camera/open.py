"""Where frames come from: the synthetic microscope camera, a folder, one image, a video file; hardware is in `cameras.py`.

A source yields `Frame`s in R,G,B order, and a `Gap` for each that could not be had: never a made-up picture.
"""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from leukolite import synthetic
from leukolite.clock import Clock
from leukolite.edge.camera.opencv import silence_opencv
from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Items, Size
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import ImageError, SourceError
from leukolite.images import is_image_name, read_rgb
from leukolite.manifest import Unit

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
CAMERAS = ("synthetic[:FPS]", "picamera2[:N]", "v4l2:/dev/videoN", "an rtsp:// or http:// address")
STREAMS = ("rtsp", "rtsps", "http", "https")
SYNTHETIC_CELL_SIZE, SYNTHETIC_FIELD_SIZE = 256, (640, 480)  # pixels


class SyntheticCamera:
    """Renders stained smears with known truth, without end.

    Args:
        unit: 'cell' shows one white cell in the centre of each frame; 'field' several cells, all blasts or all healthy.
        labels: the model's; the truth is told only if the camera's classes are among them, since a lymphocyte of the
            camera's is not what another model calls by a like name.
        seed: the same seed gives the same frames.
        rate: frames a second, as a real camera whose frames come whether somebody looks or not; None renders each frame when
            it is asked for, so that none is skipped.
    """

    def __init__(
        self,
        unit: Unit,
        labels: Sequence[str],
        seed: int,
        rate: float | None = None,
        *,
        clock: Clock = time.perf_counter_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = "synthetic"
        self.live = rate is not None
        self._rate, self._sleep = rate, sleep
        self.truths: tuple[str, ...] = synthetic.LABELS if set(synthetic.LABELS) <= set(labels) else ()
        self._unit, self._seed, self._clock = unit, seed, clock

    def frames(self) -> Items:
        index, first = 0, self._clock() if self.live else 0
        while True:
            if self._rate is not None:
                wait_s = index / self._rate - (self._clock() - first) / 1e9
                if wait_s > 0:
                    self._sleep(wait_s)
            started = self._clock()
            rng = np.random.default_rng([self._seed, index])
            label = str(rng.choice(synthetic.LABELS))
            pixels = self._render(rng, label)
            yield _frame(pixels, index, started, self._clock(), self.name, label if self.truths else None)
            index += 1

    def _render(self, rng: np.random.Generator, label: str) -> np.ndarray:
        if self._unit == "cell":
            return synthetic.render_cell(rng, label, size=SYNTHETIC_CELL_SIZE)
        width, height = SYNTHETIC_FIELD_SIZE
        blasts = 0.0 if label == "healthy" else 1.0
        return synthetic.render_field(rng, width=width, height=height, blast_fraction=blasts).pixels


class ImageFolder:
    """The images below a folder, in the order of their names, or one image.

    Class folders right below `path` are the truth of the images in them.

    Raises:
        SourceError: `path` is missing, or a folder without images.
    """

    live = False

    def __init__(self, path: Path, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._clock = str(path), clock
        if path.is_file():
            self._files: list[tuple[Path, str | None]] = [(path, None)]
        else:
            found = sorted(file for file in path.rglob("*") if is_image_name(file) and file.is_file())
            self._files = [(file, _class_folder(path, file)) for file in found]
            if not self._files:
                raise SourceError(f"{path}: no image in this folder; expected .jpg, .png, .tif, .bmp or .webp files")
        self.truths = tuple(sorted({truth for _, truth in self._files if truth is not None}))

    def frames(self) -> Items:
        for index, (file, truth) in enumerate(self._files):
            started = self._clock()
            try:
                pixels = read_rgb(file)
            except ImageError as error:
                yield Gap(index, str(file), str(error).removeprefix(f"{file}: "))
            else:
                yield _frame(pixels, index, started, self._clock(), str(file), truth)


class VideoFile:
    """The frames of a video file, decoded by OpenCV and turned from its B,G,R to R,G,B.

    Raises:
        SourceError: the file is missing or cannot be decoded.
    """

    truths: tuple[str, ...] = ()
    live = False

    def __init__(self, path: Path, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._clock = str(path), clock
        silence_opencv()
        self._video = cv2.VideoCapture(str(path))
        if not self._video.isOpened():
            raise SourceError(f"{path}: the video cannot be opened; is it whole, and of a format that OpenCV reads?")

    def frames(self) -> Items:
        announced = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        index = 0
        try:
            while True:
                started = self._clock()
                got, picture = self._video.read()
                if not got:
                    break
                yield _frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, started, self._clock(), self.name, None)
                index += 1
        finally:
            self._video.release()
        if index + 1 < announced:  # containers may count one frame too many
            yield Gap(index, self.name, f"the video breaks off after {index} of {announced} frames")


def open_camera(name: str, unit: Unit, labels: Sequence[str], *, seed: int, size: Size | None = None) -> FrameSource:
    """A camera by name, for a model's unit and labels; hardware is opened by its `frames`.

    Args:
        size: of the pictures; None takes the camera's own.

    Raises:
        SourceError: there is none of that name, or it has no size to choose.
    """
    kind, _, rest = name.partition(":")
    if size is not None and kind not in ("picamera2", "v4l2"):
        raise SourceError(f"{kind}: --camera-size is for picamera2 and v4l2 cameras; this one has a size of its own")
    if kind == "synthetic" and (not rest or _is_rate(rest)):
        return SyntheticCamera(unit, labels, seed, float(rest) if rest else None)
    if kind == "picamera2" and (not rest or rest.isdecimal()):
        return PiCamera(int(rest or 0), size) if size is not None else PiCamera(int(rest or 0))
    if kind == "v4l2" and rest.startswith("/"):
        return V4l2Camera(rest, size)
    if kind in STREAMS and rest.startswith("//"):
        return StreamCamera(name)
    raise SourceError(f"no camera named {name!r}; there is {', '.join(CAMERAS)}")


def _is_rate(text: str) -> bool:
    return re.fullmatch(r"\d{1,4}(\.\d+)?", text) is not None and float(text) > 0


def open_source(path: Path) -> FrameSource:
    """A folder, an image or a video as a source. Raises: SourceError, if it is missing, empty or cannot be opened."""
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder; expected a folder of images, an image or a video")
    return VideoFile(path) if is_video(path) else ImageFolder(path)


def is_video(path: Path) -> bool:
    """Whether a source is a video file, by its name."""
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


def match_truths(truths: Sequence[str], labels: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Which label each truth names, whatever its case.

    Returns:
        Truth -> label index, and the truths that are no label: their frames count as of unknown truth.
    """
    index_of = {label.casefold(): k for k, label in enumerate(labels)}
    known = {truth: index_of[truth.casefold()] for truth in truths if truth.casefold() in index_of}
    return known, [truth for truth in truths if truth not in known]


def _class_folder(root: Path, file: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None


def _frame(pixels: np.ndarray, index: int, started: int, ended: int, source: str, truth: str | None) -> Frame:
    return Frame(pixels, index, ended, (ended - started) / 1e6, source, truth)
