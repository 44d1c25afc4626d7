"""What lies at a path, in words that lead to what was meant."""

import os
import re
import socket
from pathlib import Path

import pytest

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.places import problem_at

as_another_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cells").mkdir()
    (tmp_path / "labels.txt").write_text("a\nb\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("DATA", "/data")
    return tmp_path


def test_what_is_there_is_no_problem(place):
    assert problem_at(Path("cells"), "folder") is None
    assert problem_at(Path("labels.txt"), "file") is None
    assert problem_at(Path("cells"), "file or folder") is None


def test_what_is_no_regular_file_is_called_what_it_is(place):
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    for path, kind in (("/dev/null", "device"), ("pipe", "pipe"), ("socket", "socket")):
        assert problem_at(Path(path), "file") == f"a {kind}, not a file"
        assert problem_at(Path(path), "file or folder") == f"a {kind}, not a file or folder"


@pytest.mark.parametrize(
    ("path", "wanted", "said"),
    [
        ("cells", "file", "a folder, not a file"),
        ("labels.txt", "folder", "a file, not a folder"),
        ("nowhere", "folder", "no such folder"),
        ("nowhere/at/all", "file", "no such file: there is no folder nowhere"),
        ("labels.txt/x", "file", "no such file: labels.txt is a file, not a folder"),
        ("Cells", "folder", "no such folder: did you mean 'cells'?"),
        ("cells ", "folder", "no such folder: did you mean 'cells'?"),
        ("'cells'", "folder", "no such folder: did you mean 'cells'?"),
        ("celsl", "folder", "no such folder: did you mean 'cells'?"),
        ("label.txt", "file", "no such file: did you mean 'labels.txt'?"),
        ("cels/a.png", "file", "no such file: there is no folder cels; did you mean 'cells'?"),
        ("~/cells", "folder", "no such folder: ~ was not expanded by the shell; give /home/u/cells"),
        ("$DATA/cells", "folder", "no such folder: a variable was not expanded by the shell; give /data/cells"),
        ("*.txt", "file", "no such file: a pattern, which fits 'labels.txt'; give names, not a pattern"),
        ("*.png", "file", "no such file: no name fits this pattern"),
        ("rtsp://cam/live", "file or folder", "no such file or folder: an address, not a path on this machine"),
        ("x" * 300, "file", "file name too long"),
        ("a\0b", "file", "embedded null byte"),
    ],
)
def test_what_is_not_as_wanted_is_said(place, path, wanted, said):
    assert problem_at(Path(path), wanted) == said


def test_links_are_followed_to_what_is_wrong_with_them(place):
    Path("gone").symlink_to("nowhere")
    Path("round").symlink_to("round")
    Path("fine").symlink_to("cells")
    assert problem_at(Path("gone"), "file") == "no such file: a link (to nowhere) whose target is gone"
    assert problem_at(Path("round"), "file") == "a link that leads back to itself (to round)"
    assert problem_at(Path("fine"), "folder") is None


@pytest.mark.parametrize(
    ("there", "given", "shown"),
    [
        ("Zellen\u00a0A", "Zellen A", r"'Zellen\xa0A'"),
        ("Fru\u0308h", "Fr\u00fch", r"'Fru\u0308h'"),
        ("\u0410LL", "ALL", r"'\u0410LL'"),
    ],
)
def test_names_that_look_the_same_are_written_out(place, there, given, shown):
    Path(there).mkdir()
    said = problem_at(Path(given), "folder")
    assert said is not None
    assert re.sub(r"[^ -~]", "?", said).startswith("no such folder: did you mean ")
    assert shown.strip("'") in said or there in said


@as_another_user
def test_what_this_user_may_not_read_is_not_called_missing(place):
    Path("labels.txt").chmod(0)
    Path("cells").chmod(0)
    assert problem_at(Path("labels.txt"), "file") == "this user may not read it (permission denied)"
    assert problem_at(Path("cells"), "folder") == "this user may not read it (permission denied)"
    assert problem_at(Path("cells/a"), "file") == "cells is closed to this user (permission denied)"
    Path("cells").chmod(0o755)


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (leukolite, ("data", "labels.txt"), "labels.txt: a file, not a folder"),
        (leukolite, ("info", "cells"), "cells: manifest.json is missing"),
        (leukolite, ("journal", "verify", "labels.txt"), "labels.txt: a file, not a folder"),
        (leukolite, ("journal", "verify", "nowhere"), "nowhere: no such session"),
        (leukolite, ("evaluate", "nowhere/x", "--data", "cells"), "no such bundle or run: there is no folder nowhere"),
        (leukolite, ("evaluate", "cells", "--data", "cells"), "neither a bundle (with manifest.json) nor a finished run"),
        (leukolite, ("locating", "labels.txt"), "labels.txt: a file, not a folder"),
        (leukolite, ("train", "--from", "labels.txt", "--out", "x"), "labels.txt: a file, not a folder"),
        (edge_run, ("--bundle", "synthetic-cells", "--source", "cel"), "no such file or folder"),
        (edge_run, ("--bundle", "synthetic-cells", "--source", "http://cam/x"), "give the address of a camera with --camera"),
        (edge_run, ("--bundle", "synthetic-cells", "--source", "/dev/null"), "give a camera with --camera v4l2:/dev/videoN"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "0"), "for /dev/video0 write v4l2:/dev/video0"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "/dev/video2"), "for a device write v4l2:/dev/video2"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "v4l2:video0"), "for a device write v4l2:/dev/video0"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "picamera"), "did you mean picamera2?"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "synthetic:0"), "frames per second are above 0"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "synthetic", "--json", "cells"), "cells: cannot be written"),
        (edge_run, ("--bundle", "synthetic-cells", "--camera", "cells"), "this is a file or folder, which is a source"),
    ],
)
def test_every_command_says_what_lies_there(place, refuses, command, arguments, said):
    assert said in refuses(command, *arguments)
