"""Image folders and single images."""

import os
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


def test_files_that_are_no_pictures_are_noted_first_by_their_kind_with_their_names(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / ".hidden.png")
    for name in ("b.heic", "deep/c.HEIC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    *notes, frame = open_source(tmp_path).frames()
    assert [note.text for note in notes] == [
        "1 file not classified, hidden: .hidden.png",
        "2 files not classified, HEIC picture: b.heic, deep/c.HEIC",
    ]
    assert [item.path.name for note in notes for item in note.skipped] == [".hidden.png", "b.heic", "c.HEIC"]
    assert (frame.index, Path(frame.source).name) == (0, "a.png")


def test_of_many_the_first_ten_are_named_and_all_recorded(tmp_path):
    picture(tmp_path / "a.png")
    for i in range(25):
        (tmp_path / f"{i:02}.dcm").write_text("x")
    note, _ = open_source(tmp_path).frames()
    assert note.text.startswith("25 files not classified, DICOM file: 00.dcm, 01.dcm")
    assert note.text.endswith("09.dcm and 15 more")
    assert len(note.skipped) == 25


def test_a_folder_without_images_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(SourceError, match=r"no image in this folder; .* it is empty"):
        ImageFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.heic").write_text("x")
    with pytest.raises(SourceError, match=r"no image in this folder; .* found HEIC picture 1, no picture 1"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("name", ["one.jfif", "one.JPE", ".one.jpg", "one", "one.txt"])
def test_one_file_of_any_name_is_taken_for_the_picture_that_it_is(tmp_path, name):
    (frame,) = open_source(picture(tmp_path / "one.jpg").rename(tmp_path / name)).frames()
    assert frame.pixels.shape == (8, 10, 3)


@pytest.mark.parametrize(
    ("name", "reason"), [("a.txt", "no picture"), ("a.heic", "HEIC picture; save it"), ("a.svs", "whole-slide image")]
)
def test_one_file_that_is_no_picture_is_refused_for_what_it_is(tmp_path, name, reason):
    (tmp_path / name).write_text("x")
    with pytest.raises(SourceError, match=f"{name}: {reason}"):
        ImageFolder(tmp_path / name)


def test_a_pipe_is_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SourceError, match=r"pipe.png: pipe, not a file"):
        ImageFolder(tmp_path / "pipe.png")


def test_a_file_with_two_names_is_one_frame(tmp_path):
    (tmp_path / "b.png").symlink_to(picture(tmp_path / "a.png"))
    (tmp_path / "up").symlink_to(tmp_path)
    *notes, frame = open_source(tmp_path).frames()
    assert Path(frame.source).name == "a.png"
    assert sorted(item.path.name for note in notes for item in note.skipped) == ["b.png", "up"]


def test_the_truth_is_the_models_class_folder_whatever_lies_around_it(tmp_path):
    for name in ("Benign", "EARLY"):
        picture(tmp_path / "Original" / name / "a.png")
    source = open_source(tmp_path, ("Benign", "Early", "Pre", "Pro"))
    assert source.truths == ("Benign", "EARLY")
    assert [frame.truth for frame in source.frames()] == ["Benign", "EARLY"]


def test_folders_that_are_no_classes_are_no_truth(tmp_path):
    for name in ("slide 1", "slide 2"):
        picture(tmp_path / name / "a.png")
    source = open_source(tmp_path, ("blast", "healthy"))
    assert (source.truths, [frame.truth for frame in source.frames()]) == ((), [None, None])
