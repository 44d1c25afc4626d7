"""Zeros in the place of pixels, as a download that stopped, a hole or a bad sector leaves them, where no checksum tells.

In compressed pixels a run of zeros says nothing that an encoder would not say shorter. Among uncompressed pixels zeros are black,
and black may be meant: a border, a ground, a bar. What cannot be meant is black that begins or ends within a row whose
neighbours are full of pixels, and fills the rows behind or before it. How often either shows is measured in
docs/evidence/damaged-pictures.md.
"""

import re
import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from leukolite.errors import ImageError

WEBP_ZEROS, WEBP_TAIL = 64, 16  # bytes; sound pictures have up to 19 in a row, and 7 at the end
LZW_ZEROS = 32  # bytes; a dictionary names a repetition, so that two codes of 0 never follow each other
PACKBITS_ZEROS = 130  # bytes; more than its longest run of bytes as they are
SECTOR = 512  # bytes

_LEAST_LOST = 8  # pixels of a row that the rows beside it have
_FULL = 0.9  # share of a row that is not black
_BY_CHANCE = 4  # bytes: a pixel's own zeros beside a hole
_FLAT_BITS = 12  # of a flat pixel in lossless WebP, at most, where such are many
_WEBP_RUN = re.compile(rb"\0{%d,}|\0{%d,}\Z" % (WEBP_ZEROS, WEBP_TAIL))
_LEAST_BITS = 8  # of a pixel; finer ones share a byte


def check_compressed(part: bytes, most: int, name: str) -> None:
    """Raises: ImageError, if `most` zeros in a row or more are in compressed pixels."""
    if part.find(bytes(most)) >= 0:
        raise _zeroed(name)


def check_webp(data: bytes, pixels: np.ndarray, name: str) -> None:
    """Check the compressed pixels of a WebP file.

    Args:
        pixels: decoded, shape (height, width, 3) or (height, width).

    Raises:
        ImageError: they hold zeros in the place of pixels, or zeros stand in the place of a chunk.
    """
    at = 12
    while at + 8 <= len(data):
        kind, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        content = data[at + 8 : at + 8 + size]
        runs = [(run.start(), run.end()) for run in _WEBP_RUN.finditer(content)]
        lossy_zeros = kind == b"VP8 " and bool(runs)
        if kind == bytes(4) or lossy_zeros or (kind == b"VP8L" and runs and _is_zeroed_lossless(runs, at + 8, size, pixels)):
            raise _zeroed(name)
        at += 8 + size + size % 2


def _is_zeroed_lossless(runs: Sequence[tuple[int, int]], at: int, size: int, pixels: np.ndarray) -> bool:
    """Whether zeros in lossless WebP are none of its own: encoders at their fastest write flat areas pixel by pixel."""
    for start, stop in runs:
        if -(at + start) % SECTOR <= _BY_CHANCE and (stop == size or (at + stop) % SECTOR <= _BY_CHANCE):
            return True
    is_flat = np.ones(pixels.shape[:2], bool)
    for axis in (0, 1):
        same = np.diff(pixels, axis=axis) == 0
        later = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        is_flat[later] &= same.reshape(*same.shape[:2], -1).all(axis=2)
    zeros = sum(stop - start for start, stop in runs)
    last = 8 * (size - runs[-1][0]) // _FLAT_BITS if runs[-1][1] == size else 0
    is_its_own = is_flat.sum() * _FLAT_BITS >= 8 * zeros and (last == 0 or is_flat.ravel()[-last:].all())
    return not is_its_own or _is_torn(~is_flat)


