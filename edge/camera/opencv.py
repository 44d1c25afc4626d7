"""Frames of whatever OpenCV opens: the reading that V4L2 cameras and network streams share."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from leukolite.clock import Clock
from leukolite.edge.camera.source import Frame, Gap, is_believable
from leukolite.errors import ImageError, SourceError
from leukolite.images import decode_rgb
from leukolite.wording import is_utf8

READ_FAILURES = 20  # unreadable pictures in a row after which a camera counts as lost


def silence_opencv() -> None:
    """Keep OpenCV's and FFmpeg's lines from the terminal; without a redirection, which would swallow other threads' lines."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video opens
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def open_video_file(path: Path) -> cv2.VideoCapture:
    """A video file, opened or not as its `isOpened` says. OpenCV crashes on a name that is not UTF-8: it gets another one."""
    silence_opencv()
    if is_utf8(str(path)):
        return cv2.VideoCapture(str(path))
    with path.open("rb") as file:
        return cv2.VideoCapture(f"/proc/self/fd/{file.fileno()}")


def read_frames(
    video: cv2.VideoCapture, name: str, index: int, clock: Clock, *, encoded: bool, stamped: bool
) -> Iterator[Frame | Gap]:
    """Frames and gaps until the camera is lost.

    Args:
        encoded: it gives JPEG files, not pictures.
        stamped: its positions are V4L2's buffer time stamps, milliseconds of CLOCK_MONOTONIC.

    Raises:
        SourceError: nothing comes any more, or nothing that is a picture.
    """
    failures = 0
    while failures < READ_FAILURES:
        grabbed = video.grab()
        started = clock()
        got, picture = video.retrieve() if grabbed else (False, None)
        if not got or picture is None:
            raise SourceError(name, "no more frames come; is it still plugged in and running?")
        try:
            pixels = decode_rgb(picture.tobytes(), name) if encoded else _to_rgb(picture)
        except ImageError as error:
            failures += 1
            yield Gap(index, name, error.reason)
        else:
            failures = 0
            age = started - round(video.get(cv2.CAP_PROP_POS_MSEC) * 1e6) if stamped else -1
            is_stamped = is_believable(age)
            taken = started - age if is_stamped else started
            yield Frame(pixels, index, taken, (clock() - started) / 1e6, name, None, "sensor" if is_stamped else "arrival")
        index += 1
    raise SourceError(name, f"{READ_FAILURES} pictures in a row cannot be decoded")


def _to_rgb(picture: np.ndarray) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError("", f"expected 8-bit colour pictures, found {picture.dtype} of shape {picture.shape}")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def fourcc(video: cv2.VideoCapture) -> str:
    """How its pictures are coded, as 'MJPG'."""
    return int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False).decode("latin-1")


def describe(video: cv2.VideoCapture) -> str:
    """What was opened, for the record."""
    width, height = (int(video.get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return f"opened: {width}x{height}, {fourcc(video).strip(chr(0))}"
