"""What a camera gives, for tests: its first items, or all until it is lost; and numbered pictures for it to give."""

import itertools
from pathlib import Path

import cv2
import numpy as np
from fake_picamera2 import RED
from PIL import Image

from leukolite.edge.camera.opencv import silence_opencv
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Note
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError


def first(source: FrameSource, count: int) -> list[Frame | Gap | Note]:
    items = source.frames()
    try:
        return list(itertools.islice(items, count))
    finally:
        items.close()


def everything(source: FrameSource, *, ends: bool = False) -> tuple[list[Frame | Gap | Note], str]:
    """What it gives until it is lost, and how it said so.

    Args:
        ends: it may end by itself, as a file does; what it said is empty then.
    """
    items: list[Frame | Gap | Note] = []
    try:
        items.extend(source.frames())
    except SourceError as error:
        return items, str(error)
    assert ends, "a live source has no end of its own"
    return items, ""


def items_of(path: Path) -> tuple[list[Frame | Gap], list[str]]:
    """A video's frames and gaps, and what its notes say."""
    items = list(VideoFile(path).frames())
    return [item for item in items if not isinstance(item, Note)], [item.text for item in items if isinstance(item, Note)]


def jpeg(number: int) -> bytes:
    """A red picture with some texture whose top left corner holds its number."""
    noise = np.random.default_rng(number).integers(0, 40, (120, 160, 3))
    picture = (np.array(RED) * 0.8 + cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)).astype(np.uint8)
    picture[:32, :32] = number * 16
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def number_of(frame: Frame) -> int:
    return round(frame.pixels[8:24, 8:24].mean() / 16)


def picture(path: Path, colour: tuple[int, int, int] = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8), colour).save(path)
    return path


def video(path: Path, frames: int = 4, codec: str = "FFV1", size: tuple[int, int] = (32, 24)) -> Path:
    """Red frames, lossless by default, whose blue channel holds the frame's number."""
    silence_opencv()  # FFmpeg asks once how loud it may be, when it is first used
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), (i, 30, 200), np.uint8))  # OpenCV writes B,G,R
    writer.release()
    return path
