"""JPEGs one behind the other in a file: what lies between two of them."""

from collections.abc import Iterator
from pathlib import Path

from leukolite.file_kinds import first_bytes
from leukolite.jpeg import START, after_end

HEADER_BYTES = 512  # as a network camera puts before each picture (multipart/x-mixed-replace)


class BetweenPictures:
    """Tells padding and a camera's headers from pictures that are lost: zeros, or what has no JPEG's beginning.

    FFmpeg hands out all that follows a picture together with it, and nobody looks there.
    """

    def __init__(self, path: Path) -> None:
        self._is_checked = first_bytes(path).startswith(START)  # in containers each picture has a place of its own
        self._is_first = True

    def lost(self, stored: bytes) -> Iterator[str]:
        """What is wrong behind a sound picture; nothing where no other is lost.

        Padding fills up to a power of 2. A file whose first picture is followed by more, as by the rest of a camera's buffer
        or a phone's own data, is not checked.
        """
        if not self._is_checked:
            return
        n, alignment = len(after_end(stored)), len(stored) & -len(stored)
        is_lost = n > HEADER_BYTES and n >= alignment
        if self._is_first and is_lost:
            self._is_checked = False
        elif is_lost:
            yield f"{n:,} bytes behind the picture before are no picture"
        self._is_first = False
