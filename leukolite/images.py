"""Image files to pixels: one decoder for training, evaluation and the edge, which refuses what it cannot vouch for."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from leukolite.errors import ImageError
from leukolite.file_kinds import SUFFIXES
from leukolite.places import problem_at

MAX_PIXELS = 50_000_000  # ten times a 2592x1944 camera still; 150 MB decoded, more would not fit beside the model on a Pi

_EIGHT_BIT_MODES = frozenset({"RGB", "L", "P", "1"})


def read_rgb(path: Path) -> np.ndarray:
    """Decode an image file.

    Returns:
        uint8 RGB, shape (height, width, 3), contiguous.

    Raises:
        ImageError: the file is missing, empty, truncated, not an image, larger than `MAX_PIXELS`, or holds what
            8-bit RGB cannot (16-bit or float samples, CMYK, real transparency).
    """
    if problem := problem_at(path, "file"):
        raise ImageError(str(path), problem)
    try:
        if path.stat().st_size == 0:
            raise ImageError(str(path), "the file is empty (0 bytes)")
    except OSError as error:
        raise ImageError(str(path), f"cannot be read ({error.strerror or error})") from error
    return _decode(path, str(path))


def decode_rgb(data: bytes, name: str) -> np.ndarray:
    """As `read_rgb`, of an image file's bytes; `name` stands in its errors."""
    if not data:
        raise ImageError(name, "empty (0 bytes)")
    return _decode(io.BytesIO(data), name)


def _decode(file: Path | io.BytesIO, name: str) -> np.ndarray:
    try:
        with _open(file) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    name, f"{width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels; crop or shrink it first"
                )
            if any(";16" in str(tile[3]) for tile in image.tile):  # Pillow would halve 16-bit RGB to 8 without a word
                raise ImageError(name, "expected 8-bit RGB or grey, found 16-bit samples; convert it first")
            picture = image.convert("RGBA") if "transparency" in image.info else image
            opaque = picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255)
            if not opaque and picture.mode not in _EIGHT_BIT_MODES:
                raise ImageError(name, f"expected 8-bit RGB or grey, found Pillow mode {picture.mode}; convert it first")
            return np.ascontiguousarray(np.asarray(picture.convert("RGB"), dtype=np.uint8))
    except Image.DecompressionBombError as error:
        raise ImageError(name, f"more than {MAX_PIXELS // 1_000_000} megapixels; crop or shrink it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(name, f"not an image that can be read; expected {', '.join(sorted(SUFFIXES))}") from error
    except FileNotFoundError as error:
        raise ImageError(name, "no such file") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow's decoders raise these on damaged data
        raise ImageError(name, f"damaged or truncated ({error})") from error


def _open(file: Path | io.BytesIO) -> ImageFile.ImageFile:
    """Pillow's open, which reads the header alone, without its warnings: `read_rgb` checks the size, damage raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file)
