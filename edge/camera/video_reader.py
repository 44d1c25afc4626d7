"""The seam between a video file and the library that decodes it."""

from collections.abc import Generator
from typing import Protocol

import numpy as np

from leukolite.errors import SourceError

Pictures = Generator[np.ndarray | str, None, None]

CANNOT_BE_OPENED = "the video cannot be opened; is it whole, and of a format that FFmpeg reads?"
EXTRA = "leukolite[video]"
MOST_PIXELS = 4096 * 2304  # of a frame: a decoder holds up to seventeen at a time, 14 MB each


class PictureReader(Protocol):
    """One pass through a video file.

    Attributes:
        unchecked: what damage goes unnoticed, for the record; None where all that shows is a gap.
        announced: frames that the file should have; 0 where it does not say.
        is_torn: the file ends before its container does; known when `pictures` has ended.
    """

    unchecked: str | None
    announced: int
    is_torn: bool

    def pictures(self) -> Pictures:
        """uint8 R,G,B of shape (height, width, 3), or why a frame has none."""
        ...

    def close(self) -> None: ...


def check_video_size(width: int, height: int, name: str) -> None:
    """Raises: SourceError, if frames are larger than `MOST_PIXELS`."""
    if width * height > MOST_PIXELS:
        raise SourceError(name, f"frames of {width}x{height} are larger than 4K (4096x2304); convert the video to 4K or less")
