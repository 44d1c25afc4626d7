import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leukolite.edge.camera.files import ImageFolder, VideoFile
from leukolite.edge.camera.open import open_camera, open_source
from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.source import Frame, Gap, match_truths
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import SourceError
from leukolite.synthetic import LABELS

RED = (200, 30, 60)


def picture(path: Path, colour: tuple[int, int, int] = RED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8), colour).save(path)
    return path


def shots(count: int, *, unit="cell", labels: Sequence[str] = LABELS, seed: int = 0) -> list[Frame | Gap]:
    return list(itertools.islice(SyntheticCamera(unit, labels, seed).frames(), count))


def video(path: Path, frames: int = 4, codec: str = "FFV1", size: tuple[int, int] = (32, 24)) -> Path:
    """Red frames, lossless by default, whose blue channel holds the frame's number."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size)
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), (i, 30, 200), np.uint8))  # OpenCV writes B,G,R
    writer.release()
    return path


# the synthetic camera


@pytest.mark.parametrize("unit", ["cell", "field"])
def test_the_same_seed_gives_the_same_frames_and_truths(unit):
    first, second = shots(2, unit=unit, seed=5), shots(2, unit=unit, seed=5)
    assert [frame.truth for frame in first] == [frame.truth for frame in second]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_other_frames():
    assert not np.array_equal(shots(1, seed=1)[0].pixels, shots(1, seed=2)[0].pixels)


def test_both_truths_come_about_equally_often():
    truths = [frame.truth for frame in shots(200)]
    assert set(truths) == set(LABELS)
    assert 70 <= truths.count(LABELS[0]) <= 130  # within 4 standard deviations of a half


def test_frames_are_rgb_bytes_numbered_from_zero():
    frames = shots(3)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert {(frame.pixels.dtype.name, frame.pixels.shape) for frame in frames} == {("uint8", (256, 256, 3))}


def test_a_field_camera_shows_whole_fields():
    assert shots(1, unit="field")[0].pixels.shape == (480, 640, 3)


def test_the_camera_tells_no_truth_to_a_model_of_other_classes():
    camera = SyntheticCamera("cell", ("Benign", "Early"), 0)
    assert camera.truths == ()
    assert next(camera.frames()).truth is None


def test_the_capture_time_is_the_clock_around_rendering():
    ticks = itertools.count(0, 3_000_000)
    frame = next(SyntheticCamera("cell", LABELS, 0, clock=lambda: next(ticks)).frames())
    assert (frame.capture_ms, frame.captured_at) == (3.0, 3_000_000)


def test_a_camera_with_a_rate_is_live_and_waits_for_each_frame_s_time():
    slept: list[float] = []
    camera = SyntheticCamera("cell", LABELS, 0, rate=50, clock=lambda: 0, sleep=slept.append)
    assert camera.live
    assert not SyntheticCamera("cell", LABELS, 0).live
    list(itertools.islice(camera.frames(), 3))
    assert slept == pytest.approx([0.02, 0.04])


@pytest.mark.parametrize("rate", [None, 50])
def test_a_rate_changes_no_picture(rate):
    (frame,) = itertools.islice(SyntheticCamera("cell", LABELS, 3, rate).frames(), 1)
    assert np.array_equal(frame.pixels, shots(1, seed=3)[0].pixels)


# cameras by name


@pytest.mark.parametrize(
    "name", ["hubble", "synthetic:0", "synthetic:nan", "synthetic:-3", "picamera2:x", "v4l2:", "v4l2:video0", "http:", "ftp://x"]
)
def test_an_unknown_camera_is_refused_by_name(name):
    with pytest.raises(SourceError, match=f"no camera named '{name}'; there is synthetic"):
        open_camera(name, "cell", LABELS, seed=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("synthetic", SyntheticCamera),
        ("synthetic:12.5", SyntheticCamera),
        ("picamera2", PiCamera),
        ("picamera2:1", PiCamera),
        ("v4l2:/dev/video0", V4l2Camera),
        ("rtsp://microscope/live", StreamCamera),
        ("http://microscope:8080/?action=stream", StreamCamera),
    ],
)
def test_a_camera_is_found_by_name_and_nothing_is_opened_yet(name, kind):
    assert isinstance(open_camera(name, "cell", LABELS, seed=0), kind)


def test_a_size_is_refused_where_there_is_none_to_choose():
    with pytest.raises(SourceError, match="synthetic: --camera-size is for"):
        open_camera("synthetic", "cell", LABELS, seed=0, size=(640, 480))


# folders and images


def test_a_folder_comes_in_the_order_of_its_names(tmp_path):
    for name in ("b.png", "a.png", "c.bmp"):
        picture(tmp_path / name)
    assert [Path(frame.source).name for frame in open_source(tmp_path).frames()] == ["a.png", "b.png", "c.bmp"]


def test_class_folders_are_the_truth_however_deep_the_image_lies(tmp_path):
    picture(tmp_path / "Blast" / "slide 1" / "deep" / "a.png")
    picture(tmp_path / "healthy" / "b.png")
    picture(tmp_path / "loose.png")
    source = open_source(tmp_path)
    assert source.truths == ("Blast", "healthy")
    assert [frame.truth for frame in source.frames()] == ["Blast", "healthy", None]


def test_truths_match_labels_whatever_their_case():
    assert match_truths(["BLAST", "Healthy", "debris"], ["blast", "healthy"]) == ({"BLAST": 0, "Healthy": 1}, ["debris"])


@pytest.mark.parametrize("suffix", [".bmp", ".JPG", ".png", ".tif", ".webp"])
def test_one_image_is_a_source_of_one_frame_in_rgb(tmp_path, suffix):
    (frame,) = open_source(picture(tmp_path / f"one{suffix}")).frames()
    assert np.abs(frame.pixels.reshape(-1, 3).mean(axis=0) - RED).max() < 8  # JPEG and WebP lose a little
    assert frame.truth is None


def test_an_unreadable_image_is_a_gap_and_the_next_one_still_comes(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("not an image")
    picture(tmp_path / "c.png")
    items = list(open_source(tmp_path).frames())
    assert [type(item) for item in items] == [Frame, Gap, Frame]
    assert [item.index for item in items] == [0, 1, 2]
    assert "not an image" in items[1].reason
    assert str(tmp_path) not in items[1].reason


def test_a_file_that_vanishes_before_its_turn_is_a_gap(tmp_path):
    files = [picture(tmp_path / name) for name in ("a.png", "b.png")]
    frames = open_source(tmp_path).frames()
    next(frames)
    files[1].unlink()
    assert isinstance(next(frames), Gap)


def test_other_files_and_hidden_ones_are_no_frames(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("x")
    assert len(list(open_source(tmp_path).frames())) == 1


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError, match="no image in this folder"):
        ImageFolder(tmp_path)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        open_source(tmp_path / "nowhere")


# videos


def test_a_video_comes_in_rgb_in_its_order(tmp_path):
    frames = list(open_source(video(tmp_path / "red.avi")).frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    for i, frame in enumerate(frames):
        assert (frame.pixels.dtype, frame.pixels.shape, frame.truth) == (np.uint8, (24, 32, 3), None)
        assert np.abs(frame.pixels.reshape(-1, 3).astype(int) - (200, 30, i)).max() <= 2


@pytest.mark.parametrize("content", [b"", b"this is text, not a video\n" * 50, bytes(5000)])
def test_a_file_that_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken\.mp4: the video cannot be opened"):
        VideoFile(path)


def test_a_video_that_breaks_off_says_so_in_a_gap(tmp_path):
    whole = video(tmp_path / "whole.avi", frames=30, codec="MJPG")
    data = whole.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(data[: len(data) * 6 // 10])
    items = list(open_source(cut).frames())
    assert all(isinstance(item, Frame) for item in items[:-1])
    assert 0 < len(items) - 1 < 30
    assert isinstance(items[-1], Gap)
    assert "breaks off after" in items[-1].reason
