"""Image files to pixels: one decoder for training, evaluation and the edge, which refuses what it cannot vouch for.

It is the border to what others wrote: whatever goes wrong in a decoder is an `ImageError`, and no picture takes more memory than
`MAX_MEMORY`.

What it gives is upright and in sRGB: EXIF's turn is applied, an ICC profile is converted. Damage is refused where the format
lets it be seen: JPEG by its strict decoder, PNG and deflated TIFF by their checksums, all others by what breaks off.
"""

import ctypes
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from leukolite.checksums import check_tiff, png_chunks
from leukolite.colour import broken_profile, check_exif_colours, check_png_colours, to_srgb
from leukolite.errors import ImageError, first_line, reason_of
from leukolite.file_kinds import ENDINGS
from leukolite.jpeg import MAX_PIXELS, START, check_size, decode_jpeg, has_torn_profile
from leukolite.places import problem_at
from leukolite.regular_file import open_regular
from leukolite.strict_json import parse_json_text
from leukolite.tiff_kinds import STARTS, check_tiff_kind, check_unread_tiff
from leukolite.zeros import check_bmp, check_webp

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # Pillow's; GIF so that its frames are counted
MAX_MEMORY = 280_000_000  # bytes for one picture: a session of several, with page and journal, stays within a service's 400 MB

# bytes a pixel, beside the file, that decoding takes at its peak, or what follows: noise, cutting out, a copy that is kept;
# measured by tests/attack/decoders.py
_BYTES_A_PIXEL = {"JPEG": 9, "MPO": 9, "PNG": 9, "TIFF": 10, "BMP": 9, "WEBP": 18}
_TURNED = 3  # more, where EXIF turns it on its side; of a JPEG within its 9
_STRIP_PIXELS = 1 << 20  # that are converted at a time

_EIGHT_BIT_MODES = frozenset({"RGB", "L", "P", "1"})
_ORIENTATION, _EXIF, _INTEROPERABILITY, _COLOUR_SPACE, _INTEROPERABILITY_INDEX = 0x112, 0x8769, 0xA005, 0xA001, 1
_DESCRIPTION = 270  # of a TIFF
_BEGINNINGS = (b"\x89PNG\r\n", *STARTS)


def read_rgb(path: Path) -> np.ndarray:
    """Decode an image file.

    Returns:
        uint8 RGB, shape (height, width, 3), contiguous, upright, sRGB.

    Raises:
        ImageError: the file is missing, empty, damaged, not an image, of more than one page or frame, larger than
            `MAX_PIXELS`, of colours that are not known, or holds what 8-bit RGB cannot (16-bit or float samples, CMYK, real
            transparency).
    """
    if problem := problem_at(path, "file"):
        raise ImageError(str(path), problem)
    try:
        size = path.stat().st_size
        if size == 0:
            raise ImageError(str(path), "the file is empty (0 bytes)")
        if size > MAX_MEMORY:
            raise _too_large(str(path), f"the file of {size / 1e6:.0f} MB", size)
        with open_regular(path) as file:
            data = file.read(MAX_MEMORY + 1)
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({reason_of(error)})") from error
    return decode_rgb(data, str(path))


def decode_rgb(data: bytes, name: str) -> np.ndarray:
    """As `read_rgb`, of an image file's bytes; `name` stands in its errors."""
    if not data:
        raise ImageError(name, "empty (0 bytes)")
    try:
        with _open_picture(io.BytesIO(data)) as image:
            check_size(*image.size, name)
            _check_memory(image, len(data), name)
            return np.ascontiguousarray(_decoded(image, data, name))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(name, f"more than {MAX_PIXELS // 1_000_000} megapixels; crop or shrink it first") from error
    except UnidentifiedImageError as error:
        raise _not_an_image(data, name) from error
    except MemoryError as error:
        raise ImageError(name, "needs more memory than there is; crop or shrink it first") from error
    except Exception as error:  # whatever: a decoder's on damaged data are of every kind
        check_unread_tiff(data, name)
        raise ImageError(name, f"damaged or truncated ({first_line(error)})") from error


