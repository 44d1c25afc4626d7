"""Video files by OpenCV, where PyAV is not installed. It fills in damage without a word, so that only MJPEG is checked."""

from pathlib import Path

import cv2
import numpy as np

from leukolite.edge.camera.bare_mjpeg import BetweenPictures
from leukolite.edge.camera.containers import counts_its_frames, name_for_ffmpeg
from leukolite.edge.camera.decoder_memory import check_decoder_memory
from leukolite.edge.camera.opencv import (
    READ_FAILURES,
    decoder_memory,
    fourcc,
    jpeg_fault,
    number,
    silence_opencv,
    threads,
    to_rgb,
)
from leukolite.edge.camera.video_reader import CANNOT_BE_OPENED, EXTRA, SMALLER, Pictures
from leukolite.errors import ImageError, SourceError
from leukolite.jpeg import START

_MJPEG = frozenset({"jpeg", "mjpg"})  # what containers call it


class OpenCvVideo:
    """See `PictureReader`.

    MJPEG's files are read a second time beside OpenCV's decoder, which gives the pixels, and checked strictly.

    Raises:
        SourceError: the file cannot be decoded, or OpenCV has no decoder for its codec.
    """

    is_torn = False

    def __init__(self, path: Path) -> None:
        silence_opencv()
        self._decoded = _open(path)
        try:
            check_decoder_memory(decoder_memory(self._decoded, live=False), str(path), f"install {EXTRA}, or {SMALLER}")
        except SourceError:
            self._decoded.release()
            raise
        self._files = _open(path)
        self._files.set(cv2.CAP_PROP_FORMAT, -1)  # gives the frames as they are stored
        got, first = self._files.read()
        codec = fourcc(self._decoded).strip("\0 ")
        self._is_mjpeg = got and (first.tobytes().startswith(START) or codec.lower() in _MJPEG)
        self._first = (got, first)
        self._between = BetweenPictures(path)
        if not self._is_mjpeg:
            self._files.release()
            if got and not _can_be_decoded(path):
                self._decoded.release()
                raise SourceError(
                    str(path),
                    f"not one frame can be decoded; OpenCV may lack a decoder for this codec ({codec or 'unknown'}):"
                    f" install {EXTRA}, or convert the video to H.264",
                )
        self.announced = int(number(self._decoded, cv2.CAP_PROP_FRAME_COUNT)) if counts_its_frames(path) else 0
        self.unchecked = None if self._is_mjpeg else f"damage within the frames of this video is not checked; install {EXTRA}"

    def pictures(self) -> Pictures:
        return self._checked() if self._is_mjpeg else self._unchecked()

    def close(self) -> None:
        self._decoded.release()
        self._files.release()

    def _checked(self) -> Pictures:
        """In step by time stamps: OpenCV skips what it cannot decode at all."""
        is_there = self._decoded.grab()
        (got, file) = self._first
        while got:
            at = self._files.get(cv2.CAP_PROP_POS_MSEC)
            is_there = is_there or self._decoded.grab()  # which fails once for each frame that cannot be decoded
            fault = jpeg_fault(file.tobytes())
            is_this = is_there and self._decoded.get(cv2.CAP_PROP_POS_MSEC) <= at
            if fault is not None:
                yield fault
            elif is_this:
                yield _pixels(*self._decoded.retrieve())
            else:
                yield "cannot be decoded"
            if is_this:
                is_there = self._decoded.grab()
            if fault is None:
                yield from self._between.lost(file.tobytes())
            got, file = self._files.read()

    def _unchecked(self) -> Pictures:
        failures = 0
        while failures < READ_FAILURES:
            got, picture = self._decoded.read()
            if not got:
                failures += 1
                continue
            yield from ["cannot be decoded"] * failures  # it went on behind them
            failures = 0
            yield _pixels(got, picture)
            del picture  # see `checked_items`


def _open(path: Path) -> cv2.VideoCapture:
    with name_for_ffmpeg(path) as name:
        video = cv2.VideoCapture(name, cv2.CAP_FFMPEG, threads(1))
    if not video.isOpened():
        raise SourceError(str(path), CANNOT_BE_OPENED)
    return video


def _can_be_decoded(path: Path) -> bool:
    video = _open(path)
    found = any(video.grab() for _ in range(READ_FAILURES))  # a first frame that is damaged is passed by
    video.release()
    return found


def _pixels(got: bool, picture: np.ndarray) -> np.ndarray | str:
    if not got:
        return "cannot be decoded"
    try:
        return to_rgb(picture)
    except ImageError as error:
        return error.reason
