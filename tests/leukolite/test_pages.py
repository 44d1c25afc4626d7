"""One file, one upright picture, whole: pages and frames, EXIF's turn, checksums."""

import contextlib
import io
import struct
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


# TIFFs that hold something else


def tiff_of(channels: int, *, photometric: int = 1, compression: int = 1, bits: int = 8, is_big: bool = False) -> bytes:
    """One strip of 8x8 pixels."""
    strip = bytes(range(1, 65)) * channels * (bits // 8)
    tags = {256: 8, 257: 8, 258: bits, 259: compression, 262: photometric, 277: channels, 278: 8, 279: len(strip), 284: 1}
    order, count, cell = ("<HHQQ", "<Q", 8) if is_big else ("<HHII", "<H", 4)
    head = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) if is_big else b"II*\0" + struct.pack("<I", 8)
    entries = len(tags) + 1
    bits_at = len(head) + struct.calcsize(count) + entries * struct.calcsize(order) + cell
    tags[273] = bits_at + 2 * channels
    rows = []
    for tag, value in sorted(tags.items()):
        if tag == 258 and 2 * channels > cell:
            rows.append(struct.pack(order, tag, 3, channels, bits_at))
        elif tag == 258:
            rows.append(
                struct.pack(order[:-1], tag, 3, channels) + struct.pack(f"<{channels}H", *[bits] * channels).ljust(cell, b"\0")
            )
        else:
            rows.append(struct.pack(order, tag, 4, 1, value))
    return (
        head
        + struct.pack(count, entries)
        + b"".join(rows)
        + bytes(cell)
        + struct.pack(f"<{channels}H", *[bits] * channels)
        + strip
    )


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize(("channels", "photometric"), [(5, 5), (5, 2), (6, 2), (5, 1), (7, 1), (31, 1)])
def test_a_sound_tiff_of_more_channels_is_refused_for_them_and_not_called_damaged(channels, photometric, is_big):
    data = tiff_of(channels, photometric=photometric, is_big=is_big)
    with pytest.raises(
        ImageError, match=f"^a: expected 8-bit RGB or grey of 1, 3 or 4 channels, found {channels}.*; convert it first$"
    ):
        decode_rgb(data, "a")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (tiff_of(3, photometric=2, compression=33003), r"compression 33003 \(JPEG 2000\)"),
        (tiff_of(3, photometric=2, compression=50002), r"compression 50002 \(JPEG XL\)"),
        (tiff_of(3, photometric=2, bits=32), "32-bit samples"),
        (tiff_of(3, photometric=2, bits=64), "64-bit samples"),
        (tiff_of(4, photometric=5), "Pillow mode CMYK"),
    ],
)
def test_a_tiff_that_pillow_cannot_open_is_refused_for_what_it_holds(data, found):
    with pytest.raises(ImageError, match=f"^a: expected .*, found {found}; convert it first$"):
        decode_rgb(data, "a")


def test_a_tiff_whose_tags_break_off_stays_damaged_and_quiet(recwarn):
    for data in (tiff_of(5)[:60], b"II*\0" + bytes(30), b"II*\0\x08\0\0\0" + b"\xff" * 30, b"MM\0+\0\x08\0\0" + b"\0\1" * 20):
        with pytest.raises(ImageError, match="a: damaged or truncated"):
            decode_rgb(data, "a")
    assert not recwarn.list


def test_grey_and_rgb_of_three_channels_are_read():
    assert decode_rgb(tiff_of(1), "a").shape == decode_rgb(tiff_of(3, photometric=2), "a").shape == (8, 8, 3)
