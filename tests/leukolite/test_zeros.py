"""Zeros in the place of pixels, where no checksum tells."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from leukolite.errors import ImageError
from leukolite.images import decode_rgb

WIDTH, HEIGHT = 260, 200
UNCOMPRESSED = {"BMP": {"format": "BMP"}, "TIFF": {"format": "TIFF"}, "TIFF in strips": {"format": "TIFF", "strip_size": 4096}}
COMPRESSED = {
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF, PackBits": {"format": "TIFF", "compression": "packbits"},
    "WebP": {"format": "WEBP", "quality": 80},
    "WebP, lossless": {"format": "WEBP", "lossless": True, "method": 3},
}
EVERY = UNCOMPRESSED | COMPRESSED


def photo() -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(90, 250, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, **EVERY[kind])
    return file.getvalue()


def zeroed(data: bytes, start: int, stop: int) -> bytes:
    return data[:start] + bytes(stop - start) + data[stop:]


@pytest.mark.parametrize("share", [0.2, 0.333, 0.7777])
@pytest.mark.parametrize("kind", EVERY)
def test_a_zeroed_tail_is_refused(kind, share):
    data = encoded(photo(), kind)
    with pytest.raises(ImageError, match="a: damaged or truncated"):
        decode_rgb(zeroed(data, int(share * len(data)), len(data)), "a")


@pytest.mark.parametrize("sectors", [1, 8, 32])
@pytest.mark.parametrize("kind", EVERY)
def test_zeroed_sectors_are_refused(kind, sectors):
    data = encoded(photo(), kind)
    start = len(data) // 3 // 512 * 512
    with pytest.raises(ImageError, match="a: damaged or truncated"):
        decode_rgb(zeroed(data, start, min(start + 512 * sectors, len(data))), "a")


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_pixels_of_a_palette_or_of_grey_are_checked_too(kind):
    for image in (photo().quantize(64), photo().convert("L")):
        data = encoded(image, kind)
        with pytest.raises(ImageError, match="zeros in the place of pixels"):
            decode_rgb(zeroed(data, len(data) * 2 // 3 // WIDTH * WIDTH + 100, len(data)), "a")


def letterbox(image: Image.Image) -> Image.Image:
    bars = Image.new("RGB", image.size)
    bars.paste(image.crop((0, 0, WIDTH, 120)), (0, 40))
    return bars


def round_field(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((35, 5, 225, 195), fill=255)
    return Image.composite(image, Image.new("RGB", image.size), mask)


def barred(image: Image.Image) -> Image.Image:
    ImageDraw.Draw(image).rectangle((150, 180, 240, 186), fill=0)
    return image


def fluorescence(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(int)
    return Image.fromarray((np.clip(pixels - 200, 0, 255) * [0, 1, 0]).astype(np.uint8))


SOUND: dict[str, Callable[[Image.Image], Image.Image]] = {
    "black borders": letterbox,
    "a round field": round_field,
    "turned": lambda image: image.rotate(7),
    "turned a little": lambda image: image.rotate(1, Image.Resampling.BILINEAR, expand=True),
    "a scale bar": barred,
    "black bottom": lambda image: image.crop((0, -60, WIDTH, HEIGHT + 60)),
    "fluorescence": fluorescence,
    "black": lambda image: Image.new("RGB", image.size),
    "white": lambda image: Image.new("RGB", image.size, "white"),
    "one row": lambda image: image.crop((0, 0, WIDTH, 1)),
    "one pixel": lambda image: image.crop((0, 0, 1, 1)),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", SOUND)
def test_black_that_is_meant_is_no_damage(name, kind):
    image = SOUND[name](photo())
    assert decode_rgb(encoded(image, kind), "a").shape == (image.height, image.width, 3)


def test_lossless_webp_at_its_fastest_may_hold_zeros_of_its_own():
    image = Image.new("RGB", (800, 800))
    image.paste(photo(), (200, 200))
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, method=0, quality=0)
    assert bytes(64) in file.getvalue()
    assert np.array_equal(decode_rgb(file.getvalue(), "a"), np.asarray(image))
