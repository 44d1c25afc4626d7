"""Pictures' colours to sRGB."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from leukolite.errors import ImageError
from leukolite.images import decode_rgb, read_rgb

FORMATS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 563 / 256
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), None


def lattice() -> Image.Image:
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3))


def profile(primaries: tuple[tuple[float, ...], ...], gamma: float | None, *, space: bytes = b"RGB ") -> bytes:
    """An ICC profile of version 2: primaries as XYZ of D50, one gamma, or sRGB's curve."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    levels = np.linspace(0, 1, 1024)
    curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    samples = np.rint(curve * 65535).astype(">u2").tobytes()
    trc = (
        struct.pack(">4sIIH", b"curv", 0, 1, round(gamma * 256)) + b"\0\0"
        if gamma
        else b"curv\0\0\0\0" + struct.pack(">I", 1024) + samples
    )
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78 + 5)
    if space == b"GRAY":
        tags[b"kTRC"] = trc
    else:
        for name, xyz in zip((b"r", b"g", b"b"), primaries, strict=True):
            tags[name + b"XYZ"], tags[name + b"TRC"] = b"XYZ \0\0\0\0" + fixed(*xyz), trc
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">4xI4s4s4s12x4s4x", 0x02400000, b"mntr", space, b"XYZ ", b"acsp") + bytes(24) + fixed(0.9642, 1.0, 0.8249)
    head += bytes(124 - len(head))
    return struct.pack(">I", 132 + len(table) + len(body)) + head + struct.pack(">I", len(tags)) + table + body


def by_the_book(pixels: np.ndarray, primaries: tuple[tuple[float, ...], ...], gamma: float | None) -> np.ndarray:
    """Relative colorimetric, in floating point. Source: IEC 61966-2-1."""
    values = pixels / 255
    linear = values**gamma if gamma else np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_srgb = np.linalg.inv(np.array(((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))))
    linear = np.clip(linear @ np.array(primaries) @ to_srgb, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **FORMATS.get(kind, {}), **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return decode_rgb(data, "a").astype(int)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("primaries", "gamma"), [ADOBE_RGB, DISPLAY_P3], ids=["Adobe RGB", "Display P3"])
def test_a_profile_is_converted_to_srgb_by_the_book(kind, primaries, gamma):
    data = encoded(lattice(), kind, icc_profile=profile(primaries, gamma))
    expected = by_the_book(decoded(encoded(lattice(), kind)), primaries, gamma)
    assert np.abs(decoded(data) - expected).max() <= 2
    assert np.abs(decoded(data) - decoded(encoded(lattice(), kind))).max() > 20


SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)), None


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("srgb", [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), profile(*SRGB)])
def test_srgb_by_whatever_name_leaves_the_pixels_as_they_are(kind, mode, srgb):
    image = lattice().convert(mode)
    assert np.array_equal(decoded(encoded(image, kind, icc_profile=srgb)), decoded(encoded(image, kind)))


def test_a_palette_is_converted_too():
    image = lattice().quantize(64)
    data = encoded(image, icc_profile=profile(*ADOBE_RGB))
    assert np.abs(decoded(data) - by_the_book(np.asarray(image.convert("RGB")), *ADOBE_RGB)).max() <= 2


def test_a_grey_profile_is_for_grey_pictures():
    grey = profile((), 1.8, space=b"GRAY")
    image = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    expected = by_the_book(np.repeat(np.asarray(image)[..., None], 3, 2), SRGB[0], 1.8)
    assert np.abs(decoded(encoded(image, icc_profile=grey)) - expected).max() <= 2
    with pytest.raises(ImageError, match="its colour profile is for GRAY, not for its RGB pixels; save it as sRGB first"):
        decoded(encoded(lattice(), icc_profile=grey))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("broken", [b"nothing" * 30, profile(*ADOBE_RGB)[:300], profile(*ADOBE_RGB)[:-100]])
def test_a_broken_profile_is_refused_for_the_colours_are_not_known(kind, broken):
    with pytest.raises(ImageError, match="its colour profile is broken, so its colours are not known"):
        decoded(encoded(lattice(), kind, icc_profile=broken))