def size_of(path: Path) -> tuple[int, int]:
    """Width and height, pixels, as a file's beginning has them: nothing is decoded, so that damage may follow.

    Raises:
        ImageError: it cannot be read, or is no image of a kind that `read_rgb` reads.
    """
    try:
        with open_regular(path) as file, _open_picture(file) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise ImageError(str(path), f"not an image that can be read; expected {ENDINGS}") from error
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({reason_of(error)})") from error
    except Exception as error:  # as of `decode_rgb`
        raise ImageError(str(path), f"damaged or truncated ({first_line(error)})") from error


@contextmanager
def _open_picture(file: BinaryIO) -> Iterator[ImageFile.ImageFile]:
    """The one place where Pillow opens what others wrote: only formats that are meant, and nothing is printed.

    Raises: whatever Pillow's parsers do; each caller makes it an `ImageError`.
    """
    _silence_pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the size is checked by who opens it, and damage raises
        with Image.open(file, formats=FORMATS) as image:
            yield image


def _decoded(image: ImageFile.ImageFile, data: bytes, name: str) -> np.ndarray:
    _check_pages(image, data, name)
    if image.format in ("JPEG", "MPO"):
        if not image.info.get("icc_profile") and has_torn_profile(data, name):
            raise broken_profile(name)
        pixels, exif, is_grey = decode_jpeg(data, name), _exif(image), image.mode == "L"
    else:
        if any(";16" in str(tile[3]) for tile in image.tile):  # Pillow would halve 16-bit RGB to 8 without a word
            raise ImageError(name, "expected 8-bit RGB or grey, found 16-bit samples; convert it first")
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            check_tiff_kind(image.tag_v2, name)
            check_tiff(data, image.tag_v2, name)
        if image.format == "BMP":
            check_bmp(data, name)
        picture = _opaque(image, name)
        pixels, is_grey = _rgb(picture), picture.mode in ("L", "1")
        if image.format == "WEBP":
            check_webp(data, pixels, name)
        exif = _exif(image)  # after its pixels: a PNG's may stand behind them, and Pillow has turned a TIFF upright
    profile = _profile(image, exif, data, name)
    if profile is not None:
        pixels = _in_srgb(pixels, profile, name, is_grey=is_grey)
    return _upright(pixels, exif.get(_ORIENTATION, 1))


def _check_memory(image: Image.Image, size: int, name: str) -> None:
    """Before anything is decoded. Raises: ImageError, if that would take more than `MAX_MEMORY`."""
    is_turned = image.format != "PNG" and _exif(image).get(_ORIENTATION, 1) in range(5, 9)  # a PNG's stands behind its pixels
    a_pixel = _BYTES_A_PIXEL.get(image.format or "", 0) + _TURNED * is_turned
    needed = size + image.width * image.height * a_pixel
    if needed > MAX_MEMORY:
        raise _too_large(
            name, f"{image.width}x{image.height} as {image.format}{', turned by its EXIF,' if is_turned else ''}", needed
        )


def _too_large(name: str, what: str, needed: int) -> ImageError:
    return ImageError(
        name, f"{what} takes {needed / 1e6:.0f} MB of memory, at most {MAX_MEMORY / 1e6:.0f}; crop or shrink it first"
    )


def _rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB of an 8-bit picture, strip by strip: Pillow's own way to an array takes three times the memory."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top, bottom in _strips(pixels):
        part = picture.crop((0, top, picture.width, bottom))
        pixels[top:bottom] = np.asarray(part.convert("RGB"))
    return pixels


def _in_srgb(pixels: np.ndarray, profile: bytes, name: str, *, is_grey: bool) -> np.ndarray:
    """Pixels by their profile, strip by strip."""
    converted = pixels if pixels.flags.writeable else pixels.copy()
    for top, bottom in _strips(pixels):
        part = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, :, 0]) if is_grey else pixels[top:bottom])
        converted[top:bottom] = np.asarray(to_srgb(part, profile, name))
    return converted


