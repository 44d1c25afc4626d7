"""`edge-run --record`: begins a session, or goes on with the one that is there, as a service does after a power cut."""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from leukolite.bundle import Bundle
from leukolite.edge.cli import main as edge_run
from leukolite.edge.journal.folder import RESERVE
from leukolite.edge.journal.format import file_name, journal_files, read, verify
from leukolite.edge.journal.records import EventRecord, FrameRecord, StartRecord
from leukolite.edge.settings import SessionSettings
from leukolite.shipped import shipped_path
from leukolite.sums import SUMS, sums_of, sums_text
from leukolite.synthetic import render_cell

SESSION = ("--bundle", "synthetic-cells", "--camera", "synthetic:100", "--frames", 2, "--quiet")


@pytest.fixture(autouse=True)
def _own_salt(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def record(call, tmp_path) -> Callable[..., Path]:
    def run(*options: object, session: tuple[object, ...] = SESSION) -> Path:
        result = call(edge_run, *session, "--record", tmp_path / "s", *options)
        assert result.exit_code == 0, result.output
        return tmp_path / "s"

    return run


def frames(folder: Path) -> int:
    return sum(isinstance(entry.record, FrameRecord) for entry in read(folder))


def events(folder: Path) -> list[str]:
    return [entry.record.event for entry in read(folder) if isinstance(entry.record, EventRecord)]


def slides(folder: Path) -> list[str | None]:
    """The first record's, and those that were begun."""
    found = [entry.record for entry in read(folder)]
    return [one.slide for one in found if isinstance(one, StartRecord) or getattr(one, "event", "") == "new slide"]


def test_it_begins_a_session_and_goes_on_with_it(record):
    folder = record()
    assert (frames(folder), events(folder)) == (2, ["end"])
    record()
    record()
    assert frames(folder) == 6
    assert events(folder).count("resumed") == 2
    assert verify(folder).ended


def jpeg_bytes() -> bytes:
    data = io.BytesIO()
    Image.fromarray(render_cell(np.random.default_rng(1), "blast", size=128)).save(data, "jpeg")
    return data.getvalue()


# --- what a crash leaves


def whole_line(folder: Path) -> bytes:
    return journal_files(folder)[0].read_bytes().partition(b"\n")[0] + b"\n"


@pytest.mark.parametrize(
    "left", ["nothing", "an empty folder", "an empty file", "half a record", "zeros", "a reserve", "a disk's own"]
)
def test_a_start_that_came_to_nothing_is_begun_again(record, tmp_path, left):
    line = whole_line(record())
    shutil.rmtree(tmp_path / "s")
    content = {"an empty file": b"", "half a record": line[: len(line) // 2], "zeros": bytes(500)}.get(left)
    if left != "nothing":
        (tmp_path / "s").mkdir()
    if content is not None:
        (tmp_path / "s" / file_name(0)).write_bytes(content)
    if left in ("a reserve", "half a record"):
        (tmp_path / "s" / RESERVE).write_bytes(b"")
    if left == "a disk's own":
        (tmp_path / "s" / "lost+found").mkdir()
    folder = record()
    assert (frames(folder), events(folder)) == (2, ["end"])
    kept = {path.name: path.read_bytes() for path in folder.glob("torn-after-*")}
    assert kept == ({"torn-after-000000000.bin": content} if content else {})
    record()
    assert frames(folder) == 4


def test_what_each_of_two_torn_starts_left_is_kept(record, tmp_path):
    for content in (b'{"se', b'{"seq":0,"at":"2'):
        shutil.rmtree(tmp_path / "s", ignore_errors=True) if content == b'{"se' else (tmp_path / "s" / file_name(0)).unlink()
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / "s" / file_name(0)).write_bytes(content)
        record()
    assert sorted(path.read_bytes() for path in (tmp_path / "s").glob("torn-after-*")) == [b'{"se', b'{"seq":0,"at":"2']


def test_after_a_torn_end_it_goes_on_with_the_bytes_kept(record):
    folder = record()
    path = journal_files(folder)[-1]
    whole = path.read_bytes()
    torn = f'{{"seq":{verify(folder).records},"at":"20'.encode()
    path.write_bytes(whole + torn)
    record()
    assert frames(folder) == 4
    assert path.read_bytes().startswith(whole)
    assert [kept.read_bytes() for kept in folder.glob("torn-after-*")] == [torn]


def test_damage_that_no_crash_makes_is_refused_and_nothing_is_touched(record, refuses, tmp_path):
    folder = record()
    path = journal_files(folder)[0]
    damaged = path.read_bytes().replace(b"litert", b"LITERT", 1)
    path.write_bytes(damaged)
    assert "is not what was written" in refuses(edge_run, *SESSION, "--record", folder)
    assert path.read_bytes() == damaged


def test_a_folder_of_something_else_is_refused(refuses, tmp_path):
    (tmp_path / "holiday.jpg").touch()
    assert "exists and is not empty (it holds " in refuses(edge_run, *SESSION, "--record", tmp_path)
    assert "is a file; choose a new folder" in refuses(edge_run, *SESSION, "--record", tmp_path / "holiday.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert "a link whose target is gone; choose a new folder" in refuses(edge_run, *SESSION, "--record", tmp_path / "link")


# --- only as it began


OTHERWISE = {
    "camera": ("--camera", "synthetic:50", "with --camera synthetic:100, now it is asked for with --camera synthetic:50"),
    "camera_size": ("--camera-size", "640x480", "without --camera-size, now it is asked for with --camera-size 640x480"),
    "source": ("--source", ".", "with --camera synthetic:100, now it is asked for without --camera"),
    "noise": ("--noise", "0,10", "with --noise 0, now it is asked for with --noise 0,10"),
    "seed": ("--seed", 4, "with --seed 0, now it is asked for with --seed 4"),
    "runtime": ("--runtime", "tflite-runtime", "with --runtime litert, now it is asked for with --runtime tflite-runtime"),
    "every_frame": ("--every-frame", None, "without --every-frame, now it is asked for with --every-frame"),
    "ungated": ("--ungated", None, "without --ungated, now it is asked for with --ungated"),
    "cells": ("--cells", "many", "with --cells auto, now it is asked for with --cells many"),
    "cell_diameter": ("--cell-diameter", 30, "without --cell-diameter, now it is asked for with --cell-diameter 30"),
    "channel": ("--channel", "a", "with --channel a-b, now it is asked for with --channel a"),
    "noise_at": ("--noise-at", "input", "with --noise-at capture, now it is asked for with --noise-at input"),
    "threads": ("--threads", 2, "with --threads 1, now it is asked for with --threads 2"),
}


def test_every_setting_has_a_case_here():
    assert {field.name for field in fields(SessionSettings)} <= OTHERWISE.keys() | {"bundle"}


@pytest.fixture(scope="module")
def recorded(call, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "s"
    assert call(edge_run, *SESSION, "--record", folder).exit_code == 0
    return folder


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_as_it_was_recorded_is_named(refuses, recorded, name):
    option, value, said = OTHERWISE[name]
    before = journal_files(recorded)[0].read_bytes()
    options = [one for one in SESSION if name != "source" or one not in ("--camera", "synthetic:100")]
    line = refuses(edge_run, *options, option, *([] if value is None else [value]), "--record", recorded, code=2)
    remedy = "leave it as it was, or choose another folder."
    assert line.startswith(f"Error: {recorded}: the session there was recorded {said}: {remedy}")
    assert journal_files(recorded)[0].read_bytes() == before


def test_another_bundle_is_named_with_what_it_is(refuses, recorded):
    line = refuses(edge_run, "--bundle", "mobilenet_m-cnmc", *SESSION[2:], "--record", recorded, notes=1)
    assert "recorded with manifest sha256 " in line
    assert " of synthetic-cells, not manifest sha256 " in line
    assert line.endswith("of mobilenet_m-cnmc; go on with it as it began, or choose another folder")


def test_a_cameras_password_is_never_recorded_and_never_shown(call, refuses, serve, tmp_path):
    server = serve([jpeg_bytes()] * 50, 0.02)
    secret = server.url.replace("://", "://joe:s3cret@")
    session = ("--bundle", "synthetic-cells", "--camera", secret, "--cells", "one", "--frames", 1, "--quiet")
    for _ in range(2):
        result = call(edge_run, *session, "--record", tmp_path / "s")
        assert result.exit_code == 0, result.output
    assert b"s3cret" not in journal_files(tmp_path / "s")[0].read_bytes()
    other = [secret.replace("://joe:s3cret@", "://joe:s3cret@other.") if one == secret else one for one in session]
    assert "s3cret" not in refuses(edge_run, *other, "--record", tmp_path / "s", code=2)


# --- slides


def test_the_slide_of_a_session_that_goes_on_is_begun_where_it_is_another(record):
    folder = record("--slide", "A17")
    record("--slide", "A17")
    record()
    assert len(slides(folder)) == 1
    record("--slide", "B2")
    record("--slide", " B2 ")
    record("--slide", "A17")
    first, second, third = slides(folder)
    assert (first, first == second, first == third) == (slides(folder)[0], False, True)


def test_a_slides_name_may_come_from_a_file_or_stdin(record, refuses, tmp_path):
    (tmp_path / "slide").write_bytes(b"\xef\xbb\xbfA17 \r\nnotes\n")
    folder = record("--slide", "A17")
    record("--slide-file", tmp_path / "slide")
    options = [str(one) for one in (*SESSION, "--record", folder, "--slide-file", "-")]
    result = CliRunner().invoke(edge_run, options, input="A17\n")
    assert result.exit_code == 0, result.output
    assert len(slides(folder)) == 1
    assert b"A17" not in journal_files(folder)[0].read_bytes()
    both = ("--record", folder, "--slide", "B2", "--slide-file", tmp_path / "slide")
    assert "give either --slide NAME or --slide-file FILE" in refuses(edge_run, *SESSION, *both, code=2)
    nowhere = ("--slide-file", tmp_path / "slide")
    assert "goes with --journal, --record, --resume, --serve or --out" in refuses(edge_run, *SESSION, *nowhere, code=2)
    one_stdin = ("--record", folder, "--slide-file", "-", "--camera-login", "-")
    assert "cannot both come from stdin" in refuses(edge_run, *SESSION, *one_stdin, code=2)
    (tmp_path / "slide").write_bytes(b"A" * 201)
    long = refuses(edge_run, *SESSION, "--record", folder, "--slide-file", tmp_path / "slide", code=2)
    assert "at most 200 characters" in long


def test_a_session_that_is_resumed_may_lie_under_another_slide(record, call):
    folder = record("--slide", "A17")
    assert call(edge_run, "--resume", folder, "--frames", 1, "--quiet", "--slide", "B2").exit_code == 0
    assert len(slides(folder)) == 2


# --- sources that end


def test_a_folder_goes_on_where_it_was_left_and_is_done_at_its_end(record, call, tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(3):
        Image.fromarray(render_cell(np.random.default_rng(i), "blast")).save(tmp_path / "pictures" / f"{i}.png")
    session = ("--bundle", "synthetic-cells", "--source", tmp_path / "pictures", "--quiet")
    folder = record("--frames", 2, session=session)
    record(session=session)
    assert [entry.record.index for entry in read(folder) if isinstance(entry.record, FrameRecord)] == [0, 1, 2]
    result = call(edge_run, *session, "--record", folder)
    assert result.exit_code == 0
    assert result.stderr.startswith("note: ")
    assert "nothing is left: its 3 frames came before the session was resumed" in result.stderr
    assert verify(folder).ended


# --- the three options that record


def test_each_refusal_names_the_option_that_helps(refuses, recorded, tmp_path):
    taken = refuses(edge_run, *SESSION, "--journal", recorded)
    assert (
        taken
        == f"Error: {recorded}: a session is recorded there already; choose a new folder; or --record, which goes on with it"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / file_name(0)).write_bytes(b"{")
    for folder in (tmp_path / "nowhere", tmp_path / "empty", tmp_path / "torn"):
        line = refuses(edge_run, "--resume", folder)
        assert (
            line == f"Error: {folder}: no session is recorded there; --record begins one there, and goes on with it from then on"
        )


@pytest.mark.parametrize("other", ["--journal", "--resume"])
def test_one_option_records(refuses, tmp_path, other):
    assert "give one of them" in refuses(edge_run, *SESSION, "--record", tmp_path / "a", other, tmp_path / "b", code=2)


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_a_slides_name_is_a_name(refuses, tmp_path, name):
    assert "expected the slide's name or number" in refuses(
        edge_run, *SESSION, "--record", tmp_path / "s", "--slide", name, code=2
    )
    assert not (tmp_path / "s").exists()


def test_while_one_process_records_another_is_refused(record, refuses, tmp_path):
    folder = record()
    fd = os.open(folder, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert "another process is recording this session" in refuses(edge_run, *SESSION, "--record", folder)
    os.close(fd)


def test_a_folder_whose_name_is_not_utf_8_is_gone_on_with(call, tmp_path):
    pictures = tmp_path / os.fsdecode(b"caf\xe9")
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(jpeg_bytes())
    session = ("--bundle", "synthetic-cells", "--source", pictures, "--quiet", "--record", tmp_path / "s")
    assert [call(edge_run, *session).exit_code for _ in range(2)] == [0, 0]
    assert frames(tmp_path / "s") == 1


def test_the_bundles_hash_is_printed_recorded_and_written(call, tmp_path):
    shown = Bundle.load(shipped_path("synthetic-cells")).sha256
    options = ("--record", tmp_path / "s", "--out", tmp_path / "out", "--json", tmp_path / "j.json")
    result = call(edge_run, *SESSION, *options)
    assert f"Bundle sha256 {shown[:12]}" in result.stdout.splitlines()
    (start,) = (entry.record for entry in read(tmp_path / "s") if isinstance(entry.record, StartRecord))
    assert start.bundle_sha256 == shown
    assert json.loads((tmp_path / "j.json").read_text())["bundle_sha256"] == shown
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["start"]["bundle_sha256"] == shown
    assert f"sha256 {shown}" in (tmp_path / "out" / "summary.html").read_text()


def test_a_session_goes_on_with_another_card_and_says_so_but_not_with_another_manifest(record, call, tmp_path):
    bundle = Path(shutil.copytree(shipped_path("synthetic-cells"), tmp_path / "b"))
    session = ("--bundle", bundle, *SESSION[2:])
    folder = record(session=session)
    before = Bundle.load(bundle).sha256
    seal_with(bundle, "README.md", b"another card")
    record(session=session)
    resumed = [e.record for e in read(folder) if isinstance(e.record, EventRecord) and e.record.event == "resumed"]
    assert f"bundle {before[:12]} -> {Bundle.load(bundle).sha256[:12]}" in resumed[0].detail
    manifest = (bundle / "manifest.json").read_bytes()
    seal_with(bundle, "manifest.json", manifest.replace(b'"name": "synthetic-cells"', b'"name": "other-cells"'))
    result = call(edge_run, *session, "--record", folder)
    assert result.exit_code == 1
    assert "the session was recorded with manifest sha256" in result.stderr


def seal_with(bundle: Path, name: str, content: bytes) -> None:
    """Another file, and the sums that fit it."""
    (bundle / name).write_bytes(content)
    files = {path.name: path.read_bytes() for path in bundle.iterdir() if path.name != SUMS}
    (bundle / SUMS).write_text(sums_text(sums_of(files)))
