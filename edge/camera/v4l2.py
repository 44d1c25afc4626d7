"""UVC microscopes and other cameras at /dev/videoN, through OpenCV and V4L2."""

import os
import time
from pathlib import Path

import cv2

from leukolite.clock import Clock
from leukolite.edge.camera.opencv import describe, fourcc, read_frames, silence_opencv
from leukolite.edge.camera.source import Items, Note, Size
from leukolite.errors import SourceError


class V4l2Camera:
    """A UVC microscope or another camera at /dev/videoN, with a buffer of one frame.

    Pictures that come as JPEG are decoded by Pillow, which refuses one that breaks off; OpenCV would fill in grey.

    Raises:
        SourceError: from `frames`: the device is missing, closed to this user, or gives another size than asked for.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, device: str, size: Size | None = None, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name = f"v4l2:{device}"
        self._device, self._size, self._clock, self._next = device, size, clock, 0

    def frames(self) -> Items:
        _check_device(self.name, Path(self._device))
        silence_opencv()
        video = cv2.VideoCapture(self._device, cv2.CAP_V4L2)
        try:
            if not video.isOpened():
                raise SourceError(self.name, "cannot be opened; is it a camera, and does another program hold it?")
            video.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            if self._size is not None:
                _set_size(self.name, video, self._size)
            encoded = fourcc(video) in ("MJPG", "JPEG") and video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            yield Note(self.name, describe(video))
            for item in read_frames(video, self.name, self._next, self._clock, encoded=encoded, stamped=True):
                self._next = item.index + 1
                yield item
        finally:
            video.release()


def _check_device(name: str, device: Path) -> None:
    if not device.exists():
        raise SourceError(name, "no such device; is the camera plugged in?", advice="list-cameras")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(name, "this user may not use it; sudo usermod -aG video $USER, then log in again")


def _set_size(name: str, video: cv2.VideoCapture, size: Size) -> None:
    video.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    video.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    found = (int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if found != size:
        raise SourceError(name, f"gives {found[0]}x{found[1]} where {size[0]}x{size[1]} was asked for", advice="camera-size")
