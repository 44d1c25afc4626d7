"""JPEG, strictly: a warning of the decoder is a refusal, but for the stray bytes that sound pictures of common cameras carry.

libjpeg goes on after damage: it fills in grey, or shifts what follows. Its strict mode (libjpeg-turbo, by simplejpeg) stops
at the first warning. How often each kind of damage shows, and which bytes are stray, is measured in
docs/evidence/damaged-pictures.md.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg

from leukolite.errors import ImageError

MAX_PIXELS = 50_000_000  # ten times a 2592x1944 camera still; 150 MB decoded, more would not fit beside the model on a Pi
START, END = b"\xff\xd8", b"\xff\xd9"
STRAY_BYTES = 9  # before a marker: Logitech's C270, C910 and others put 1 to 9 there (github.com/Motion-Project/motion/issues/65)
PADDING_BYTES = 16  # of one value before the end: cameras fill up to a multiple of 4, 8 or 16
ZERO_BYTES = 32  # more than a block of 63 times the shortest code takes: no picture has it, a zeroed sector has
HELD_BYTES = 8  # the decoder reads ahead: so many stray bytes more than it reports at the end
MAX_WIDTH = 65_500  # libjpeg's
COEFFICIENTS = 64  # of a block
READ_AHEAD_ROUNDS = 3  # stray bytes that it had read ahead are reported when those behind them are gone

_DHT, _SOF0, _SOF1, _SOF2, _SOS, _DRI, _APP2 = 0xC4, 0xC0, 0xC1, 0xC2, 0xDA, 0xDD, 0xE2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")  # that ends a scan: within its data 0xFF is followed by 0 or is a restart
_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0xd[0-79]")


@dataclass(frozen=True)
class Header:
    """What stands before a JPEG's pixels.

    Attributes:
        segments: marker, and first and last byte + 1 of what it holds.
        frame: first byte of the frame header's content; `process`: its marker.
        scan: first byte of the first scan's data.
    """

    segments: tuple[tuple[int, int, int], ...]
    frame: int
    process: int
    scan: int


def decode_jpeg(data: bytes, name: str) -> np.ndarray:
    """Decode a JPEG of 8-bit colour or grey; what follows its end is ignored.

    Returns:
        uint8 RGB, shape (height, width, 3), to the bit what Pillow and libjpeg-turbo give; without its EXIF's turn and its
        colour profile.

    Raises:
        ImageError: it is damaged, or coded in a way whose damage would not be noticed.
    """
    header = _header(data, name)
    _check_process(data, header, name)
    end = _check_scans(data, header, name)
    _check_zeroed(data, header, end, name)
    found, whole = _decoded(data[: end + 2]), data[: end + 2]
    if _stray_bytes(found) is not None:
        whole = _without_stray_bytes(whole, header, name)
        found = _decoded(whole)
    for _ in range(READ_AHEAD_ROUNDS):
        count = _stray_bytes(found)
        if count is None or not _is_stray(whole[header.scan : -2], count):
            break
        whole = whole[: -2 - count] + END  # the rest is decoded strictly again
        found = _decoded(whole)
    if isinstance(found, str):
        raise ImageError(name, f"damaged or truncated ({found})")
    return found


def check_size(width: int, height: int, name: str) -> None:
    """Raises: ImageError, if a picture is larger than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise ImageError(name, f"{width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels; crop or shrink it first")


def after_end(data: bytes) -> bytes:
    """What follows a JPEG's end. Raises: ImageError, if it has none."""
    return data[_check_scans(data, _header(data, ""), "") + 2 :]


def has_torn_profile(data: bytes, name: str) -> bool:
    """Whether it holds parts of a colour profile; libjpeg and Pillow ignore one whose parts are not all there."""
    header = _header(data, name)
    return any(marker == _APP2 and data[first : first + 11] == b"ICC_PROFILE" for marker, first, _ in header.segments)


def _decoded(data: bytes) -> np.ndarray | str:
    """The pixels, or what the decoder warns of."""
    try:
        return simplejpeg.decode_jpeg(data)
    except ValueError as error:
        return str(error)


def _stray_bytes(found: np.ndarray | str) -> int | None:
    """How many bytes before the end or a restart marker the decoder warns of; None where it does not, or of more than that."""
    stray = _STRAY.search(found) if isinstance(found, str) else None
    return None if stray is None else int(stray[1])


def _header(data: bytes, name: str) -> Header:
    segments, at, frame, process = [], 2, -1, 0
    while data[at : at + 1] == b"\xff" and len(data) >= at + 4:
        marker = data[at + 1]
        if marker == 0xFF:  # a filler
            at += 1
            continue
        last = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append((marker, at + 4, last))
        if marker in _FRAMES:
            frame, process = at + 4, marker
        if marker == _SOS:
            if frame < 0 or last > len(data):
                break
            return Header(tuple(segments), frame, process, last)
        at = last
    raise ImageError(name, "damaged or truncated (the JPEG breaks off before its pixels)")


