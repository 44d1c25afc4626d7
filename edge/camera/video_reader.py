"""The seam between a video file and the library that decodes it."""

from collections.abc import Generator
from typing import Protocol

import numpy as np

Pictures = Generator[np.ndarray | str, None, None]

CANNOT_BE_OPENED = "the video cannot be opened; is it whole, and of a format that FFmpeg reads?"
EXTRA = "leukolite[video]"
SMALLER = "convert the video to a smaller size, or to MJPEG"


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
