"""Small videos, sound and damaged, as PyAV writes them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

FRAMES, GROUP = 24, 6  # in all, and from one whole picture to the next


def pictures(size: tuple[int, int] = (160, 120)) -> Iterator[np.ndarray]:
    """Blots that move a little from frame to frame."""
    rng = np.random.default_rng(2)
    ground = np.full((size[1], size[0], 3), (225, 200, 210), np.uint8)
    for x, y, radius in rng.integers((0, 0, 6), (*size, 24), (14, 3)).tolist():
        cv2.circle(ground, (x, y), radius, [int(level) for level in rng.integers(40, 200, 3)], -1)
    for i in range(FRAMES):
        noise = rng.integers(-6, 7, ground.shape)
        yield np.clip(np.roll(ground, (i, 2 * i), (0, 1)) + noise, 0, 255).astype(np.uint8)


def coded(
    path: Path,
    codec: str,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (160, 120),
    options: dict[str, str] | None = None,
) -> Path:
    """A video in a container of the path's ending, with the encoder's own options."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.gop_size = GROUP
        for picture in pictures(size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def damaged(path: Path, number: int, change: Callable[[bytes], bytes]) -> Path:
    """The same video whose stored frame of a number is changed."""
    with av.open(str(path)) as whole:
        stored = [bytes(packet) for packet in whole.demux(video=0) if packet.size]
    data, copy = path.read_bytes(), path.with_name(f"damaged_{path.name}")
    frame = stored[number]
    changed = change(frame)
    assert data.count(frame) == 1
    assert len(changed) == len(frame)
    copy.write_bytes(data.replace(frame, changed))
    return copy


def zeroed(frame: bytes) -> bytes:
    middle = len(frame) // 3
    return frame[:middle] + bytes(len(frame) // 3) + frame[middle + len(frame) // 3 :]


def randomised(frame: bytes) -> bytes:
    middle, third = len(frame) // 3, len(frame) // 3
    return frame[:middle] + random.Random(5).randbytes(third) + frame[middle + third :]


def gone(frame: bytes) -> bytes:
    """Zeros alone, as of a card's sector that cannot be read."""
    return bytes(len(frame))


def flipped(frame: bytes) -> bytes:
    rng, changed = random.Random(4), bytearray(frame)
    for _ in range(12):
        changed[rng.randrange(len(frame) // 4, len(frame))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_short(frame: bytes) -> bytes:
    """A JPEG's end before its end."""
    middle = len(frame) * 2 // 3
    return frame[:middle] + b"\xff\xd9" + frame[middle + 2 :]