def check_bmp(data: bytes, name: str) -> None:
    """Check the rows of an uncompressed BMP. Raises: ImageError, if zeros stand in the place of pixels."""
    offset, header = struct.unpack_from("<II", data, 10)
    if header < 40:  # of OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    stride, height = (width * bits + 31) // 32 * 4, abs(height)
    if compression not in (0, 3) or bits < _LEAST_BITS or len(data) < offset + stride * height:
        return
    check_rows(data, [offset], (height, width, bits // 8), name, stride=stride)


def check_rows(
    data: bytes,
    offsets: Sequence[int],
    shape: tuple[int, int, int],
    name: str,
    *,
    stride: int | None = None,
    rows_per_strip: int | None = None,
) -> None:
    """Check rows of uncompressed pixels, in the order in which they are stored.

    Args:
        offsets: where each strip of rows begins in the file.
        shape: rows of all strips together, pixels a row, bytes a pixel.
        stride: bytes from a row to the next; None: no more than its pixels.
        rows_per_strip: of all but the last; None: there is one strip.

    Raises:
        ImageError: zeros stand in the place of pixels.
    """
    height, width, channels = shape
    stride = stride or width * channels
    rows_per_strip = rows_per_strip or height
    shown = np.zeros((height, width), bool)
    for k, offset in enumerate(offsets):
        first = k * rows_per_strip
        rows = min(rows_per_strip, height - first)
        if len(data) < offset + (rows - 1) * stride + width * channels:
            return  # not all there: the decoder says so
        pixels = np.ndarray((rows, width, channels), np.uint8, data, offset, (stride, channels, 1))  # the file's own: no copy
        np.any(pixels, axis=2, out=shown[first : first + rows])
    in_one_piece = all(second == first + rows_per_strip * stride for first, second in pairwise(offsets))
    has_hole = in_one_piece and _has_hole(data, offsets[0], (height, width * channels), stride)
    if has_hole or _is_torn(shown) or _is_torn(shown[::-1, ::-1]):
        raise _zeroed(name)


def _is_torn(shown: np.ndarray) -> bool:
    """Whether a full row breaks off before its end, and all is black up to the next.

    Args:
        shown: which pixels are not black, bool, shape (height, width).
    """
    any_shown = np.asarray(shown.any(axis=1))
    last_rows = np.flatnonzero(any_shown & ~np.append(any_shown[1:], False))
    for row in last_rows[last_rows >= 2]:
        end = int(np.flatnonzero(shown[row])[-1]) + 1
        above = shown[row - 1] & shown[row - 2]
        kept = (shown[row] & above).sum() >= _FULL * above[:end].sum()
        if kept and above.mean() >= _FULL and above[end:].sum() >= _LEAST_LOST:
            return True
    return False


def _has_hole(data: bytes, offset: int, rows: tuple[int, int], stride: int) -> bool:
    """Whether whole sectors of the file are zeros, no more and no less, where the rows above and below are not black.

    Args:
        rows: how many, and the bytes of each.
    """
    height, used = rows
    end = offset + (height - 1) * stride + used
    first = -(-offset // SECTOR)
    count = max(end // SECTOR - first, 0)
    sectors = np.frombuffer(data, np.uint8, count * SECTOR, first * SECTOR if count else 0).reshape(-1, SECTOR)
    is_zero = np.concatenate([[False], ~sectors.any(axis=1), [False]])
    edges = np.flatnonzero(np.diff(is_zero.astype(np.int8))).reshape(-1, 2)
    for start, stop in (edges + first) * SECTOR:
        if not any(data[start - _BY_CHANCE : start]) or not any(data[stop : stop + _BY_CHANCE]):
            continue
        above = data[max(start - stride, offset) : min(stop, start + stride) - stride]
        below = data[max(start, stop - stride) + stride : min(stop + stride, end)]
        if start - stride >= offset and stop + stride <= end and all(_is_full(part) for part in (above, below)):
            return True
    return False


def _is_full(part: bytes) -> bool:
    return len(part) > 0 and int(np.count_nonzero(np.frombuffer(part, np.uint8))) >= _FULL * len(part)


def _zeroed(name: str) -> ImageError:
    return ImageError(name, "damaged or truncated (zeros in the place of pixels)")
