"""Video files as sources."""

import time
from pathlib import Path

from leukolite.clock import Clock
from leukolite.edge.camera.boundary import failure_of
from leukolite.edge.camera.opencv_video import OpenCvVideo
from leukolite.edge.camera.pyav_video import PyAvVideo
from leukolite.edge.camera.source import Gap, Items, Note, timed_frame
from leukolite.edge.camera.torn import is_torn
from leukolite.edge.camera.video_reader import PictureReader, Pictures
from leukolite.errors import SourceError
from leukolite.wording import count


class VideoFile:
    """The frames of a video file, R,G,B.

    PyAV tells which are damaged; without it OpenCV decodes them, and what is not checked is a note.

    Raises:
        SourceError: the file is missing, cannot be decoded or holds no video.
    """

    truths: tuple[str, ...] = ()
    live = False

    def __init__(self, path: Path, *, clock: Clock = time.perf_counter_ns) -> None:
        self.name, self._path, self._clock = str(path), path, clock
        self._open().close()  # refused at once, not only when its first frame is wanted

    def frames(self) -> Items:
        """A damaged frame is a gap, and so is the end of a video that breaks off."""
        reader = self._open()
        index = 0
        try:
            if reader.unchecked is not None:
                yield Note(self.name, reader.unchecked)
            started = self._clock()
            for picture in _pictures(reader):
                if isinstance(picture, str):
                    yield Gap(index, self.name, picture)
                else:
                    yield timed_frame(picture, index, started, self._clock(), self.name, None)
                del picture  # see `checked_items`
                index += 1
                started = self._clock()
        finally:
            reader.close()
        if index + 1 < reader.announced:  # containers may count one frame too many
            yield Gap(index, self.name, f"the video breaks off after {index} of {reader.announced} frames")
        elif reader.is_torn or is_torn(self._path):
            yield Gap(index, self.name, f"the video breaks off after {count(index, 'frame')}")
        elif index == 0:
            raise SourceError(self.name, "no frame in this video; is it whole?")

    def _open(self) -> PictureReader:
        try:
            try:
                return PyAvVideo(self._path)
            except ImportError:  # the extra is not installed, or not for this machine
                return OpenCvVideo(self._path)
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(self.name, f"{failure_of('the decoder', error)}; is the video whole?") from error


def _pictures(reader: PictureReader) -> Pictures:
    """What a video holds; whatever its decoder raises is the reason why there is no more."""
    try:
        yield from reader.pictures()
    except SourceError:
        raise
    except Exception as error:  # noqa: BLE001
        yield f"{failure_of('the decoder', error)}; nothing behind is read"