def test_a_profile_of_another_colour_space_is_refused():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(ImageError, match="its colour profile is for Lab"):
        decoded(encoded(lattice(), icc_profile=lab))


def test_a_profile_in_several_parts_is_put_together_and_a_missing_part_is_refused():
    long = profile(*ADOBE_RGB) + bytes(70_000)
    data = encoded(lattice(), "JPEG", icc_profile=struct.pack(">I", len(long)) + long[4:])
    assert data.count(b"ICC_PROFILE") == 2
    assert np.abs(decoded(data) - decoded(encoded(lattice(), "JPEG"))).max() > 20
    at = data.rindex(b"\xff\xe2", 0, data.rindex(b"ICC_PROFILE"))
    with pytest.raises(ImageError, match="its colour profile is broken"):
        decoded(data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :])


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """With these chunks behind its header; older Pillow writes only those that it knows."""
    data = encoded(lattice())
    whole = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    header = 8 + 25  # signature, IHDR
    return data[:header] + b"".join(whole) + data[header:]


def primaries_chunk(*values: float) -> bytes:
    return b"".join(struct.pack(">I", round(value * 100_000)) for value in values)


SRGB_PRIMARIES = primaries_chunk(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
WIDE_PRIMARIES = primaries_chunk(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", SRGB_PRIMARIES)],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"cICP", bytes((1, 13, 0, 1)))],
    ],
)
def test_a_png_that_says_srgb_in_its_chunks_is_as_it_is(chunks):
    assert np.array_equal(decoded(png(*chunks)), np.asarray(lattice()))


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([(b"gAMA", struct.pack(">I", 100_000))], r"a gamma of 1 \(gAMA\)"),
        ([(b"gAMA", struct.pack(">I", 55_556))], r"a gamma of 0\.55556 \(gAMA\)"),
        ([(b"cHRM", WIDE_PRIMARIES)], r"other primaries \(cHRM\)"),
        ([(b"cICP", bytes((9, 16, 0, 1)))], r"other colours \(cICP 9/16/0/1\)"),
    ],
)
def test_a_png_of_other_colours_is_refused(chunks, found):
    with pytest.raises(ImageError, match=f"^a: expected sRGB, found {found}; save it as sRGB first$"):
        decoded(png(*chunks))


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "TIFF"])  # Pillow writes no such tags there
@pytest.mark.parametrize("tags", [{0xA001: 2}, {0xA001: 0xFFFF, 0xA005: {1: "R03"}}])
def test_adobe_rgb_that_only_exif_names_is_refused(kind, tags):
    exif = Image.Exif()
    exif[0x8769] = tags
    with pytest.raises(ImageError, match="expected sRGB, found Adobe RGB"):
        decoded(encoded(lattice(), kind, exif=exif.tobytes()))


@pytest.mark.parametrize("tags", [{0xA001: 1}, {0xA001: 0xFFFF}, {0xA001: 1, 0xA005: {1: "R98"}}])
def test_other_exif_says_nothing_of_colours(tags):
    exif = Image.Exif()
    exif[0x8769] = tags
    assert np.array_equal(decoded(encoded(lattice(), exif=exif.tobytes())), np.asarray(lattice()))


def test_a_profile_whose_compression_is_broken_is_refused():
    data = encoded(lattice(), icc_profile=profile(*ADOBE_RGB))
    at = data.index(b"iCCP")
    length = int.from_bytes(data[at - 4 : at], "big")
    content = data[at + 4 : at + 30] + bytes(length - 26)
    with pytest.raises(ImageError, match="its colour profile is broken"):
        decoded(data[: at + 4] + content + struct.pack(">I", zlib.crc32(b"iCCP" + content)) + data[at + 8 + length :])


def pairs(cases: Path) -> Iterator[tuple[Path, Path]]:
    for path in sorted((cases / "profiles/adobe_rgb").iterdir()):
        yield path, cases / "profiles/srgb" / path.name


def test_the_cases_in_adobe_rgb_are_their_twins_in_srgb(cases):
    for adobe, srgb in pairs(cases):
        assert np.abs(read_rgb(adobe).astype(int) - read_rgb(srgb)).max() <= 1
