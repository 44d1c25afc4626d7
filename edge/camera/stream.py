"""Network cameras: RTSP, or HTTP with MJPEG or a video, through OpenCV and FFmpeg."""

import time

import cv2

from leukolite.address import HIDDEN, has_hidden, with_secrets_hidden, without_password, without_secrets
from leukolite.clock import Clock
from leukolite.edge.camera.decoder_memory import check_decoder_memory
from leukolite.edge.camera.opencv import decoder_memory, describe, fourcc, read_frames, silence_opencv, threads
from leukolite.edge.camera.source import Arriving, CameraOptions, Items, Note
from leukolite.errors import SourceError, first_line

SCHEMES = ("rtsp", "rtsps", "http", "https")
OPEN_MS, READ_MS = 5_000, 5_000
MOST_THREADS = 2  # that decode one stream: each holds frames of its own
SMALLER = "set the camera to a smaller size, or to MJPEG"
UNCHECKED = "damage within the frames of this stream is not checked; MJPEG is, where the camera offers it"


class StreamCamera:
    """A network camera: RTSP, or HTTP with MJPEG or a video.

    MJPEG is decoded strictly, so that a damaged picture is a gap; FFmpeg would fill in the picture before, and does so with
    any other coding.

    Raises:
        ValueError: the address is not well formed.
        SourceError: a part of it was left out; from `frames`: the server does not answer, or the stream ends.
    """

    truths: tuple[str, ...] = ()
    live = True

    def __init__(self, url: str, *, clock: Clock = time.perf_counter_ns) -> None:
        if has_hidden(url):
            raise SourceError(
                without_secrets(url), f"what {HIDDEN} stands for is needed, for it is never recorded", advice="camera-login"
            )
        self.name = without_password(url)
        self._url, self._clock, self._next = url, clock, 0

    def frames(self) -> Items:
        silence_opencv()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS, *threads(MOST_THREADS)]
        video = _opened(self._url, self.name, limits)
        try:
            if not video.isOpened():
                from leukolite.edge.camera.diagnosis import why_no_video  # TLS and HTTP: only where a camera has failed

                reason = why_no_video(self._url)
                advice = "camera-login" if reason.startswith("401") else None
                raise SourceError(self.name, f"no video there: {reason}", advice=advice)
            encoded = fourcc(video) == "MJPG" and video.set(cv2.CAP_PROP_FORMAT, -1)
            if not encoded:
                check_decoder_memory(decoder_memory(video, live=True), self.name, SMALLER)
            yield Note(self.name, describe(video))
            if not encoded:
                yield Note(self.name, UNCHECKED)
            for item in read_frames(video, self.name, self._next, self._clock, encoded=encoded, stamped=False):
                if not isinstance(item, Arriving):
                    self._next = item.index + 1
                yield item
        finally:
            video.release()


def _opened(url: str, name: str, limits: list[int]) -> cv2.VideoCapture:
    try:
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    except (cv2.error, ValueError, UnicodeError, SystemError) as error:  # which may name the address
        raise SourceError(name, f"cannot be opened ({with_secrets_hidden(first_line(error), url)})") from None


def open_stream(name: str, options: CameraOptions) -> StreamCamera | None:
    """The camera at an address; None for another name. Raises: SourceError, if the address is not well formed."""
    scheme, _, rest = name.partition(":")
    if not rest.startswith("//"):
        return None
    try:
        return StreamCamera(name)
    except ValueError as error:  # of which nothing is shown: nobody knows where its password stands
        raise SourceError(
            f"{scheme}://…", f"the address is not well formed ({error}); expected one like {scheme}://HOST/PATH"
        ) from error
