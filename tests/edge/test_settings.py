"""`edge-run --journal`, `--resume` and `leukolite journal replay`: what was recorded goes on, and can be repeated."""

import html
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.edge.journal.format import read
from leukolite.edge.journal.records import EventRecord, FrameRecord, StartRecord
from leukolite.edge.journal_cli import replay_command
from leukolite.edge.settings import SessionSettings
from leukolite.noise import NOISE_PLACES, pooled_sigma
from leukolite.synthetic import LABELS, render_cell


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    for i in range(12):
        label = LABELS[i % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(render_cell(np.random.default_rng(i), label)).save(folder / label / f"{i:02}.png")
    return folder


@pytest.fixture
def record(call, tmp_path, slides):
    def run(*options: object) -> Path:
        command = ("--bundle", "synthetic-cells", "--source", slides, "--journal", tmp_path / "session", "--quiet")
        result = call(edge_run, *command, *options)
        assert result.exit_code == 0, result.output
        return tmp_path / "session"

    return run


def frames(session: Path) -> list[FrameRecord]:
    return [entry.record for entry in read(session) if isinstance(entry.record, FrameRecord)]


def test_a_recorded_session_is_repeated_to_the_last_verdict(call, record):
    session = record("--noise", "0,5")
    result = call(leukolite, "journal", "replay", session)
    assert result.exit_code == 0, result.output
    assert "12 frames classified again, 24 verdicts compared, 0 differ" in result.stdout


def test_noise_at_the_input_is_recorded_and_repeated_to_the_last_verdict(call, record):
    session = record("--noise", "0,40", "--noise-at", "input")
    start = next(read(session)).record
    assert isinstance(start, StartRecord)
    assert (start.settings, start.sigmas) == ({"noise_at": "input"}, (0, 40))
    assert "24 verdicts compared, 0 differ" in call(leukolite, "journal", "replay", session).stdout


def test_a_session_says_where_its_noise_was_put_and_how_much_of_it_reached_the_network(call, slides, tmp_path):
    places = {}
    for place in ("capture", "input"):
        given = ("--noise", "0,10", "--noise-at", place, "--quiet", "--out", tmp_path / place)
        result = call(edge_run, "--bundle", "synthetic-cells", "--source", slides, *given)
        assert (f"Gaussian noise {NOISE_PLACES['input']}" in result.stdout) == (place == "input")
        places[place] = json.loads((tmp_path / place / "report.json").read_text())
        assert places[place]["noise_at"] == place
        assert f"noise added {NOISE_PLACES[place]}" in html.unescape((tmp_path / place / "summary.html").read_text())
    reached = {place: [row["effective_sigma"] for row in session["results"]] for place, session in places.items()}
    assert reached["capture"][0] == reached["input"][0] == 0
    assert 2 < reached["capture"][1] < 7  # of 256 pixels to 96
    assert 9 < reached["input"][1] < 10.1
    of_frames = [row["effective_sigma"] for row in places["input"]["frames"] if row["sigma"] == 10]
    assert pooled_sigma(of_frames) == pytest.approx(reached["input"][1])


def test_a_frame_that_has_changed_since_is_told(call, record, slides):
    session = record()
    path = sorted(slides.glob("*/*.png"))[0]
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    result = call(leukolite, "journal", "replay", session)
    assert result.exit_code == 1
    assert "12 verdicts compared, 1 differ" in result.stdout or "1 differ" in result.stdout
    assert "the picture is another" in result.stdout


def test_a_session_goes_on_where_it_was_left_and_counts_no_frame_twice(call, record):
    session = record("--frames", 5)
    result = call(edge_run, "--resume", session, "--quiet")
    assert result.exit_code == 0, result.output
    assert [frame.index for frame in frames(session)] == list(range(12))
    assert "resumed" in [entry.record.event for entry in read(session) if isinstance(entry.record, EventRecord)]
    assert call(leukolite, "journal", "replay", session).exit_code == 0


def test_a_session_that_is_done_is_not_begun_again(refuses, record, slides):
    session = record()
    assert "nothing is left: its 12 frames came before" in refuses(edge_run, "--resume", session, "--quiet")


def test_kept_frames_repeat_a_camera_that_is_gone(call, tmp_path, monkeypatch):
    session = tmp_path / "session"
    command = ("--bundle", "synthetic-cells", "--camera", "synthetic", "--frames", 4, "--journal", session, "--keep-frames")
    assert call(edge_run, *command, "--quiet").exit_code == 0
    assert len(list((session / "frames").glob("*.png"))) == 4
    monkeypatch.setattr("leukolite.edge.settings.open_camera", None)
    assert "4 verdicts compared, 0 differ" in call(leukolite, "journal", "replay", session).stdout


def test_a_slides_name_is_nowhere_in_the_journal(record, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    session = record("--slide", "Jane Doe 1980", "--frames", 2)
    assert b"Jane" not in b"".join(path.read_bytes() for path in session.iterdir())
    start = next(read(session)).record
    assert isinstance(start, StartRecord)
    assert start.slide is not None
    assert (tmp_path / "config" / "leukolite" / "salt").stat().st_mode & 0o077 == 0


def test_out_holds_the_summary_too(record, tmp_path):
    record("--out", tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(summary["slides"][0]["by_label"].values()) == 12
    assert "<html" in (tmp_path / "out" / "summary.html").read_text()


def test_a_killed_session_verifies_goes_on_and_is_repeated(call, tmp_path):
    session = tmp_path / "session"
    command = [sys.executable, "-c", "from leukolite.edge.cli import main; main()", "--bundle", "synthetic-cells", "--quiet"]
    options = ["--camera", "synthetic:50", "--journal", str(session)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        session.is_dir() and sum(p.stat().st_size for p in session.glob("*.jsonl")) > 5000
    ):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(frames(session))
    assert before > 0
    assert call(edge_run, "--resume", session, "--frames", 3, "--quiet").exit_code == 0
    assert len(frames(session)) == before + 3
    assert call(leukolite, "journal", "verify", session).exit_code == 0
    assert call(leukolite, "journal", "replay", session).exit_code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--resume", "S", "--camera", "synthetic"), "says itself with which --camera"),
        (("--resume", "S", "--noise", "5"), "says itself with which --noise"),
        (("--resume", "S", "--journal", "S"), "give one of them"),
        (("--resume", "S", "--replay", "S"), "use `leukolite journal replay SESSION`"),
        (("--bundle", "synthetic-cells", "--camera", "synthetic", "--keep-frames"), "go with --journal"),
        (("--bundle", "synthetic-cells", "--camera", "synthetic", "--slide", "A"), "--slide goes with --journal"),
        (("--camera", "synthetic"), "Missing option '--bundle'"),
    ],
)
def test_options_that_contradict_each_other_are_a_wrong_call(refuses, options, says):
    assert says in refuses(edge_run, *options, code=2)


GIVEN = {
    "camera": ("synthetic",),
    "camera_size": ("640x480",),
    "source": ("slides",),
    "noise": ("5",),
    "seed": ("1",),
    "runtime": ("litert",),
    "threads": ("1",),
    "every_frame": (),
    "ungated": (),
    "cells": ("auto",),
    "cell_diameter": ("40",),
    "channel": ("a-b",),
    "noise_at": ("capture",),
}


@pytest.mark.parametrize("name", [field.name for field in fields(SessionSettings) if field.name != "bundle"])
def test_no_setting_of_a_recorded_session_is_given_again_not_even_as_it_was(refuses, name):
    option = f"--{name.replace('_', '-')}"
    replay_options = {text for parameter in replay_command.params for text in parameter.opts}
    line = refuses(edge_run, "--resume", "S", option, *GIVEN[name], code=2)
    assert f"S says itself with which {option} it was recorded: leave it out" in line
    assert option not in replay_options, "a journal is repeated as it was recorded"


def test_every_setting_of_a_session_is_an_option_of_its_name():
    assert {field.name for field in fields(SessionSettings)} <= {option.name for option in edge_run.params}


def test_another_bundle_neither_goes_on_nor_repeats(refuses, record, tiny_bundle):
    session = record("--frames", 2)
    assert "manifest sha256" in refuses(edge_run, "--resume", session, "--bundle", tiny_bundle, "--quiet", notes=0)
    assert "was recorded with bundle synthetic-cells" in refuses(leukolite, "journal", "replay", session, "--bundle", tiny_bundle)


def test_a_folder_without_a_session_is_refused(refuses, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refuses(edge_run, "--resume", tmp_path / "empty")
