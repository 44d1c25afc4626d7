"""OpenCV's VideoCapture as leukolite uses it for a camera at /dev/videoN: calls, properties and pixel layouts of the real one."""

import time

import cv2
import numpy as np
from camera_items import jpeg
from fake_picamera2 import RED


class FakeVideo:
    """OpenCV's VideoCapture on a UVC camera that gives JPEG, its buffers stamped 30 ms before they are read."""

    fourcc = b"MJPG"
    sizes = ((640, 480),)
    gives = 3  # pictures, until it is unplugged
    cut_short: int | None = 2  # this picture's file breaks off
    opened: "FakeVideo"

    def __init__(self, device: str, backend: int) -> None:
        assert backend == cv2.CAP_V4L2
        self.device, self.settings, self.released, self.count = device, {}, False, 0
        self.size = self.sizes[0]
        FakeVideo.opened = self

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, which: int, value: float) -> bool:
        self.settings[which] = value
        wanted = (self.settings.get(cv2.CAP_PROP_FRAME_WIDTH), self.settings.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = wanted if wanted in self.sizes else self.size
        return True

    def get(self, which: int) -> float:
        if which == cv2.CAP_PROP_POS_MSEC:
            return time.perf_counter_ns() / 1e6 - 30
        if which == cv2.CAP_PROP_FOURCC:
            return int.from_bytes(self.fourcc, "little")
        return {cv2.CAP_PROP_FRAME_WIDTH: self.size[0], cv2.CAP_PROP_FRAME_HEIGHT: self.size[1]}[which]

    def grab(self) -> bool:
        self.count += 1
        return self.count <= self.gives

    def retrieve(self) -> tuple[bool, np.ndarray]:
        if self.settings.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            data = jpeg(self.count)
            return True, np.frombuffer(data[:700] if self.count == self.cut_short else data, np.uint8)[np.newaxis]
        return True, np.full((480, 640, 3), RED[::-1], np.uint8)

    def release(self) -> None:
        self.released = True
