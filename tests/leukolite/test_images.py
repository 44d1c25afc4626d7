import contextlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from environments import peak_memory
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukolite import images
from leukolite.errors import ImageError
from leukolite.file_kinds import SUFFIXES
from leukolite.images import MAX_PIXELS, read_rgb, size_of

RED, BLUE = (220, 30, 40), (40, 30, 220)


def red_and_blue(mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue, 64 wide and 48 high."""
    pixels = np.full((48, 64, 3), RED, np.uint8)
    pixels[:, 32:] = BLUE
    return Image.fromarray(pixels).convert(mode)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG that claims a size, without the pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_format_decodes_in_the_order_red_green_blue(tmp_path, suffix):
    pixels = read_rgb(saved(red_and_blue(), tmp_path / f"a{suffix}"))
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(pixels[24, [8, 56]].astype(int) - [RED, BLUE]).max() < 12  # lossy formats


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_becomes_three_equal_channels(tmp_path, mode):
    pixels = read_rgb(saved(red_and_blue(mode), tmp_path / "grey.png"))
    assert pixels.shape == (48, 64, 3)
    assert np.ptp(pixels, axis=2).max() == 0


def test_a_palette_becomes_its_colours(tmp_path):
    image = red_and_blue("P")
    assert np.array_equal(read_rgb(saved(image, tmp_path / "a.png")), np.asarray(image.convert("RGB")))


def test_opaque_rgba_is_read_as_rgb(tmp_path):
    assert np.array_equal(read_rgb(saved(red_and_blue("RGBA"), tmp_path / "a.png")), np.asarray(red_and_blue()))


def see_through(image: Image.Image) -> Image.Image:
    image.putpixel((3, 3), (0, 0, 0, 254))
    return image


UNUSABLE = {
    "CMYK JPEG": lambda path: saved(red_and_blue("CMYK"), path, format="JPEG"),
    "RGBA": lambda path: saved(see_through(red_and_blue("RGBA")), path, format="PNG"),
    "palette with transparency": lambda path: saved(red_and_blue("P"), path, format="PNG", transparency=bytes(256)),
    "RGB with a transparent colour": lambda path: saved(red_and_blue(), path, format="PNG", transparency=RED),
    "16-bit grey": lambda path: saved(Image.fromarray(np.full((8, 8), 40_000, np.uint16)), path, format="PNG"),
    "16-bit RGB PNG": lambda path: path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), 40_000, np.uint16))[1]),
    "16-bit RGB TIFF": lambda path: path.write_bytes(cv2.imencode(".tiff", np.full((8, 8, 3), 40_000, np.uint16))[1]),
    "float": lambda path: saved(Image.fromarray(np.zeros((8, 8), np.float32)), path, format="TIFF"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_8_bit_rgb_cannot_hold_is_refused(tmp_path, kind):
    UNUSABLE[kind](tmp_path / "cell.img")
    with pytest.raises(ImageError, match=r"cell\.img: expected 8-bit RGB or grey, found .+; convert it first"):
        read_rgb(tmp_path / "cell.img")


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (MAX_PIXELS // 1000 + 1, 1000)])
def test_a_huge_picture_is_refused_by_its_header(tmp_path, width, height):
    with pytest.raises(ImageError, match=r"huge\.png: .*more than 50 megapixels"):
        read_rgb(png_header(tmp_path / "huge.png", width, height))


def test_a_text_file_with_an_images_name_is_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(ImageError, match=r"notes\.jpg: not an image"):
        read_rgb(tmp_path / "notes.jpg")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: the file is empty"):
        read_rgb(tmp_path / "empty.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        read_rgb(tmp_path / "gone.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = saved(red_and_blue(), tmp_path / f"cut{suffix}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError, match=rf"cut\{suffix}: damaged or truncated"):
        read_rgb(path)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_no_beginning_of_a_file_gives_a_part_of_the_picture(tmp_path, suffix):
    path = saved(red_and_blue(), tmp_path / f"a{suffix}")
    whole, data = read_rgb(path), path.read_bytes()

    @given(st.integers(0, len(data) - 1))
    def check(length: int) -> None:
        path.write_bytes(data[:length])
        with contextlib.suppress(ImageError):
            assert np.array_equal(read_rgb(path), whole)

    check()


# memory


def test_a_picture_whose_decoding_takes_more_memory_than_a_service_has_is_refused_by_its_header(tmp_path):
    with pytest.raises(ImageError, match=r"huge\.png: 7700x6400 as PNG takes 444 MB of memory, at most 280; crop or"):
        read_rgb(png_header(tmp_path / "huge.png", 7700, 6400))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
def test_decoding_takes_no_more_memory_than_it_is_said_to(tmp_path, kind):
    width, height = 3000, 2000
    path = tmp_path / "field"
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(path, kind)
    said = path.stat().st_size + width * height * images._BYTES_A_PIXEL[kind]
    read = "from pathlib import Path; from leukolite.images import read_rgb; import leukolite.colour\n"
    _, before = peak_memory(read)
    _, after = peak_memory(f"{read}read_rgb(Path({str(path)!r}))")
    assert after - before < said + 12 * 2**20  # and Pillow's modules


def test_whatever_a_decoder_raises_is_a_picture_that_cannot_be_used(tmp_path, monkeypatch):
    path = saved(red_and_blue(), tmp_path / "cell.png", format="PNG")
    for error in (
        RuntimeError("odd"),
        struct.error("short"),
        MemoryError(),
        RecursionError("deep"),
        ZeroDivisionError("0"),
        AssertionError(),
    ):

        def fails(*arguments: object, error: Exception = error) -> object:
            raise error

        monkeypatch.setattr(images, "_decoded", fails)
        with pytest.raises(ImageError, match=r"cell\.png: (damaged or truncated|needs more memory)"):
            read_rgb(path)

        def opens_not(*arguments: object, error: Exception = error, **options: object) -> object:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Image, "open", opens_not)
            with pytest.raises(ImageError, match=r"cell\.png: (damaged or truncated|needs more memory|cannot be read)"):
                size_of(path)


def test_a_pictures_size_is_had_without_its_pixels_and_of_formats_that_are_meant_alone(tmp_path):
    assert size_of(png_header(tmp_path / "header.png", 300, 200)) == (300, 200)
    drawing = tmp_path / "drawing.tif"
    drawing.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    for path in (drawing, tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageError, match=path.name):
            size_of(path)
