"""TIFF files that are sound and hold something else than 8-bit RGB or grey, which Pillow calls damaged or reads in part."""

import io
import struct
import warnings

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from leukolite.errors import ImageError

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two of BigTIFF
MOST_CHANNELS = 4

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _CHANNELS, _SAMPLE_FORMAT = 256, 257, 258, 259, 262, 277, 339
_COLOURS = {5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "ICC Lab", 10: "ITU Lab", 32803: "a camera's raw pixels", 34892: "linear raw"}
_CODECS = {33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 50002: "JPEG XL"}


def check_tiff_kind(tags: ImageFileDirectory_v2, name: str) -> None:
    """Raises: ImageError, if a TIFF's page has more than `MOST_CHANNELS` channels, of more bits, or another format's pixels."""
    channels = _first(tags.get(_CHANNELS, 1))
    bits = _first(tags.get(_BITS, 1))
    if channels > MOST_CHANNELS:
        colours = _COLOURS.get(_first(tags.get(_PHOTOMETRIC, 1)))
        kind = f" ({colours} and {channels - 4} more)" if colours == "CMYK" else ""
        raise ImageError(name, f"expected 8-bit RGB or grey of 1, 3 or 4 channels, found {channels}{kind}; convert it first")
    if bits not in (1, 2, 4, 8):
        what = {2: "signed ", 3: "float ", 5: "complex ", 6: "complex "}.get(_first(tags.get(_SAMPLE_FORMAT, 1)), "")
        raise ImageError(name, f"expected 8-bit RGB or grey, found {bits}-bit {what}samples; convert it first")
    compression = _first(tags.get(_COMPRESSION, 1))
    if codec := _CODECS.get(compression):
        raise ImageError(
            name, f"expected a TIFF that can be unpacked, found compression {compression} ({codec}); convert it first"
        )


def check_unread_tiff(data: bytes, name: str) -> None:
    """As `check_tiff_kind`, of a file that Pillow cannot open; says nothing where its tags cannot be read either."""
    if not data.startswith(STARTS):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are not all there
            tags = ImageFileDirectory_v2(data[: 16 if b"+" in data[2:4] else 8])
            file = io.BytesIO(data)
            file.seek(tags.next)
            tags.load(file)
            has_size = _WIDTH in tags and _HEIGHT in tags
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError, struct.error):
        return
    if not has_size:
        return
    check_tiff_kind(tags, name)
    colours = _first(tags.get(_PHOTOMETRIC, 1))
    if colours in _COLOURS:
        raise ImageError(name, f"expected 8-bit RGB or grey, found {_COLOURS[colours]}; convert it first")


def _first(value: object) -> int:
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else 1