def _check_process(data: bytes, header: Header, name: str) -> None:
    if header.process not in (_SOF0, _SOF1, _SOF2):
        kind = "arithmetic coding" if header.process > 0xC8 else "lossless coding"
        raise ImageError(name, f"expected a baseline or progressive JPEG, found {kind}; convert it first")
    depth, components = data[header.frame], data[header.frame + 5]
    if depth != 8:
        raise ImageError(name, f"expected 8-bit RGB or grey, found {depth}-bit samples; convert it first")
    height, width = struct.unpack_from(">HH", data, header.frame + 1)
    check_size(width, height, name)
    if components not in (1, 3):
        raise ImageError(name, f"expected 8-bit RGB or grey, found {components} channels (CMYK); convert it first")


def _check_scans(data: bytes, header: Header, name: str) -> int:
    """Where the end marker stands, behind scans that bring every channel's coefficients to their last bit.

    The decoder shows a picture whose last scans are missing as coarse as it is then, or without colour, and warns of nothing.
    """
    channels = data[header.frame + 6 : header.frame + 6 + 3 * data[header.frame + 5] : 3]
    missing_bits: dict[tuple[int, int], int] = {}  # (channel, coefficient) that has come -> lowest bits that have not
    marker, first, last = header.segments[-1]
    while marker != END[1]:
        if marker == _SOS and last - first >= 4 and last <= len(data):
            low, high, shift = (*data[last - 3 : last - 1], data[last - 1] & 15) if header.process == _SOF2 else (0, 63, 0)
            for channel in data[first + 1 : last - 3 : 2]:
                missing_bits |= {(channel, k): shift for k in range(low, min(high, COEFFICIENTS - 1) + 1)}
        if (found := _MARKER.search(data, last)) is None:
            raise ImageError(name, "damaged or truncated (the JPEG has no end)")
        marker, end, first = data[found.end() - 1], found.end() - 2, found.end() + 2
        last = found.end() + int.from_bytes(data[found.end() : first], "big")
    if len(missing_bits) < COEFFICIENTS * len(set(channels)) or any(missing_bits.values()):
        raise ImageError(name, "damaged or truncated (the JPEG ends before its last scan)")
    return end


def _check_zeroed(data: bytes, header: Header, end: int, name: str) -> None:
    """Zeros are codes too, and a decoder that reads a zeroed sector may be in step again behind it without a warning.

    Flat areas may be zeros: in a progressive JPEG, and where the shortest code of a table stands for "no more in this block".
    """
    shortest = _shortest_symbols(data, header)
    if (
        header.process != _SOF2
        and any(symbol & 15 for symbol in shortest)
        and data.find(bytes(ZERO_BYTES), header.scan, end) >= 0
    ):
        raise ImageError(name, "damaged or truncated (zeros in the place of pixels)")


def _shortest_symbols(data: bytes, header: Header) -> Iterator[int]:
    """What the shortest code, zeros alone, stands for in each Huffman table of the AC coefficients."""
    for marker, first, last in header.segments:
        at = first
        while marker == _DHT and at + 17 < last:
            if data[at] >> 4:
                yield data[at + 17]
            at += 17 + sum(data[at + 1 : at + 17])


def _is_stray(scan: bytes, count: int) -> bool:
    """Whether bytes before the end are the camera's, not a picture's that is not decoded to its end."""
    zeros = len(scan) - len(scan.rstrip(b"\0"))
    if zeros > count + HELD_BYTES:  # the picture's own last bytes are zeros as well: a zeroed tail
        return False
    return count <= STRAY_BYTES or (count <= PADDING_BYTES and len(set(scan[-count:])) == 1)


def _without_stray_bytes(data: bytes, header: Header, name: str) -> bytes:
    """The same picture without the stray bytes at its restart markers.

    Between two markers lies a picture of its own. It is decoded alone, in one strip: the decoder's counts run on over markers.
    """
    interval = next((data[first:last] for marker, first, last in header.segments if marker == _DRI), b"")
    units = int.from_bytes(interval, "big")
    samplings = [data[header.frame + 7 + 3 * i] for i in range(data[header.frame + 5])]
    if len(samplings) == 1:  # of a single channel a unit is one block, however it is sampled
        samplings = [0x11]
    width, height = (8 * max(sampling >> shift & 15 for sampling in samplings) for shift in (4, 0))
    if units == 0 or units * width > MAX_WIDTH or header.process == _SOF2:
        return data
    strip = data[: header.frame + 1] + struct.pack(">HH", height, units * width) + data[header.frame + 5 : header.scan]
    parts = re.split(rb"(\xff[\xd0-\xd7])", data[header.scan : -2])
    for i in range(0, len(parts) - 1, 2):
        parts[i] = _shortest_whole(strip, parts[i], name)
    return data[: header.scan] + b"".join(parts) + END


def _shortest_whole(strip: bytes, part: bytes, name: str) -> bytes:
    """The part of a scan with none but the bytes that its pixels need."""
    whole: bytes | None = None
    found: np.ndarray | str = ""
    for count in range(STRAY_BYTES + 1):
        cut = part[: len(part) - count]
        found = _decoded(strip + cut + END)
        if isinstance(found, np.ndarray):
            whole = cut
        elif whole is not None:
            return whole
        elif _stray_bytes(found) is None:
            break
    if whole is None:
        raise ImageError(name, f"damaged or truncated ({found})")
    return whole
