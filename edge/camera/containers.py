"""Which files are videos, by how they begin: `.h264` from a Pi's camera program, or a video without any ending."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leukolite.file_kinds import VIDEO, VIDEO_SUFFIXES, content_of, first_bytes
from leukolite.wording import is_utf8

_VIDEOS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\1",
    b"OggS",
    b"DKIF",  # IVF
    b"\x30\x26\xb2\x75",  # ASF: .wmv
    b"YUV4MPEG2",
    b"\x06\x0e\x2b\x34",  # MXF
    b"\0\0\1",  # MPEG, and bare H.264 and H.265
    b"\0\0\0\1",
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # the first of MP4, MOV, 3GP
_TRANSPORT_PACKETS = ((0, 188), (4, 192), (0, 204))  # first sync byte, and bytes from one to the next, of .ts and .m2ts


def is_video(path: Path) -> bool:
    """Whether a source is a video file: by its first bytes, or by its name where they say nothing."""
    return path.is_file() and _is_video(_head(path), path.suffix.lower())


def counts_its_frames(path: Path) -> bool:
    """Whether its container says how many frames it holds; of the others, OpenCV multiplies duration and rate."""
    head = _head(path)
    return head[4:8] in _BOXES or head.startswith(b"RIFF")


def transport_packets(head: bytes) -> tuple[int, int] | None:
    """Of a transport stream, by its first 512 bytes: where the first packet's sync byte is, and how long packets are."""
    return next((one for one in _TRANSPORT_PACKETS if head[one[0] : one[0] + 2 * one[1] + 1 : one[1]] == b"GGG"), None)


@contextmanager
def name_for_ffmpeg(path: Path) -> Iterator[str]:
    """A name under which FFmpeg opens a file within the block: absolute, for `a:b.mp4` would be a protocol, and in UTF-8."""
    if is_utf8(str(path.absolute())):
        yield str(path.absolute())
        return
    with path.open("rb") as file:
        yield f"/proc/self/fd/{file.fileno()}"


def _head(path: Path) -> bytes:
    try:
        return first_bytes(path)
    except OSError:
        return b""


def _is_video(head: bytes, suffix: str) -> bool:
    kind = content_of(head)
    if kind == "JPEG":  # one, or one behind the other
        return suffix in VIDEO_SUFFIXES
    if kind not in (None, VIDEO):  # HEIC's container is MP4's, and a web page may be called .mp4
        return False
    is_stream = transport_packets(head) is not None
    is_riff = head.startswith(b"RIFF") and head[8:11] == b"AVI"
    return is_riff or is_stream or head.startswith(_VIDEOS) or head[4:8] in _BOXES or suffix in VIDEO_SUFFIXES
