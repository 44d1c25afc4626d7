"""Whether a video's file ends before its container does, by the sizes that the container gives: nothing is decoded.

Sources: RFC 8794 and 9559 (Matroska, WebM), ISO/IEC 14496-12 (MP4, MOV, 3GP), 13818-1 (transport streams), Adobe's FLV 10.1.
"""

from io import BufferedReader
from pathlib import Path

from leukolite.edge.camera.containers import transport_packets

_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = frozenset(b"ftyp moov mdat moof mfra free skip wide pnot sidx styp udta uuid meta".split())


def is_torn(path: Path) -> bool:
    """False also where the container does not say how long it is. Raises: OSError."""
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(1024)
        if head.startswith(_EBML):
            return _segment_end(head) > size
        if head[4:8] in _BOXES:
            return _boxes_end(file, size) > size
        if head.startswith(b"FLV\1"):
            return not _ends_with_a_tag(file, size)
        if (packets := transport_packets(head)) is not None:
            first, step = packets
            return (size - first) % step not in (0, step - first)
    return False


def _segment_end(head: bytes) -> int:
    """Of a Matroska; 0 where it is not known, as in a live recording."""
    at, length = _ebml_size(head, len(_EBML))
    at += length
    if head[at : at + 4] != _SEGMENT:
        return 0
    at, length = _ebml_size(head, at + 4)
    return at + length if length else 0


def _ebml_size(head: bytes, at: int) -> tuple[int, int]:
    """Where what has a size begins, and that size; 0 for the unknown one."""
    width = 9 - (head[at : at + 1] or b"\0")[0].bit_length()
    value, most = int.from_bytes(head[at : at + width], "big"), 1 << (7 * width)
    length = value & (most - 1)
    return at + width, 0 if length == most - 1 or width > 8 else length


def _boxes_end(file: BufferedReader, size: int) -> int:
    """Where the last box of an MP4 should end."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in _BOXES:  # bytes that somebody left behind the video
            break
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:  # 0: to the end of the file
            return size
        at += length
    return at


def _ends_with_a_tag(file: BufferedReader, size: int) -> bool:
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 4:
        return False
    file.seek(size - 4 - length)
    tag = file.read(4)
    return tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") + 11 == length
