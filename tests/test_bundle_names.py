"""A bundle's name means one thing: a shipped bundle, or what lies in the working directory, and never either by chance."""

import shutil
from pathlib import Path

import pytest

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.edge.model import load
from leukolite.errors import BundleError
from leukolite.shipped import find_bundle, shipped_path


@pytest.mark.parametrize("lies_here", ["folder", "file", "bundle", "dangling link"])
def test_what_has_a_shipped_name_here_is_neither_taken_nor_passed_by_in_silence(tmp_path, monkeypatch, refuses, lies_here):
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "synthetic-cells"
    match lies_here:
        case "folder":
            here.mkdir()
        case "file":
            here.touch()
        case "bundle":
            shutil.copytree(shipped_path("mobilenet_m-cnmc"), here)
        case _:
            here.symlink_to("nothing")
    line = refuses(leukolite, "info", "synthetic-cells")
    assert line == (
        "Error: synthetic-cells: a shipped bundle has this name, and so has what lies here; give ./synthetic-cells for what lies"
        f" here, or {shipped_path('synthetic-cells')} for the shipped one"
    )


def test_every_command_that_takes_a_bundle_refuses_a_name_of_two(tmp_path, monkeypatch, refuses):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic-cells").mkdir()
    commands = [
        (edge_run, "--bundle", "synthetic-cells", "--camera", "synthetic", "--frames", 1),
        (leukolite, "evaluate", "synthetic-cells", "--data", tmp_path),
        (leukolite, "overhead", "synthetic-cells"),
        (leukolite, "soak", "synthetic-cells"),
        (leukolite, "export-android", "synthetic-cells", "--out", "android"),
    ]
    for command in commands:
        assert "give ./synthetic-cells for what lies here" in refuses(*command)
    with pytest.raises(BundleError, match=r"give \./synthetic-cells for what lies here"):
        load("synthetic-cells")


def test_a_dot_and_a_slash_mean_what_lies_here(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped_path("mobilenet_m-cnmc"), tmp_path / "synthetic-cells")
    result = call(leukolite, "info", "./synthetic-cells")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "mobilenet_m-cnmc" in result.stdout
    assert load("./synthetic-cells").bundle.manifest.name == "mobilenet_m-cnmc"


def test_a_shipped_name_means_the_shipped_bundle_among_the_shipped_ones_themselves(monkeypatch):
    monkeypatch.chdir(shipped_path("synthetic-cells").parent)
    assert find_bundle(Path("synthetic-cells")) == shipped_path("synthetic-cells")
