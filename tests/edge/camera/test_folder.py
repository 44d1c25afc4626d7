"""Image folders and single images."""

from pathlib import Path

import numpy as np
import pytest
from camera_items import picture
from fake_picamera2 import RED

from leukolite.edge.camera.folder import ImageFolder
from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.source import Frame, Gap
from leukolite.errors import SourceError


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
    frames = ImageFolder(tmp_path).frames()
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
