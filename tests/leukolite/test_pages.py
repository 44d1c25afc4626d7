"""One file, one upright picture, whole: pages and frames, EXIF's turn, checksums."""

import contextlib
import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from leukolite.errors import ImageError
from leukolite.images import decode_rgb, read_rgb


def cell(level: int = 0) -> Image.Image:
    rng = np.random.default_rng(level)
    return Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))


def encoded(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    cell().save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "found"), [("TIFF", "3 pages"), ("WEBP", "3 frames"), ("PNG", "3 frames"), ("GIF", "3 frames")])
def test_a_file_of_several_pictures_is_refused_with_their_number(kind, found):
    data = encoded(kind, save_all=True, append_images=[cell(1), cell(2)])
    with pytest.raises(ImageError, match=f"^a: expected one picture, found {found}; save the one that is meant"):
        decode_rgb(data, "a")


@pytest.mark.parametrize("description", ["ImageJ=1.53t\nimages=12\nslices=12\n", '{"shape": [12, 40, 60, 3]}'])
def test_planes_that_only_a_description_names_are_counted(description):
    with pytest.raises(ImageError, match="expected one picture, found 12 pages"):
        decode_rgb(encoded("TIFF", description=description), "a")


@pytest.mark.parametrize("description", ["ImageJ=1.53t\nunit=micron\n", '{"shape": [40, 60, 3]}', '{"shape": [', "a smear"])
def test_a_description_of_one_picture_changes_nothing(description):
    assert np.array_equal(decode_rgb(encoded("TIFF", description=description), "a"), np.asarray(cell()))


def test_the_main_picture_of_an_mpo_is_taken():
    data = encoded("MPO", save_all=True, append_images=[cell(1)])
    assert np.array_equal(decode_rgb(data, "a"), decode_rgb(encoded("JPEG"), "a"))


def test_a_gif_of_one_picture_is_refused_for_its_colours():
    with pytest.raises(ImageError, match=r"not an image that can be read; expected \.bmp.*, found GIF"):
        decode_rgb(encoded("GIF"), "a")


def test_no_other_format_of_pillow_is_opened():
    for kind in ("PPM", "ICO", "EPS", "TGA"):
        with pytest.raises(ImageError, match="not an image that can be read"):
            decode_rgb(encoded(kind), "a")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_upright_once(kind, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded(kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode_rgb(data, "a"), np.asarray(upright))
    assert decode_rgb(data, "a").shape == ((60, 40, 3) if orientation in (5, 6, 7, 8) else (40, 60, 3))


def test_a_broken_exif_says_nothing_about_the_picture():
    data = encoded("JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    assert np.array_equal(decode_rgb(data, "a"), decode_rgb(encoded("JPEG"), "a"))


def test_every_wrong_checksum_of_a_png_is_refused():
    data = encoded("PNG", pnginfo=None)
    at = data.index(b"IDAT") + 4
    for place in range(at, len(data) - 16, 97):
        changed = data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]
        with pytest.raises(ImageError, match="a: damaged or truncated"):
            decode_rgb(changed, "a")


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "jpeg"])
def test_a_damaged_strip_of_a_tiff_is_refused_and_the_terminal_stays_quiet(compression, capfd):
    data = encoded("TIFF", compression=compression)
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        offset, size = image.tag_v2[273][0], image.tag_v2[279][0]
    middle = offset + size // 2
    for changed in (bytes(64), b"\x55" * 64):
        with pytest.raises(ImageError, match="a: damaged or truncated"):
            decode_rgb(data[:middle] + changed + data[middle + 64 :], "a")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", "tiff_deflate"])
def test_every_compression_of_tiff_gives_pillows_pixels(compression):
    data = encoded("TIFF", compression=compression)
    assert np.array_equal(decode_rgb(data, "a"), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_a_tiff_whose_pixels_are_missing_is_refused():
    data = encoded("TIFF", compression="tiff_lzw")
    with pytest.raises(ImageError, match="a: damaged or truncated"):
        decode_rgb(data[: len(data) * 2 // 3], "a")


def test_lines_of_libtiff_do_not_reach_the_terminal(capfd):
    data = bytearray(encoded("TIFF", compression="tiff_lzw"))
    data[len(data) // 2 : len(data) // 2 + 200] = b"\x11" * 200
    with contextlib.suppress(ImageError):
        decode_rgb(bytes(data), "a")
    assert capfd.readouterr() == ("", "")


def test_a_few_bytes_that_claim_gigabytes_end_soon():
    bomb = zlib.compress(bytes(300_000_000), 9)
    data = encoded("TIFF", compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(data)) as image:
        offset, size = image.tag_v2[273][0], image.tag_v2[279][0]
    swollen = data + bomb
    for old, new in ((offset, len(data)), (size, len(bomb))):
        swollen = swollen.replace(int(old).to_bytes(4, "little"), int(new).to_bytes(4, "little"), 1)
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode_rgb(swollen, "a")


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path):
    with (tmp_path / "slide.tif").open("wb") as file:
        file.truncate(5_000_000_000)
    with pytest.raises(ImageError, match="5000 MB are more than 50 megapixels need"):
        read_rgb(tmp_path / "slide.tif")


def test_the_cases_of_pages_and_of_a_turned_picture_come_out_right(cases):
    for name, count in (("stack.tif", 4), ("anim.webp", 4), ("zstack_blast_healthy_blast.tif", 3)):
        with pytest.raises(ImageError, match=f"expected one picture, found {count} "):
            read_rgb(cases / "pages" / name)
    turned, upright = read_rgb(cases / "profiles/exif_turned.jpg"), read_rgb(cases / "profiles/exif_upright.jpg")
    assert np.abs(turned.astype(int) - upright).max() <= 5  # saved twice
