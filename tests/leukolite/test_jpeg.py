"""JPEG, strictly."""

import io
import random
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from leukolite.errors import ImageError
from leukolite.images import read_rgb
from leukolite.jpeg import MAX_PIXELS, STRAY_BYTES, decode_jpeg

END = b"\xff\xd9"
KINDS = {
    "baseline": {"quality": 85},
    "fine": {"quality": 95, "subsampling": "4:4:4"},
    "4:2:2": {"quality": 85, "subsampling": "4:2:2"},
    "4:1:1": {"quality": 85, "subsampling": "4:1:1"},
    "optimised": {"quality": 90, "optimize": True},
    "progressive": {"quality": 85, "progressive": True},
    "restart markers": {"quality": 85, "restart_marker_blocks": 4},
    "R,G,B": {"quality": 90, "keep_rgb": True},
    "grey": {"quality": 85},
}


def smear() -> Image.Image:
    """Blots on a bright ground with some noise, as a smear has them."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:240, :320]
    pixels = np.full((240, 320, 3), (225, 200, 210), np.float32)
    for cx, cy, radius in rng.integers((0, 0, 10), (320, 240, 40), (20, 3)):
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = rng.integers(60, 200, 3)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8))


def jpeg(kind: str) -> bytes:
    file = io.BytesIO()
    smear().convert("L" if kind == "grey" else "RGB").save(file, "JPEG", **KINDS[kind])
    return file.getvalue()


def scan_of(data: bytes) -> int:
    return data.index(b"\xff\xda") + 2 + int.from_bytes(data[data.index(b"\xff\xda") + 2 :][:2], "big")


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_jpeg_gives_pillows_pixels_to_the_bit(kind):
    assert np.array_equal(decode_jpeg(jpeg(kind), "a.jpg"), pillow(jpeg(kind)))


def zeroed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(512) + data[at + 512 :]


DAMAGE = {
    "a zeroed sector": zeroed,
    "a lost sector": lambda data, at: data[:at] + data[at + 512 :],
    "an early end": lambda data, at: data[:at] + END + data[at + 2 :],
    "a zeroed tail": lambda data, at: data[:at] + bytes(len(data) - at),
    "a tail of zeros with an end": lambda data, at: data[:at] + bytes(len(data) - at - 2) + END,
    "a cut": lambda data, at: data[:at],
    "a cut with an end": lambda data, at: data[:at] + END,
    "a tail of 0xff": lambda data, at: data[:at] + b"\xff" * (len(data) - at),
    "other bytes": lambda data, at: data[:at] + random.Random(at).randbytes(512) + data[at + 512 :],
    "a sector twice": lambda data, at: data[: at + 512] + data[at:],
}


@pytest.mark.parametrize("kind", ["baseline", "fine", "4:2:2", "4:1:1", "restart markers", "R,G,B"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_jpeg_is_refused(kind, damage):
    data = jpeg(kind)
    first = scan_of(data)
    for part in (0.1, 0.4, 0.7):
        with pytest.raises(ImageError, match=r"a\.jpg: damaged or truncated \(.+\)"):
            decode_jpeg(DAMAGE[damage](data, first + int(part * (len(data) - first - 1100))), "a.jpg")


def test_zeros_behind_which_the_decoder_is_in_step_again_are_refused():
    data = jpeg("baseline")
    first = scan_of(data)
    for at in range(first + 100, len(data) - 100, 197):
        with pytest.raises(ImageError, match="damaged or truncated"):
            decode_jpeg(data[:at] + bytes(64) + data[at + 64 :], "a.jpg")


def test_flat_areas_of_an_optimised_jpeg_may_be_zeros():
    file = io.BytesIO()
    spots = np.zeros((1024, 1024, 3), np.uint8)
    spots[500:520, 500:520] = 200
    Image.fromarray(spots).save(file, "JPEG", optimize=True)
    assert np.array_equal(decode_jpeg(file.getvalue(), "a.jpg"), pillow(file.getvalue()))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
@pytest.mark.parametrize("padding", [b"\0", b"\0" * 4, b"\0" * 16, b"\xff" * 16, b"\x12\x34", bytes(range(1, STRAY_BYTES + 1))])
def test_stray_bytes_of_cameras_before_the_end_change_nothing(kind, padding):
    data = jpeg(kind)
    assert np.array_equal(decode_jpeg(data[:-2] + padding + END, "a.jpg"), decode_jpeg(data, "a.jpg"))


@pytest.mark.parametrize("seed", range(4))
def test_stray_bytes_of_logitechs_cameras_before_restart_markers_change_nothing(seed):
    rng, data = random.Random(seed), jpeg("restart markers")
    first = scan_of(data)

    def with_stray_bytes(marker: re.Match[bytes]) -> bytes:
        return bytes(rng.choice((0, 17, 90)) for _ in range(rng.choice((0, 0, 1, 4, STRAY_BYTES)))) + marker[0]

    stray = data[:first] + re.sub(rb"\xff[\xd0-\xd7]", with_stray_bytes, data[first:])
    with pytest.raises(ValueError, match="extraneous bytes before marker 0xd"):
        simplejpeg.decode_jpeg(stray)
    assert np.array_equal(decode_jpeg(stray, "a.jpg"), decode_jpeg(data, "a.jpg"))


def test_what_follows_the_end_is_no_part_of_the_picture():
    data = jpeg("baseline")
    for tail in (bytes(4096), b"\xff" * 100, b"MotionPhoto_Data" + bytes(1000), jpeg("grey"), b"\xff\xd9" * 3):
        assert np.array_equal(decode_jpeg(data + tail, "a.jpg"), pillow(data))


def test_a_frame_of_mjpeg_without_its_huffman_tables_is_decoded():
    data = jpeg("baseline")
    tables = [m.start() for m in re.finditer(rb"\xff\xc4", data[: scan_of(data)])]
    bare = data
    for at in reversed(tables):
        bare = bare[:at] + bare[at + 2 + int.from_bytes(bare[at + 2 : at + 4], "big") :]
    assert np.array_equal(decode_jpeg(bare, "a.jpg"), pillow(data))


def with_frame(data: bytes, *, marker: int = 0xC0, depth: int = 8, size: tuple[int, int] | None = None) -> bytes:
    at = data.index(b"\xff\xc0")
    height, width = size or struct.unpack_from(">HH", data, at + 5)
    return data[: at + 1] + bytes([marker]) + data[at + 2 : at + 4] + struct.pack(">BHH", depth, height, width) + data[at + 9 :]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"marker": 0xC3}, "expected a baseline or progressive JPEG, found lossless coding; convert it first"),
        ({"marker": 0xC9}, "expected a baseline or progressive JPEG, found arithmetic coding; convert it first"),
        ({"depth": 12, "marker": 0xC1}, "expected 8-bit RGB or grey, found 12-bit samples; convert it first"),
        ({"size": (60_000, 60_000)}, "more than 50 megapixels; crop or shrink it first"),
    ],
)
def test_other_kinds_of_jpeg_are_named_in_one_line(tmp_path, change, said):
    (tmp_path / "a.jpg").write_bytes(with_frame(jpeg("baseline"), **change))
    with pytest.raises(ImageError) as refused:
        read_rgb(tmp_path / "a.jpg")
    assert str(refused.value) == f"{tmp_path}/a.jpg: {said}"


def test_a_huge_jpeg_is_refused_by_its_header():
    with pytest.raises(ImageError, match="megapixels"):
        decode_jpeg(with_frame(jpeg("baseline"), size=(MAX_PIXELS // 1000 + 1, 1000)), "a.jpg")


@pytest.mark.parametrize("length", [0, 2, 3, 20, 160, 400])
def test_a_beginning_of_a_jpeg_is_refused(length):
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode_jpeg(jpeg("baseline")[:length], "a.jpg")


def test_the_cases_of_damage_are_refused(cases):
    files = sorted(cases.glob("damaged/*/*.jpg"))
    assert len(files) == 3
    for path in files:
        with pytest.raises(ImageError, match="damaged or truncated"):
            read_rgb(Path(path))


@pytest.mark.parametrize("behind", range(1, 9))
def test_a_progressive_jpeg_without_its_last_scans_is_refused(behind):
    whole = jpeg("progressive")
    scans = [at.start() for at in re.finditer(b"\xff\xda", whole)]
    tables = whole.find(b"\xff\xc4", scans[behind - 1])
    cut = min(scans[behind], tables if tables > 0 else len(whole))
    simplejpeg.decode_jpeg(whole[:cut] + END)  # the decoder shows it, coarse
    with pytest.raises(ImageError, match="ends before its last scan"):
        decode_jpeg(whole[:cut] + END, "a.jpg")


def test_an_end_marker_within_a_comment_between_two_scans_ends_nothing():
    whole = jpeg("progressive")
    second = [at.start() for at in re.finditer(b"\xff\xda", whole)][1]
    at = min(second, whole.find(b"\xff\xc4", scan_of(whole)))
    commented = whole[:at] + b"\xff\xfe\x00\x04" + END + whole[at:]
    assert np.array_equal(decode_jpeg(commented, "a.jpg"), pillow(whole))


def test_a_long_run_of_0xff_is_refused_at_once():
    data = jpeg("baseline")
    with pytest.raises(ImageError, match="damaged or truncated"):
        decode_jpeg(data[: scan_of(data) + 100] + b"\xff" * 2_000_000, "a.jpg")  # a search that looks back would take hours
