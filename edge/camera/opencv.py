"""Frames of whatever OpenCV opens: the reading that V4L2 cameras and network streams share."""

import math
import os
from collections.abc import Iterator

import cv2
import numpy as np

from leukolite.clock import Clock
from leukolite.edge.camera.boundary import bound_ffmpeg
from leukolite.edge.camera.decoder_memory import DecoderMemory
from leukolite.edge.camera.source import LARGE_BYTES, Arriving, Frame, Gap, is_believable
from leukolite.errors import ImageError, SourceError
from leukolite.images import decode_rgb
from leukolite.jpeg import START, decode_jpeg

_CODECS = {
    **dict.fromkeys(("avc1", "x264"), "h264"),
    **dict.fromkeys(("hev1", "hvc1", "h265", "x265"), "hevc"),
    **dict.fromkeys(("mjpg", "jpeg"), "mjpeg"),
    **dict.fromkeys(("fmp4", "mp4v", "xvid", "divx", "dx50"), "mpeg4"),
    "vp80": "vp8",
    "vp90": "vp9",
    "av01": "av1",
    "mpg2": "mpeg2video",
    "flv1": "flv",
}  # what containers call them
_SAMPLE_BYTES = {"I420": 1.5, "Y42B": 2.0, "Y3\x0b\x0a": 3.0, "444P": 3.0}  # a pixel
_STRIP_PIXELS = 1 << 18  # that are turned at a time: OpenCV copies what it turns in place
READ_FAILURES = 20  # unreadable pictures in a row after which a camera counts as lost


def silence_opencv() -> None:
    """Keep OpenCV's and FFmpeg's lines from the terminal; without a redirection, which would swallow other threads' lines.

    FFmpeg is bounded, too, before anything is opened by it.
    """
    bound_ffmpeg()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when the first video opens
    logging = getattr(cv2.utils, "logging", None)  # since OpenCV 4.13; what was there before is gone in 5.0
    if logging is None:
        cv2.setLogLevel(0)  # type: ignore[attr-defined]  # LOG_LEVEL_SILENT
    else:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)


def read_frames(
    video: cv2.VideoCapture, name: str, index: int, clock: Clock, *, encoded: bool, stamped: bool
) -> Iterator[Frame | Gap | Arriving]:
    """Frames and gaps until the camera is lost; of large frames also when the next is here.

    Args:
        encoded: it gives JPEG files, not pictures.
        stamped: its positions are V4L2's buffer time stamps, milliseconds of CLOCK_MONOTONIC.

    Raises:
        SourceError: nothing comes any more, or nothing that is a picture.
    """
    failures, is_large = 0, False
    while failures < READ_FAILURES:
        grabbed = video.grab()
        started = clock()
        if grabbed and is_large:
            yield Arriving()
        got, picture = video.retrieve() if grabbed else (False, None)
        if not got or picture is None:
            raise SourceError(name, "no more frames come; is it still plugged in and running?")
        try:
            pixels = _decode(picture.tobytes(), name) if encoded else to_rgb(picture)
            del picture
        except ImageError as error:
            failures += 1
            yield Gap(index, name, error.reason)
        else:
            failures, is_large = 0, pixels.nbytes >= LARGE_BYTES
            age = started - round(number(video, cv2.CAP_PROP_POS_MSEC) * 1e6) if stamped else -1
            is_stamped = is_believable(age)
            taken = started - age if is_stamped else started
            yield Frame(pixels, index, taken, (clock() - started) / 1e6, name, None, "sensor" if is_stamped else "arrival")
            del pixels  # see `checked_items`
        index += 1
    raise SourceError(name, f"{READ_FAILURES} pictures in a row cannot be decoded")


def _decode(file: bytes, name: str) -> np.ndarray:
    if not file.startswith(START):  # a camera that gives anything else is not the camera that was opened
        raise ImageError(name, "damaged or truncated (not a JPEG)")
    return decode_rgb(file, name)


def to_rgb(picture: np.ndarray) -> np.ndarray:
    """OpenCV's B,G,R as R,G,B, turned where it lies: two of a large picture would not fit beside the one that is classified.

    Args:
        picture: nobody else's; read-only, it is copied.

    Raises:
        ImageError: it is no 8-bit colour picture.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ImageError("", f"expected 8-bit colour pictures, found {picture.dtype} of shape {picture.shape}")
    if not (picture.flags.writeable and picture.flags.c_contiguous):
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    rows = max(1, _STRIP_PIXELS // picture.shape[1])
    for top in range(0, len(picture), rows):
        strip = picture[top : top + rows]
        cv2.cvtColor(strip, cv2.COLOR_BGR2RGB, strip)
    return picture


def jpeg_fault(file: bytes) -> str | None:
    """What is wrong with a JPEG whose pixels another decoder gives; None if nothing is."""
    try:
        decode_jpeg(file, "")
    except ImageError as error:
        return error.reason
    return None


def fourcc(video: cv2.VideoCapture) -> str:
    """How its pictures are coded, as 'MJPG'."""
    return _four(number(video, cv2.CAP_PROP_FOURCC))


def _four(value: float) -> str:
    return (int(value) % 2**32).to_bytes(4, "little").decode("latin-1")


def number(video: cv2.VideoCapture, which: int) -> float:
    """One of its properties; 0 where the driver says what is no number."""
    value = video.get(which)
    return value if math.isfinite(value) else 0.0


def threads(most: int) -> list[int]:
    """For opening a video by FFmpeg: each thread that decodes holds frames of its own."""
    which = getattr(cv2, "CAP_PROP_N_THREADS", None)  # since OpenCV 4.6
    return [] if which is None else [which, most]


def decoder_memory(video: cv2.VideoCapture, *, live: bool) -> DecoderMemory:
    """Of a video that FFmpeg has opened; OpenCV does not say how many frames others are made from."""
    width, height = (int(number(video, which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    codec = fourcc(video).strip("\0 ").lower()
    samples = _four(number(video, getattr(cv2, "CAP_PROP_CODEC_PIXEL_FORMAT", -1)))
    return DecoderMemory(
        width,
        height,
        _CODECS.get(codec, codec),
        _SAMPLE_BYTES.get(samples, 3.0),
        threads=max(int(number(video, getattr(cv2, "CAP_PROP_N_THREADS", -1))), 1),
        copies=1,
        live=live,
    )


def describe(video: cv2.VideoCapture) -> str:
    """What was opened, for the record."""
    width, height = (int(number(video, which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return f"opened: {width}x{height}, {fourcc(video).strip(chr(0))}"
