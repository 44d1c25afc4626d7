"""Whether a video's file ends before its container does, by the sizes that the container gives: nothing is decoded.

Sources: RFC 8794 and 9559 (Matroska, WebM), ISO/IEC 14496-12 (MP4, MOV, 3GP), 13818-1 (transport streams),
Microsoft's ASF 1.20.03, Adobe's FLV 10.1, libvpx's IVF.
"""

from io import BufferedReader
from pathlib import Path

from leukolite.edge.camera.containers import transport_packets

_EBML, _SEGMENT, _CLUSTER = b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ELEMENTS = frozenset(  # of the two upper levels
    bytes.fromhex(one)
    for one in (
        *("1A45DFA3", "18538067", "114D9B74", "1549A966", "1654AE6B", "1C53BB6B", "1941A469", "1043A770", "1254C367"),
        *("EC", "BF", "1F43B675", "E7", "5854", "A7", "AB", "A3", "A0", "AF"),
    )
)
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_BOXES = frozenset(b"ftyp moov mdat moof mfra free skip wide pnot sidx styp udta uuid meta".split())


def is_torn(path: Path) -> bool:
    """False also where the container does not say how long it is. Raises: OSError."""
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(1024)
        if head.startswith(_EBML):
            return _elements_end(file, size) > size
        if head[4:8] in _BOXES:
            return _boxes_end(file, size) > size
        if head.startswith(_ASF):
            return _objects_end(file, size) > size
        if head.startswith(b"DKIF"):
            return _frames_end(file, size) > size
        if head.startswith(b"FLV\1"):
            return not _ends_with_a_tag(file, size)
        if (packets := transport_packets(head)) is not None:
            first, step = packets
            return (size - first) % step not in (0, step - first)
    return False


def _elements_end(file: BufferedReader, size: int) -> int:
    """Where the last element of a Matroska should end; of live recordings, whose segment has no size, the last block."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        id_bytes = _ebml_width(head[:1])
        if head[:id_bytes] not in _ELEMENTS:  # bytes that somebody left behind the video
            break
        size_bytes = _ebml_width(head[id_bytes : id_bytes + 1])
        if size_bytes > 8 or len(head) < id_bytes + size_bytes:
            return at + 12 if len(head) < 12 else at
        unknown = (1 << 7 * size_bytes) - 1
        length = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
        at += id_bytes + size_bytes
        if length != unknown:
            at += length
        elif head[:id_bytes] not in (_SEGMENT, _CLUSTER):
            return size
    return at


def _ebml_width(first: bytes) -> int:
    """Of a number, by its first byte; 9 where that is none."""
    return 9 - int.from_bytes(first, "big").bit_length()


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


def _objects_end(file: BufferedReader, size: int) -> int:
    """Where the last object of an ASF should end: an identity of 16 bytes, and its size."""
    at = 0
    while at < size:
        file.seek(at + 16)
        length = int.from_bytes(file.read(8), "little")
        if not 24 <= length < 1 << 62:  # a live recording's, or what somebody left behind the video
            break
        at += length
    return at


def _frames_end(file: BufferedReader, size: int) -> int:
    """Where the last frame of an IVF should end, behind a header of 12 bytes that gives its size."""
    file.seek(6)
    at = int.from_bytes(file.read(2), "little")
    while at < size:
        file.seek(at)
        at += 12 + int.from_bytes(file.read(4), "little")
    return at


def _ends_with_a_tag(file: BufferedReader, size: int) -> bool:
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 4:
        return False
    file.seek(size - 4 - length)
    tag = file.read(4)
    return tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") + 11 == length
