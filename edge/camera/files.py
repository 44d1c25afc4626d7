"""Image folders, single images and video files as sources."""

import time
from pathlib import Path

import cv2

from leukolite.clock import Clock
from leukolite.edge.camera.opencv import silence_opencv
from leukolite.edge.camera.source import Gap, Items, timed_frame
from leukolite.errors import ImageError, SourceError
from leukolite.images import is_image_name, read_rgb

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


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
                raise SourceError(str(path), "no image in this folder; expected .jpg, .png, .tif, .bmp or .webp files")
        self.truths = tuple(sorted({truth for _, truth in self._files if truth is not None}))

    def frames(self) -> Items:
        for index, (file, truth) in enumerate(self._files):
            started = self._clock()
            try:
                pixels = read_rgb(file)
            except ImageError as error:
                yield Gap(index, str(file), error.reason)
            else:
                yield timed_frame(pixels, index, started, self._clock(), str(file), truth)


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
            raise SourceError(str(path), "the video cannot be opened; is it whole, and of a format that OpenCV reads?")

    def frames(self) -> Items:
        announced = int(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        index = 0
        try:
            while True:
                started = self._clock()
                got, picture = self._video.read()
                if not got:
                    break
                yield timed_frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, started, self._clock(), self.name, None)
                index += 1
        finally:
            self._video.release()
        if index + 1 < announced:  # containers may count one frame too many
            yield Gap(index, self.name, f"the video breaks off after {index} of {announced} frames")


def is_video(path: Path) -> bool:
    """Whether a source is a video file, by its name."""
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


def _class_folder(root: Path, file: Path) -> str | None:
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else None
