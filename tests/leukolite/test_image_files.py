"""The one list of files: every file is taken or named."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukolite import image_files
from leukolite.file_kinds import SUFFIXES, content_of, why_skipped
from leukolite.image_files import Unusable, by_kind_of_file, describe_unusable, list_images, without_second_names

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(list(path.name.encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return path


def reasons(root: Path) -> dict[str, str]:
    return {str(item.path.relative_to(root)): item.reason for item in list_images(root).skipped}


def taken(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in list_images(root).images]


# pictures


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_ending_of_a_picture_is_taken_in_either_case(tmp_path, suffix):
    picture(tmp_path / f"a{suffix}")
    picture(tmp_path / f"b{suffix.upper()}")
    assert (taken(tmp_path), reasons(tmp_path)) == ([f"a{suffix}", f"b{suffix.upper()}"], {})


def test_images_come_in_the_order_of_their_names(tmp_path):
    for name in ("b/2.png", "a.png", "b/1.png", "c/z/1.png", "B.png"):
        picture(tmp_path / name)
    assert taken(tmp_path) == ["B.png", "a.png", "b/1.png", "b/2.png", "c/z/1.png"]


@pytest.mark.parametrize("name", ["photo", "photo.jpg_large", "photo.001", "photo.heic", "photo.jif", "photo.mpo", "photo.txt"])
def test_a_picture_of_another_ending_is_taken_by_its_first_bytes(tmp_path, name):
    picture(tmp_path / "photo.jpg").rename(tmp_path / name)
    assert taken(tmp_path) == [name]


def test_a_gif_is_left_to_the_decoder_which_counts_its_frames(tmp_path):
    picture(tmp_path / "a.gif")
    assert taken(tmp_path) == ["a.gif"]


def test_a_tiff_of_an_unknown_ending_is_named_and_one_without_an_ending_is_taken(tmp_path):
    picture(tmp_path / "a.tif").rename(tmp_path / "a.xyz")
    picture(tmp_path / "b.tif").rename(tmp_path / "b")
    assert taken(tmp_path) == ["b"]
    assert "rename it" in reasons(tmp_path)["a.xyz"]


def test_damaged_and_empty_pictures_are_taken_so_that_the_decoder_says_why_they_are_refused(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "noise.jpg").write_bytes(b"no image")
    assert taken(tmp_path) == ["empty.png", "noise.jpg"]


def test_a_name_that_is_not_utf_8_is_taken(tmp_path):
    picture(tmp_path / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9.png"))
    (image,) = list_images(tmp_path).images
    assert os.fsencode(image.name) == b"\xff\xe9.png"


# what is named


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"a.{ending}", "HEIC picture") for ending in ("heic", "HEIF", "hif")),
        ("a.avif", "AVIF picture"),
        *((f"a.{ending}", "DICOM file") for ending in ("dcm", "DICOM")),
        *((f"a.{ending}", "whole-slide image") for ending in ("svs", "ndpi", "mrxs", "scn", "CZI", "vsi")),
        *((f"a.{ending}", "JPEG 2000 picture") for ending in ("jp2", "j2k", "jpx")),
        *((f"a.{ending}", "raw camera file") for ending in ("cr2", "CR3", "nef", "arw", "dng", "raw")),
        ("a.jxl", "JPEG XL picture"),
        ("a.psd", "layered picture"),
        ("a.svg", "vector drawing"),
        ("a.pdf", "PDF"),
        *((f"a.{ending}", "video") for ending in ("mp4", "AVI", "h264", "mov")),
        ("a.zip", "archive"),
        ("a.npy", "array"),
        ("a.txt", "no picture"),
        ("README", "no picture"),
        ("Thumbs.db", "file of the system"),
        ("desktop.ini", "file of the system"),
        (".DS_Store", "file of the system"),
        ("._a.jpg", "resource fork of macOS"),
        (".a.jpg", "hidden"),
        ("a.jpg~", "backup or an unfinished copy"),
        ("a.jpg.part", "backup or an unfinished copy"),
        ("a.jpg.bak", "backup or an unfinished copy"),
        ("a.thm", "thumbnail of the camera"),
    ],
)
def test_a_file_that_is_no_picture_is_named_for_what_it_is(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"something")
    ((found, reason),) = reasons(tmp_path).items()
    assert (found, Unusable(Path(found), reason).kind) == (name, kind)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (HEIC, "HEIC picture"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 20, "AVIF picture"),
        (b"\0\0\0\x18ftypcrx \0\0", "raw camera file"),
        (b"\0\0\0\x18ftypisom\0\0", "video"),
        (b"\0\0\0\x14ftypqt  \0\0", "video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000 picture"),
        (b"\0" * 128 + b"DICM", "DICOM file"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "layered picture"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"\x1a\x45\xdf\xa3\x9f", "video"),
        (b"PK\x03\x04", "archive"),
        (b"\n<!DOCTYPE html><html>", "web page or XML"),
        (b"<?xml version='1.0'?><svg/>", "vector drawing"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"\0\x05\x16\x07\0\2", "resource fork of macOS"),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a", "a.bin"])
def test_first_bytes_say_what_a_file_is_where_its_name_lies_or_is_silent(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    ((_, reason),) = reasons(tmp_path).items()
    assert Unusable(tmp_path, reason).kind == kind
    assert ("although its name ends in .jpg" in reason) == (name == "a.jpg")


def test_slides_and_raw_files_keep_their_kind_although_they_begin_like_pictures(tmp_path):
    (tmp_path / "a.mrxs").write_bytes(JPEG)
    (tmp_path / "b.nef").write_bytes(b"MM\0*\0\0\0\x08")
    (tmp_path / "c.svs").write_bytes(b"II*\0\x10\0\0\0")
    assert [reason.split(";")[0] for reason in reasons(tmp_path).values()] == [
        "whole-slide image",
        "raw camera file",
        "whole-slide image",
    ]


def test_bm_alone_makes_no_bmp():
    assert content_of(b"BM is how this text begins, and it is none") is None


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("__MACOSX", "resource forks of macOS"),
        ("@eaDir", "thumbnails of a NAS"),
        (".@__thumb", "thumbnails of a NAS"),
        ("$RECYCLE.BIN", "deleted files"),
        (".git", "hidden folder"),
    ],
)
def test_a_folder_that_no_person_filled_is_named_once_with_the_number_of_its_files(tmp_path, folder, kind):
    for name in ("a.jpg", "deep/b.jpg"):
        picture(tmp_path / "slides" / folder / name)
    (item,) = list_images(tmp_path).skipped
    assert (item.path.name, item.kind, item.files) == (folder, kind, 2)
    assert taken(tmp_path) == []


# links, pipes and what cannot be read


def test_links_to_files_and_folders_are_followed(tmp_path):
    picture(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b.png").symlink_to(tmp_path / "elsewhere" / "a.png")
    assert taken(tmp_path / "data") == ["b.png", "folder/a.png"]


def test_loops_of_links_end_and_are_named(tmp_path):
    picture(tmp_path / "a" / "b" / "1.png")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a")
    assert taken(tmp_path) == ["a/b/1.png"]
    assert reasons(tmp_path) == {"a/b/up": "link to a folder above it", "a/itself": "link to a folder above it"}


def test_folders_that_all_link_to_each_other_are_listed_in_no_time(tmp_path):
    for i in range(12):
        picture(tmp_path / f"d{i}" / "1.png")
        for j in range(12):
            (tmp_path / f"d{i}" / f"to{j}").symlink_to(tmp_path / f"d{j}")
    listed = list_images(tmp_path)
    assert len(without_second_names(listed.images)[0]) == 12


def test_a_file_with_two_names_is_listed_once_and_the_second_named(tmp_path):
    first = picture(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to(first)
    os.link(first, tmp_path / "c.png")
    images, second = without_second_names(list_images(tmp_path).images)
    assert images == [first]
    assert [(item.path.name, item.kind) for item in second] == [
        (name, "the same file by another name") for name in ("a.png", "c.png")
    ]


def test_links_to_nothing_and_to_themselves_are_named(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "c").symlink_to(tmp_path / "no folder")
    assert reasons(tmp_path) == {"a.png": "link to nothing", "b.png": "link that leads to itself", "c": "link to nothing"}


def test_pipes_sockets_and_devices_are_named_and_never_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        found = reasons(tmp_path)
    assert found == {"null.png": "device, not a file", "pipe.png": "pipe, not a file", "socket.png": "socket, not a file"}


def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_listed(tmp_path, monkeypatch):
    picture(tmp_path / "open" / "a.png")
    picture(tmp_path / "closed" / "b.png")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert taken(tmp_path) == ["open/a.png"]
    assert reasons(tmp_path) == {"closed": "folder cannot be read (Permission denied)"}


def test_a_root_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        list_images(tmp_path / "nowhere")


# the law


NAMES = st.sampled_from(
    ["a.png", "b.JPG", "c.heic", ".d", "._e.jpg", "f", "g.txt", "Thumbs.db", "h.svs", "i.jpg~", "ä.tif", "k.jfif", "l.gif"]
)
FOLDERS = st.lists(st.sampled_from(["x", "y", "@eaDir", "__MACOSX", ".git", "Ünï"]), max_size=3)
CONTENTS = st.sampled_from([b"", HEIC, JPEG, b"%PDF", b"GIF89a", b"II*\0", b"text"])


@given(st.lists(st.tuples(FOLDERS, NAMES, CONTENTS), max_size=12), st.lists(st.tuples(FOLDERS, FOLDERS), max_size=3))
def test_every_file_is_taken_or_named_and_none_is_both(tmp_path_factory, files, links):
    root = tmp_path_factory.mktemp("law")
    try:
        made = set()
        for folders, name, content in files:
            place = root.joinpath(*folders, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            made.add(place)
        for k, (source, target) in enumerate(links):
            if root.joinpath(*source).is_dir() and root.joinpath(*target).is_dir():
                root.joinpath(*source, f"link{k}").symlink_to(root.joinpath(*target))
        listed = list_images(root)
        named = {item.path for item in listed.skipped}
        for file in made:
            is_named = any(parent in named for parent in (file, *file.parents))
            assert (file in listed.images) != is_named
        assert list(listed.images) == sorted(listed.images)
        assert sum(item.files for item in listed.skipped if item.path in made) == sum(
            item.path in made for item in listed.skipped
        )
    finally:
        shutil.rmtree(root)


@given(st.binary(max_size=600))
def test_any_bytes_are_some_content_or_none(data):
    assert content_of(data) is None or content_of(data)


# lines for people


def test_skipped_files_are_counted_by_kind_then_named_up_to_ten():
    items = [Unusable(Path(f"{i}.heic"), "HEIC picture; save it") for i in range(12)] + [
        Unusable(Path("d"), "hidden folder (4 files)", 4)
    ]
    lines = describe_unusable(items)
    assert lines[0] == "16 files skipped: HEIC picture 12, hidden folder 4"
    assert lines[1] == "  0.heic: HEIC picture; save it"
    assert (len(lines), lines[-1]) == (12, "  ... and 6 more")
    assert describe_unusable(()) == []


def test_many_kinds_are_summed_up():
    items = [Unusable(Path("a"), f"kind {chr(97 + i)}") for i in range(14)]
    assert by_kind_of_file(items, 2) == "kind a 1, kind b 1, other reasons 12"


def test_rendered_cells_need_no_line_for_their_mark(tmp_path):
    (tmp_path / image_files.SYNTHETIC_MARK).write_text("{}")
    assert list_images(tmp_path).skipped == ()


def test_one_file_by_itself_is_known_too(tmp_path):
    assert why_skipped(picture(tmp_path / "a.jfif")) is None
    assert why_skipped(tmp_path / "gone.png") == "no such file"
    assert why_skipped(tmp_path) == "folder, not a file"
