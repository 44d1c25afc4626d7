"""What PNG and TIFF files say about their own wholeness, which Pillow and libtiff pass by: checksums, zeros, JPEG within TIFF."""

import struct
import zlib
from collections.abc import Sequence

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from leukolite.errors import ImageError
from leukolite.jpeg import END, MAX_PIXELS, decode_jpeg
from leukolite.zeros import LZW_ZEROS, PACKBITS_ZEROS, check_compressed, check_rows

_SIGNATURE_BYTES = 8
_RAW, _LZW, _OLD_JPEG, _JPEG, _DEFLATE, _PACKBITS = 1, 5, 6, 7, (8, 32946), 32773  # TIFF's compressions
_ZEROS = {_LZW: LZW_ZEROS, _PACKBITS: PACKBITS_ZEROS}
_WIDTH, _HEIGHT, _BITS, _CHANNELS, _ROWS_PER_STRIP, _PLANES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 258, 277, 278, 284, 322, 323
_COMPRESSION, _STRIP_OFFSETS, _STRIP_SIZES, _TILE_OFFSETS, _TILE_SIZES, _TABLES = 259, 273, 279, 324, 325, 347


def png_chunks(data: bytes, name: str) -> dict[bytes, bytes]:
    """A PNG's chunks but its pixels, the last of each name.

    Raises:
        ImageError: a chunk's checksum is wrong, or the last chunk is missing.
    """
    chunks: dict[bytes, bytes] = {}
    at = _SIGNATURE_BYTES
    while b"IEND" not in chunks:
        if len(data) < at + 12:
            raise ImageError(name, "damaged or truncated (the PNG has no end)")
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4 : at + 8], memoryview(data)[at + 4 : at + 8 + length]
        found = data[at + 8 + length : at + 12 + length]
        if len(found) < 4 or struct.unpack(">I", found)[0] != zlib.crc32(content):
            raise ImageError(name, f"damaged or truncated (the PNG's chunk {ascii(kind)[2:-1]} is not what its checksum says)")
        chunks[kind] = b"" if kind == b"IDAT" else bytes(content[4:])
        at += 12 + length
    return chunks


def check_tiff(data: bytes, tags: ImageFileDirectory_v2, name: str) -> None:
    """Check the strips or tiles of a TIFF's page as far as their compression allows.

    Raises:
        ImageError: one is missing, or not what its checksum says, or a damaged JPEG.
    """
    compression = tags.get(_COMPRESSION, 1)
    offsets = _numbers(tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS))
    sizes = _numbers(tags.get(_STRIP_SIZES) or tags.get(_TILE_SIZES))
    if compression == _OLD_JPEG:
        raise ImageError(name, "expected a TIFF of today, found its old kind of JPEG (compression 6); convert it first")
    if not offsets or (sizes and len(sizes) != len(offsets)):
        raise ImageError(name, "damaged or truncated (the TIFF does not say where its pixels lie)")
    tables = bytes(tags.get(_TABLES, b""))
    for offset, size in zip(offsets, sizes, strict=False):
        part = data[offset : offset + size]
        if offset == 0 or size == 0 or len(part) < size:
            raise ImageError(name, "damaged or truncated (pixels of the TIFF are missing)")
        if compression == _JPEG:
            decode_jpeg(tables.removesuffix(END) + part[2:] if tables else part, name)
        elif compression in _DEFLATE:
            _inflate(part, name)
        elif compression in _ZEROS:
            check_compressed(part, _ZEROS[compression], name)
    if compression == _RAW:
        _check_uncompressed(data, tags, offsets, name)


def _check_uncompressed(data: bytes, tags: ImageFileDirectory_v2, offsets: Sequence[int], name: str) -> None:
    width, height, channels = (int(tags.get(tag, 1)) for tag in (_WIDTH, _HEIGHT, _CHANNELS))
    if set(_numbers(tags.get(_BITS))) != {8}:
        return
    planes = channels if tags.get(_PLANES) == 2 else 1
    within = 1 if planes > 1 else channels
    if _TILE_OFFSETS in tags:
        for offset in offsets:
            check_rows(data, [offset], (int(tags[_TILE_HEIGHT]), int(tags[_TILE_WIDTH]), within), name)
        return
    rows = min(int(tags.get(_ROWS_PER_STRIP, height)), height)
    strips = -(-height // rows) if rows > 0 else 0
    if strips and len(offsets) == strips * planes:
        shape = (height, width, within)
        for k in range(planes):
            check_rows(data, offsets[k * strips : (k + 1) * strips], shape, name, rows_per_strip=rows)


def _numbers(value: object) -> Sequence[int]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple) else (int(str(value)),)


def _inflate(part: bytes, name: str) -> None:
    """Piece by piece: a few bytes can claim gigabytes."""
    stream, size = zlib.decompressobj(), 0
    try:
        while not stream.eof:
            inflated = stream.decompress(part, 1 << 20)
            part, size = stream.unconsumed_tail, size + len(inflated)
            if size > 4 * MAX_PIXELS or not (inflated or part):
                break
    except zlib.error as error:
        raise ImageError(name, f"damaged or truncated ({error})") from error
    if not stream.eof:
        raise ImageError(name, "damaged or truncated (compressed pixels break off, or are more than the picture's)")
