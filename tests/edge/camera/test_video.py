"""Video files."""

import os

import numpy as np
import pytest
from camera_items import video

from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.source import Frame, Gap
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError


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


def test_a_video_of_any_name_is_read(tmp_path):
    """OpenCV alone crashes on a name that is not UTF-8."""
    path = video(tmp_path / "red.avi").rename(tmp_path / os.fsdecode(b"caf\xe9\n\x1b.avi"))
    frames = list(open_source(path).frames())
    assert [(frame.index, frame.source) for frame in frames] == [(k, str(path)) for k in range(4)]
    broken = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    broken.write_bytes(b"no video")
    with pytest.raises(SourceError, match="the video cannot be opened"):
        VideoFile(broken)


def test_a_video_can_be_seen_again_from_its_start(tmp_path):
    source = VideoFile(video(tmp_path / "red.avi"))
    assert [[frame.index for frame in source.frames()] for _ in range(2)] == [[0, 1, 2, 3]] * 2
