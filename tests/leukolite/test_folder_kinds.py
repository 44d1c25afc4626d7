"""A folder that a command cannot take is named for what it is."""

import shutil
from pathlib import Path

import pytest

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.folder_kinds import what_folder
from leukolite.shipped import find_bundle


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """One of each kind: only the names of files tell them apart."""
    files = {
        "session": ["journal-000000.jsonl", "frames/000000000.png"],
        "sessions": ["monday/journal-000000.jsonl", "tuesday/journal-000000.jsonl"],
        "run": ["run.json", "split.json", "model.keras"],
        "runs": ["fold-1/run.json"],
        "bundles": ["one/manifest.json"],
        "export": ["README.md", "app/src/main/assets/manifest.json"],
        "results": ["report.json", "verdicts.csv", "summary.json", "summary.html"],
        "summary": ["summary.json", "summary.html", "summary.csv"],
        "pictures": ["1.PNG", "notes.txt"],
        "classes": ["blast/1.jpg", "healthy/2.jpg"],
        "other": ["notes.txt"],
        "empty": [],
    }
    for kind, names in files.items():
        (tmp_path / kind).mkdir()
        for name in names:
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / kind / name).write_bytes(b"")
    shutil.copytree(find_bundle(Path("synthetic-cells")), tmp_path / "bundle")
    return {kind: tmp_path / kind for kind in (*files, "bundle")}


WHAT = {
    "session": "a recorded session: `leukolite journal`",
    "sessions": "a folder of recorded sessions: give one of them, as ",
    "run": "a training run: `leukolite convert`",
    "runs": "a folder of training runs: give one of them, as ",
    "bundle": "a bundle: `leukolite info`",
    "bundles": "a folder of bundles: give one of them, as ",
    "export": "an export for Android: the bundle in it is app/src/main/assets",
    "results": "the results of a session, not its record",
    "summary": "the summary of a session, not its record",
    "pictures": "a folder of pictures",
    "classes": "a folder of pictures",
}


def test_each_kind_is_told(folders):
    assert {kind: (what_folder(path) or "")[: len(WHAT.get(kind, "x"))] for kind, path in folders.items()} == {
        kind: WHAT.get(kind, "") for kind in folders
    }


@pytest.mark.parametrize("kind", [kind for kind in WHAT if kind != "bundle"])
def test_what_is_no_bundle_is_named(refuses, folders, kind):
    for command in ((leukolite, "info"), (edge_run, "--camera", "synthetic", "--bundle")):
        line = refuses(*command, folders[kind])
        assert line.startswith(f"Error: {folders[kind]}: this is {WHAT[kind]}")
        assert "is missing" not in line


@pytest.mark.parametrize("kind", [kind for kind in WHAT if kind != "session"])
def test_what_is_no_session_is_named(refuses, folders, kind):
    assert f"no journal here; this is {WHAT[kind]}" in refuses(leukolite, "journal", "verify", folders[kind])
    assert f"no session is recorded there; this is {WHAT[kind]}" in refuses(edge_run, "--resume", folders[kind])


def test_a_session_is_given_by_its_folder(refuses, folders):
    line = refuses(leukolite, "journal", "verify", folders["session"] / "journal-000000.jsonl")
    assert f"a file, not a folder; give the session's folder, {folders['session']}, with" in line


def test_another_folder_says_what_was_expected(refuses, folders):
    for kind in ("other", "empty"):
        assert "manifest.json is missing; expected a bundle with" in refuses(leukolite, "info", folders[kind])
        assert "no journal here; expected journal-000000.jsonl" in refuses(leukolite, "journal", "verify", folders[kind])


@pytest.mark.parametrize("lost", ["manifest.json", "labels.txt", "golden.npz"])
def test_a_bundle_that_lost_a_file_is_still_one(refuses, folders, lost):
    (folders["bundle"] / "picture.png").write_bytes(b"")
    (folders["bundle"] / lost).unlink()
    assert f"{lost} is missing; expected a bundle with" in refuses(leukolite, "info", folders["bundle"])
