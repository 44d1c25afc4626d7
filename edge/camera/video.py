"""Video files as sources, decoded by OpenCV."""

import time
from pathlib import Path

import cv2

from leukolite.clock import Clock
from leukolite.edge.camera.opencv import open_video_file
from leukolite.edge.camera.source import Gap, Items, timed_frame
from leukolite.errors import SourceError

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})


class VideoFile:
    """The frames of a video file, turned from OpenCV's B,G,R to R,G,B.

    Raises:
        SourceError: the file is missing or cannot be decoded.
    """

    truths: tuple[str, ...] = ()
    live = False

    def __init__(self, path: Path, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._path, self._clock = str(path), path, clock
        self._open().release()  # refused at once, not only when its first frame is wanted

    def frames(self) -> Items:
        """A video that breaks off ends in a gap."""
        video = self._open()
        announced = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        index = 0
        try:
            while True:
                started = self._clock()
                got, picture = video.read()
                if not got:
                    break
                yield timed_frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, started, self._clock(), self.name, None)
                index += 1
        finally:
            video.release()
        if index + 1 < announced:  # containers may count one frame too many
            yield Gap(index, self.name, f"the video breaks off after {index} of {announced} frames")

    def _open(self) -> cv2.VideoCapture:
        video = open_video_file(self._path)
        if not video.isOpened():
            raise SourceError(self.name, "the video cannot be opened; is it whole, and of a format that OpenCV reads?")
        return video


def is_video(path: Path) -> bool:
    """Whether a source is a video file, by its name."""
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