def _strips(pixels: np.ndarray) -> Iterator[tuple[int, int]]:
    height, width = pixels.shape[:2]
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _opaque(image: Image.Image, name: str) -> Image.Image:
    """The picture as it is, if it can be shown without losing anything."""
    picture = image.convert("RGBA") if "transparency" in image.info else image
    picture.load()
    opaque = picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255)
    if not opaque and picture.mode not in _EIGHT_BIT_MODES:
        raise ImageError(name, f"expected 8-bit RGB or grey, found Pillow mode {picture.mode}; convert it first")
    return picture


def _profile(image: Image.Image, exif: Image.Exif, data: bytes, name: str) -> bytes | None:
    """By what it is converted to sRGB; None where it is sRGB, as pictures are that say nothing."""
    if "icc_profile" in image.info and image.info["icc_profile"] is None:
        raise broken_profile(name)
    profile: bytes | None = image.info.get("icc_profile") or None
    codes = None
    if image.format == "PNG":
        chunks = png_chunks(data, name)
        codes = tuple(chunks[b"cICP"]) if b"cICP" in chunks else None
        if codes is not None or profile is None:
            check_png_colours(image.info, codes, name)
    if profile is not None and codes is None:
        return profile
    index = _interoperability(exif).get(_INTEROPERABILITY_INDEX)
    check_exif_colours(exif.get_ifd(_EXIF).get(_COLOUR_SPACE), index, name)
    return None


def _exif(image: Image.Image) -> Image.Exif:
    """Its EXIF; an empty one where it is broken, which says nothing about the pixels."""
    try:
        exif = image.getexif()
        exif.get_ifd(_EXIF)
        _interoperability(exif)
        return exif
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError):
        return Image.Exif()


def _interoperability(exif: Image.Exif) -> dict[int, object]:
    try:
        return exif.get_ifd(_INTEROPERABILITY)
    except KeyError:  # Pillow 10 raises it where there is none
        return {}


def _upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Turned and mirrored as EXIF's orientation, 1 to 8, asks; any other means nothing."""
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.swapaxes(0, 1)
        case 6:
            return np.rot90(pixels, -1)
        case 7:
            return pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(pixels)
    return pixels


def _check_pages(image: ImageFile.ImageFile, data: bytes, name: str) -> None:
    """One file, one picture. An MPO's first is its picture; what follows is for 3-D screens, or a map of its highlights."""
    pages = 1 if image.format in ("JPEG", "MPO") else getattr(image, "n_frames", 1)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        pages = max(pages, _described_pages(str(image.tag_v2.get(_DESCRIPTION, ""))))
    if pages > 1:
        what = "pages" if image.format == "TIFF" else "frames"
        raise ImageError(name, f"expected one picture, found {pages} {what}; save the one that is meant as a file of its own")
    if image.format == "GIF":
        raise ImageError(name, f"not an image that can be read; expected {ENDINGS}, found GIF, which holds 256 colours")


def _described_pages(description: str) -> int:
    """Planes that a TIFF's single directory stands for: ImageJ and tifffile write the others behind it without their own."""
    if description.startswith("ImageJ="):
        found = re.search(r"^images=(\d+)", description, re.MULTILINE)
        return int(found[1]) if found else 1
    if description.startswith('{"shape": ['):
        try:
            shape = parse_json_text(description)["shape"]
            return int(np.prod(shape[: -3 if shape[-1] in (3, 4) else -2]))
        except (ValueError, TypeError, KeyError, IndexError):
            return 1
    return 1


def _not_an_image(data: bytes, name: str) -> ImageError:
    if data.startswith(START):
        try:
            decode_jpeg(data, name)  # says why
        except ImageError as error:
            return error
    try:
        check_unread_tiff(data, name)
    except ImageError as error:
        return error
    if data.startswith(_BEGINNINGS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP"):
        return ImageError(name, "damaged or truncated (it begins like an image, but what describes its pixels cannot be read)")
    return ImageError(name, f"not an image that can be read; expected {ENDINGS}")


@cache
def _silence_pillow() -> None:
    """Keep Pillow's and libtiff's lines from the terminal: what they say is raised too."""
    from PIL import _imaging

    logging.getLogger("PIL").addHandler(logging.NullHandler())
    try:
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
    except (OSError, AttributeError):  # a Pillow that hides it, or has none
        return
