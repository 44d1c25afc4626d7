"""Video files."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_items import items_of, jpeg, video
from PIL import Image

from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.source import Frame, Gap
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError

pytest.importorskip("av")
from videos import FRAMES, GROUP, coded, cut_short, damaged, flipped, zeroed

CODED = {  # ending and codec; FFmpeg's own encoders and the commonest others
    "mp4": ("libx264", "yuv420p"),
    "mkv": ("libx264", "yuv422p"),
    "ts": ("libx264", "yuv420p"),
    "h264": ("libx264", "yuv420p"),
    "webm": ("libvpx", "yuv420p"),
    "avi": ("mpeg4", "yuv420p"),
    "mpg": ("mpeg2video", "yuv420p"),
    "wmv": ("wmv2", "yuv420p"),
    "flv": ("flv", "yuv420p"),
    "mov": ("mjpeg", "yuvj422p"),
    "mjpeg": ("mjpeg", "yuvj420p"),
}


def opencv(path: Path) -> list[np.ndarray]:
    found, capture = [], cv2.VideoCapture(str(path))
    while (read := capture.read())[0]:
        found.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return found


def test_a_video_comes_in_rgb_in_its_order(tmp_path, with_pyav):
    frames, _ = items_of(video(tmp_path / "red.avi"))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    for i, frame in enumerate(frames):
        assert (frame.pixels.dtype, frame.pixels.shape, frame.truth) == (np.uint8, (24, 32, 3), None)
        assert np.abs(frame.pixels.reshape(-1, 3).astype(int) - (200, 30, i)).max() <= 2


@pytest.mark.parametrize("ending", CODED)
def test_a_sound_video_gives_opencvs_pixels_to_the_bit_and_no_gap(tmp_path, ending, with_pyav):
    path = coded(tmp_path / f"a.{ending}", *CODED[ending])
    found, _ = items_of(path)
    expected = opencv(path)
    assert len(found) == len(expected) == FRAMES
    assert all(np.array_equal(frame.pixels, pixels) for frame, pixels in zip(found, expected, strict=True))


@pytest.mark.parametrize("size", [(162, 118), (98, 66)])
def test_odd_sizes_are_opencvs_too(tmp_path, size):
    path = coded(tmp_path / "a.mp4", "libx264", size=size)
    found, _ = items_of(path)
    assert all(np.array_equal(frame.pixels, pixels) for frame, pixels in zip(found, opencv(path), strict=True))


@pytest.mark.parametrize("content", [b"", b"this is text, not a video\n" * 50, bytes(5000)])
def test_a_file_that_is_no_video_is_refused(tmp_path, content, with_pyav, capfd):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken\.mp4: the video cannot be opened"):
        VideoFile(path)
    assert capfd.readouterr() == ("", "")


def test_a_video_that_breaks_off_says_so_in_a_gap(tmp_path, with_pyav):
    whole = video(tmp_path / "whole.avi", frames=30, codec="MJPG")
    data = whole.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) * 6 // 10])
    items = list(open_source(cut).frames())
    assert 0 < sum(isinstance(item, Frame) for item in items) < 30
    assert isinstance(items[-1], Gap)
    assert "breaks off after" in items[-1].reason


def test_a_matroska_that_breaks_off_says_so_too(tmp_path):
    whole = coded(tmp_path / "whole.mkv", "libx264")
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    items, _ = items_of(whole)
    assert "the video breaks off after" in items[-1].reason


def test_a_video_of_any_name_is_read(tmp_path, with_pyav):
    """OpenCV alone crashes on a name that is not UTF-8."""
    path = video(tmp_path / "red.avi").rename(tmp_path / os.fsdecode(b"caf\xe9\n\x1b.avi"))
    frames = [item for item in open_source(path).frames() if isinstance(item, Frame)]
    assert [(frame.index, frame.source) for frame in frames] == [(k, str(path)) for k in range(4)]
    broken = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    broken.write_bytes(b"no video")
    with pytest.raises(SourceError, match="the video cannot be opened"):
        VideoFile(broken)


def test_a_video_can_be_seen_again_from_its_start(tmp_path, with_pyav):
    source = VideoFile(video(tmp_path / "red.avi"))
    assert [[frame.index for frame in source.frames() if isinstance(frame, Frame)] for _ in range(2)] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("ending", ["avi", "mov", "mkv", "mjpeg"])
@pytest.mark.parametrize("damage", [zeroed, cut_short], ids=["zeroed", "early end"])
def test_a_damaged_jpeg_in_a_video_is_a_gap_and_the_others_keep_their_place(tmp_path, ending, damage, with_pyav):
    whole = coded(tmp_path / f"a.{ending}", "mjpeg", "yuvj420p")
    items, notes = items_of(damaged(whole, 7, damage))
    assert [item.index for item in items if isinstance(item, Gap)] == [7]
    assert "damaged or truncated" in items[7].reason
    sound = opencv(whole)
    assert all(np.array_equal(item.pixels, sound[item.index]) for item in items if isinstance(item, Frame))
    assert [item.index for item in items] == list(range(FRAMES))
    assert notes == []


@pytest.mark.parametrize("ending", ["mp4", "avi", "mpg", "flv"])
@pytest.mark.parametrize("damage", [zeroed, flipped])
def test_a_damaged_frame_and_those_made_from_it_are_gaps(tmp_path, ending, damage):
    whole = coded(tmp_path / f"a.{ending}", *CODED[ending])
    sound, (items, notes) = opencv(whole), items_of(damaged(whole, GROUP, damage))
    assert any(isinstance(item, Gap) for item in items)
    assert all(np.array_equal(item.pixels, sound[item.index]) for item in items[2 * GROUP :])  # they keep their place
    assert all(any(np.array_equal(item.pixels, one) for one in sound) for item in items if isinstance(item, Frame))
    assert notes == []


def test_after_a_damaged_frame_the_next_whole_picture_is_classified_again(tmp_path):
    whole = coded(tmp_path / "a.avi", "mpeg4")
    items, _ = items_of(damaged(whole, GROUP + 2, zeroed))
    assert [item.index for item in items if isinstance(item, Gap)] == [GROUP + 2, GROUP + 3, GROUP + 4, GROUP + 5]
    assert items[GROUP + 2].reason.startswith("damaged (")
    assert {item.reason for item in items[GROUP + 3 : 2 * GROUP]} == {"after a damaged frame, until the next whole picture"}


def test_without_pyav_the_record_says_what_is_not_checked(tmp_path, monkeypatch):
    path = coded(tmp_path / "a.mp4", "libx264")
    assert items_of(path)[1] == []
    monkeypatch.setitem(sys.modules, "av", None)
    assert items_of(path)[1] == ["damage within the frames of this video is not checked; install leukolite[video]"]


def test_a_codec_that_hides_its_damage_is_named(tmp_path):
    assert items_of(coded(tmp_path / "a.webm", "libvpx"))[1] == [
        "damage within its frames may go unnoticed: vp8 does not show it"
    ]


@pytest.mark.parametrize("name", ["film", "film.H264", "film.264", "film.xyz"])
def test_a_video_is_known_by_its_first_bytes_whatever_it_is_called(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(coded(tmp_path / "a.h264", "libx264").read_bytes())
    assert sum(isinstance(item, Frame) for item in open_source(path).frames()) == FRAMES


def test_a_file_of_sound_alone_is_named(tmp_path):
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match=r"sound\.mp4: no video in this file"):
        VideoFile(path)


@pytest.mark.parametrize("content", [b"notes\n" * 100, b"\0" * 128 + b"DICM" + bytes(400), b"\0\0\0\x18ftypheic" + bytes(500)])
def test_what_is_neither_image_nor_video_is_named_in_one_line(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(SourceError, match=r"/x: (no picture|DICOM file|HEIC picture)"):
        open_source(tmp_path / "x")


def test_a_picture_with_a_videos_name_is_a_picture_and_a_jpeg_by_its_name(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    (tmp_path / "one").write_bytes(jpeg(1))
    for name in ("a.mp4", "one"):
        assert [type(item) for item in open_source(tmp_path / name).frames()] == [Frame]


def test_names_that_mean_something_to_ffmpeg_are_names(tmp_path, monkeypatch, with_pyav):
    monkeypatch.chdir(tmp_path)
    coded(tmp_path / "a.mp4", "libx264").rename(tmp_path / "http:x_%02d.mp4")
    assert len(items_of(Path("http:x_%02d.mp4"))[0]) == FRAMES


def test_the_cases_of_damage_and_of_containers_come_out_right(cases, with_pyav):
    items, notes = items_of(cases / "damaged/bad_h264.mp4")
    if with_pyav:
        assert [item.index for item in items if isinstance(item, Gap)] == [4, 8, 11, 14, 18]
    else:
        assert notes
    for name, count in (("vfr.webm", 21), ("pi.h264", 20)):
        items, _ = items_of(cases / "video" / name)
        assert [type(item) for item in items] == [Frame] * count


@pytest.mark.parametrize("name", ["film.wmv", "film.h264", "film.3gp", "film.mp4"])
def test_a_video_by_its_name_alone_that_cannot_be_opened_is_called_that(tmp_path, name):
    (tmp_path / name).write_bytes(b"damaged" * 100)
    with pytest.raises(SourceError, match="the video cannot be opened"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("brand", [b"heic", b"hevm", b"hevs", b"mif1", b"avif"])
def test_a_picture_in_a_videos_container_is_no_video(tmp_path, brand):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(500))
    with pytest.raises(SourceError, match=r"(HEIC|AVIF) picture; save it as PNG or TIFF"):
        open_source(tmp_path / "a.heic")


def test_a_pyav_that_is_too_old_is_as_none(tmp_path, monkeypatch):
    monkeypatch.setattr("av.__version__", "17.1.0")
    _, notes = items_of(coded(tmp_path / "a.mp4", *CODED["mp4"]))
    assert "damage within the frames of this video is not checked; install leukolite[video]" in notes
