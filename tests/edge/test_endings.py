"""However a session ends, its records and results are there: processes of `edge-run`, as the terminal and systemd end them."""

import fcntl
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.journal.format import file_name, read, verify
from leukolite.edge.journal.records import FrameRecord
from leukolite.errors import JournalError

EDGE_RUN = "from leukolite.edge.start import main; main()"
SESSION = ("--bundle", "synthetic-cells", "--camera", "synthetic:50")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `edge-run` with a journal, a JSON and a folder of results below `tmp_path`."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*options: object, code: str = EDGE_RUN, json_path: object = tmp_path / "o.json", **popen: object):
        files = ("--journal", tmp_path / "session", "--json", json_path, "--out", tmp_path / "out")
        command = [sys.executable, "-c", code, *map(str, (*SESSION, *files, *options))]
        how: dict = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | popen
        processes.append(subprocess.Popen(command, **how))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def frames(folder: Path) -> int:
    if not (folder / file_name(0)).is_file():
        return 0
    try:
        return sum(isinstance(entry.record, FrameRecord) for entry in read(folder))
    except JournalError:  # a line that is just being written
        return 0


def wait_for_frames(folder: Path, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while frames(folder) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_ended_properly(tmp_path: Path, *, json_path: Path | None = None) -> int:
    """How many frames the journal and both results have, which must be as many."""
    assert verify(tmp_path / "session").ended
    results = [json.loads((tmp_path / "out" / "report.json").read_text())]
    results += [json.loads((json_path or tmp_path / "o.json").read_text())]
    found = {frames(tmp_path / "session"), *(result["counts"]["frames"] for result in results)}
    assert len(found) == 1
    assert (tmp_path / "out" / "summary.html").is_file()
    return found.pop()


# --- signals


@pytest.mark.parametrize(
    ("numbers", "by"),
    [
        ([signal.SIGINT], "the user"),
        ([signal.SIGTERM], "SIGTERM"),
        ([signal.SIGHUP], "SIGHUP"),
        ([signal.SIGHUP, signal.SIGHUP], "SIGHUP"),  # the shell's and the kernel's
        ([signal.SIGTERM, signal.SIGTERM], "SIGTERM"),  # as `timeout` sends it, to the process and to its group
        ([signal.SIGTERM, signal.SIGHUP], "SIGHUP"),  # systemd with SendSIGHUP; of two at once the lower number comes first
    ],
)
def test_a_signal_ends_the_session_with_all_written(start, tmp_path, numbers, by):
    process = start("--quiet")
    wait_for_frames(tmp_path / "session", 3, process)
    process.send_signal(signal.SIGSTOP)  # so that they come at once
    for number in (*numbers, signal.SIGCONT):
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, f"stopped by {by}\n")
    assert has_ended_properly(tmp_path) >= 3


STUCK = """
import time
from leukolite.edge.camera.synthetic import SyntheticCamera
import leukolite.edge.pipeline as pipeline
before = pipeline._Loop._result
def stuck(self, frame, skipped):
    if frame.index >= 5:
        print("stuck", flush=True)
        time.sleep(600)
    return before(self, frame, skipped)
pipeline._Loop._result = stuck
from leukolite.edge.start import main
main()
"""


def test_a_second_control_c_gives_up_the_frame_in_hand_and_keeps_the_rest(start, tmp_path):
    process = start("--quiet", code=STUCK, preexec_fn=_with_control_c)
    while "stuck" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "stopped by the user\n")
    assert has_ended_properly(tmp_path) >= 1


HAMMERED = """
import atexit, os, signal, sys
import leukolite.edge.run as run
from leukolite.edge.events import SessionEnd
from leukolite.edge.journal.sink import JournalSink
def hammer():
    for number in [signal.SIGINT] * 5 + [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]:
        os.kill(os.getpid(), number)
def around(before):
    def hammered(*args, **kwargs):
        hammer()
        found = before(*args, **kwargs)
        hammer()
        return found
    return hammered
atexit.register(hammer)
run.write_json, run.session_csv, run.settle_streams = map(around, (run.write_json, run.session_csv, run.settle_streams))
JournalSink.close = around(JournalSink.close)
if "first" in sys.argv:
    sys.argv.remove("first")
    take = JournalSink.take
    def hammered_at_the_fifth(self, event):
        take(self, event)
        if getattr(getattr(event, "frame", None), "index", 0) == 5:
            hammer()
    JournalSink.take = hammered_at_the_fifth
from leukolite.edge.start import main
main()
"""


@pytest.mark.parametrize("first", [("first",), ()])
def test_no_further_signal_loses_results_while_they_are_written(start, tmp_path, first):
    limit = ("--frames", 200) if first else ("--frames", 5)
    process = start("--quiet", *limit, *first, code=HAMMERED, preexec_fn=_with_control_c)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "stopped by the user\n")
    assert has_ended_properly(tmp_path) >= 5


def _with_control_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_under_nohup_a_hangup_ends_nothing(start, tmp_path):
    process = start("--quiet", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_frames(tmp_path / "session", 2, process)
    process.send_signal(signal.SIGHUP)
    wait_for_frames(tmp_path / "session", frames(tmp_path / "session") + 5, process)
    process.terminate()
    assert process.wait(60) == 0
    assert has_ended_properly(tmp_path) >= 7


def test_a_terminal_that_is_closed_ends_the_session_properly(start, tmp_path):
    """The kernel sends SIGHUP, and what is written to the terminal from then on fails."""
    ours, theirs = pty.openpty()
    process = start(
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    wait_for_frames(tmp_path / "session", 3, process)
    os.close(ours)
    assert process.wait(60) == 0
    assert has_ended_properly(tmp_path) >= 3


# --- readers, streams, alphabets


def in_shell(tmp_path: Path, redirections: str, *options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    files = ("--journal", tmp_path / "session", "--out", tmp_path / "out", "--frames", 40)
    command = shlex.join(map(str, (sys.executable, "-u", "-c", EDGE_RUN, *SESSION, *files, *options)))
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {redirections}"],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=os.environ | environment,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirections", "notes"),
    [
        ("| head -1", 0),
        ("2>&1 | head -1", 0),
        (">&-", 0),
        (">&- 2>&-", 0),
        ("<&- >&- 2>&-", 0),
        (">/dev/full", 1),
        (">/dev/full 2>/dev/full", 0),
    ],
)
def test_a_session_goes_on_whoever_stops_reading_it(tmp_path, redirections, notes):
    process = in_shell(tmp_path, redirections, "--json", tmp_path / "o.json")
    assert process.returncode == 0
    assert len(process.stderr.splitlines()) == notes, process.stderr
    assert has_ended_properly(tmp_path) == 40


@pytest.mark.parametrize(
    ("redirections", "said"), [(">/dev/full", "disk full"), ("| true", "the reader went away"), (">&-", "it is closed")]
)
def test_json_on_a_stdout_that_fails_is_that_files_failure_alone(tmp_path, redirections, said):
    process = in_shell(tmp_path, redirections, "--json", "-", "--quiet", "--noise", "0,1,2,3,4")  # more than a pipe holds
    assert process.returncode == 1
    line = process.stderr.splitlines()[-1]
    assert line.startswith(f"Error: stdout: not all could be written ({said})")
    assert line.endswith(f"the session is kept in {tmp_path / 'out'} and {tmp_path / 'session'}")
    assert verify(tmp_path / "session").ended
    assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"]["frames"] == 40


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_output_that_nobody_reads_stops_neither_the_session_nor_its_end(start, tmp_path, stuck, number):
    process = start("--camera", "synthetic:200", "--every-frame", stdout=stuck, stderr=stuck, text=False)
    wait_for_frames(tmp_path / "session", 70, process)  # more lines than the pipe holds
    asked = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == 0
    assert time.monotonic() - asked < 15  # on a busy machine; 3.5 s on an idle one
    assert has_ended_properly(tmp_path) >= 70


def test_a_session_that_ends_by_itself_waits_for_its_reader_only_while_he_reads(start, tmp_path, stuck):
    process = start("--frames", 150, "--camera", "synthetic:200", "--every-frame", stdout=stuck, stderr=subprocess.PIPE)
    began = time.monotonic()
    while not (tmp_path / "o.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # all is written: it waits for no reader any longer
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.splitlines()[-1].endswith("not shown on stdout, which nobody read")
    assert has_ended_properly(tmp_path) == 150
    assert time.monotonic() - began < 60


def test_json_that_nobody_reads_is_waited_for_until_a_signal_ends_it(start, tmp_path, stuck):
    process = start(
        "--frames", 100, "--camera", "synthetic:200", "--every-frame", json_path="-", stdout=stuck, stderr=subprocess.PIPE
    )
    while not (tmp_path / "out" / "summary.html").exists():
        assert process.poll() is None
        time.sleep(0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith("Error: stdout: not all could be written (nobody reads it)")
    assert last.endswith(f"the session is kept in {tmp_path / 'out'} and {tmp_path / 'session'}")
    assert verify(tmp_path / "session").ended


def test_a_named_pipe_that_nobody_opens_is_waited_for_until_a_signal_ends_it(start, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    process = start("--frames", 3, "--quiet", json_path=tmp_path / "pipe")
    while not (tmp_path / "out" / "summary.html").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"{tmp_path / 'pipe'}: cannot be written (nobody reads it)" in errors.splitlines()[-1]
    assert verify(tmp_path / "session").ended


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
def test_a_stdout_of_another_alphabet_shows_what_it_has_not_escaped(tmp_path, environment):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    from PIL import Image

    from leukolite.synthetic import render_cell

    Image.fromarray(render_cell(np.random.default_rng(1), "blast")).save(
        pictures / "a picture with a name that is long é ü 細胞.png"
    )
    command = (sys.executable, "-c", EDGE_RUN, "--bundle", "synthetic-cells", "--source", pictures, "--json", tmp_path / "o.json")
    process = subprocess.run(list(map(str, command)), capture_output=True, env=os.environ | environment, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (0, b"")
    if environment.get("PYTHONIOENCODING") == "ascii":
        assert process.stdout.isascii()
    assert json.loads((tmp_path / "o.json").read_text())["counts"]["frames"] == 1


# --- what fails on the way and at the end


def test_a_disk_that_is_full_at_the_end_is_said_with_what_is_kept(start, tmp_path, small_disk):
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))
    process = start("--quiet", "--frames", 30, json_path=small_disk / "o.json")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith(f"Error: {small_disk / 'o.json'}: cannot be written (disk full)")
    assert last.endswith(f"the session is kept in {tmp_path / 'out'} and {tmp_path / 'session'}")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"]["frames"] == 30
    assert [path.name for path in small_disk.iterdir()] == ["other"]


FAILS = {
    "no jinja2": (
        "import sys; sys.modules['jinja2'] = None",
        "{out}/summary.html: not written (jinja2 is not installed; pip install jinja2)",
        {"summary.html"},
    ),
    "a bug in the page": (
        "import leukolite.edge.report.summary_page as page; page.enough_sentence = lambda *_: 1 / 0",
        "{out}/summary.html: not written (ZeroDivisionError: division by zero)",
        {"summary.html"},
    ),
    "a bug in the summary": (
        "import leukolite.edge.run as run; run.summary_of = lambda *_, **__: [][0]",
        "{out}/summary.html, summary.json, summary.csv: not written (IndexError: list index out of range)",
        {"summary.html", "summary.json", "summary.csv"},
    ),
    "a bug in the CSV": (
        "import leukolite.edge.run as run; run.session_csv = lambda *_: {}['gone']",
        "{out}/verdicts.csv: not written (KeyError: 'gone')",
        {"verdicts.csv"},
    ),
    "a bug in the JSON": (
        "import leukolite.edge.run as run; run.session_json = lambda *_: None.gone",
        "{out}/report.json: not written (AttributeError: 'NoneType' object has no attribute 'gone');"
        " {json}: not written (AttributeError: 'NoneType' object has no attribute 'gone')",
        {"report.json", "o.json"},
    ),
    "a bug in the tables": (
        "import leukolite.edge.run as run; run.closing_tables = lambda *_: 1 / 0",
        "the closing tables: not written (ZeroDivisionError: division by zero)",
        set(),
    ),
    "a value that is no JSON": (
        "import leukolite.edge.run as run; real = run.session_json; run.session_json = lambda *a: {**real(*a), 'x': object()}",
        "{out}/report.json: not written (TypeError: Object of type object is not JSON serializable);"
        " {json}: not written (TypeError: Object of type object is not JSON serializable)",
        {"report.json", "o.json"},
    ),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_writer_that_fails_is_named_in_a_line_and_costs_no_other_file(start, tmp_path, name):
    code, said, missing = FAILS[name]
    process = start("--quiet", "--frames", 3, code=f"{code}\n{EDGE_RUN}")
    _, errors = process.communicate(timeout=60)
    out, session, json_path = (tmp_path / part for part in ("out", "session", "o.json"))
    kept = [place for place in (out, json_path, session) if place.name not in missing]
    said = said.format(out=out, json=json_path)
    assert errors == f"Error: {said}; the session is kept in {' and '.join(map(str, kept))}\n"
    assert process.returncode == 1
    written = {path.name for path in (*out.iterdir(), json_path) if path.exists()}
    assert written == {"report.json", "verdicts.csv", "summary.html", "summary.json", "summary.csv", "o.json"} - missing
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "session", "o.json"}
    assert verify(session).ended


def test_of_a_folder_none_of_whose_files_can_be_written_nothing_stays(start, tmp_path):
    code = (
        "import leukolite.edge.report.result_files as files\ndef full(*_, **__): raise OSError(28, 'No space left on device')\n"
    )
    code += "files.write_file = files.write_json = full\nfiles.SUMMARY_FILES = dict.fromkeys(files.SUMMARY_FILES, full)\n"
    process = start("--quiet", "--frames", 3, code=code + EDGE_RUN)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith(f"Error: {tmp_path / 'out'}/report.json, verdicts.csv, summary.html, summary.json, summary.csv: ")
    assert errors.endswith(f"; the session is kept in {tmp_path / 'o.json'} and {tmp_path / 'session'}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.json", "session"]


BROKEN = """
import leukolite.edge.report.console as console
seen = []
def broken(self, event):
    seen.append(event)
    if len(seen) > 5:
        raise ZeroDivisionError("a bug")
console.Console.take = broken
from leukolite.edge.start import main
main()
"""


def test_after_a_bug_what_was_seen_is_kept_and_the_bug_is_shown(start, tmp_path):
    process = start("--quiet", code=BROKEN)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "ZeroDivisionError: a bug"
    assert verify(tmp_path / "session").ending == Ending(EndedBy.PROGRAM_ERROR, "ZeroDivisionError: a bug")
    result = json.loads((tmp_path / "o.json").read_text())
    assert result["failure"] == "ZeroDivisionError: a bug"
    assert len(result["frames"]) == 6  # what keeps a frame comes before what shows it


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (shutil.rmtree, f"{file_name(0)} was removed"),
        (lambda session: session.rename(session.with_name("mine")), "its folder was renamed or moved"),
        (lambda session: (session.rename(session.with_name("mine")), session.mkdir()), "its folder was replaced by another"),
        (lambda session: os.truncate(session / file_name(0), 0), f"{file_name(0)} was cut"),
    ],
)
def test_a_session_whose_files_somebody_takes_away_ends_and_says_so(start, tmp_path, harm, why):
    process = start("--quiet")
    wait_for_frames(tmp_path / "session", 3, process)
    harm(tmp_path / "session")
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    stopped, error = errors.splitlines()
    assert stopped.startswith(f"recording stopped: {why}")
    assert error.startswith(f"Error: {tmp_path / 'mine' if 'folder' in why else tmp_path / 'session'}: recording stopped: {why}")
    assert "the last is" not in said or "folder" in why
    assert (f"{tmp_path / 'mine'}: " in said, f"{tmp_path / 'session'}: " in said) == ("folder" in why, "folder" not in why)
    for result in (tmp_path / "o.json", tmp_path / "out" / "report.json"):
        assert json.loads(result.read_text())["ended_by"] == "a failing recording"


def test_a_bug_with_the_first_frame_leaves_results_too(start, tmp_path):
    process = start("--quiet", code=BROKEN.replace("> 5", "> 0"))
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads((tmp_path / "o.json").read_text())["ended_by"] == "a program error"
    assert (tmp_path / "out" / "summary.html").read_text().count("It failed: ended by a program error: ZeroDivisionError") == 1


def test_a_session_that_goes_on_says_how_it_had_ended(start, tmp_path):
    process = start("--quiet", code=BROKEN)
    process.communicate(timeout=60)
    command = [sys.executable, "-c", EDGE_RUN, "--resume", tmp_path / "session", "--frames", 1, "--quiet"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=True)
    assert f"{tmp_path / 'session'} goes on; it ended by a program error: ZeroDivisionError: a bug" in done.stdout
    assert verify(tmp_path / "session").ending == Ending(EndedBy.LIMIT)


# --- machines that let nothing be written


READ_ONLY = """
mount --make-rprivate / && mkdir -p {place} && mount -t tmpfs tmpfs {place} || exit 77
for top in / /tmp /var/tmp /dev/shm /root /home {checkout} {tmp}; do
    mount --bind $top $top 2>/dev/null && mount -o remount,bind,ro $top
done
mount --bind {place} {place} && mount -o remount,bind,rw {place}
touch {place}/rw || exit 77
touch /tmp/ro 2>/dev/null && exit 77
cd /
"""


@pytest.fixture
def read_only(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `edge-run` where no file can be written but below `tmp_path / "rw"`, without a home and with TMPDIR nowhere."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting read-only needs root and unshare")

    def run(*options: object, **environment: str) -> subprocess.CompletedProcess[str]:
        place = tmp_path / "rw"
        script = READ_ONLY.format(place=place, checkout=Path(__file__).parents[2], tmp=tmp_path)
        command = shlex.join(map(str, (sys.executable, "-c", EDGE_RUN, *options)))
        nowhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"), "/nonexistent")
        inherited = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", f"{script}\n{command}; code=$?; ls -A {place} >&2; exit $code"],
            capture_output=True,
            text=True,
            env=inherited | nowhere | environment,
            timeout=90,
            check=False,
        )
        if done.returncode == 77:
            pytest.skip(f"no file systems can be mounted here: {done.stderr}")
        return done

    return run


def test_nothing_is_written_where_nothing_was_asked_for(read_only, tmp_path):
    pytest.importorskip("uvicorn")
    done = read_only(*SESSION, "--frames", 3, "--quiet", "--serve", 0)
    assert done.returncode == 0
    assert done.stderr.splitlines()[1:] == ["rw"]


def test_a_journal_in_the_one_place_that_can_be_written_is_enough(read_only, tmp_path):
    pytest.importorskip("uvicorn")
    place = tmp_path / "rw"
    options = ("--frames", 3, "--quiet", "--record", place / "session", "--slide", "A17", "--serve", 0)
    done = read_only(*SESSION, *options, "--json", place / "o.json", STATE_DIRECTORY=str(place / "state"))
    assert (done.returncode, sorted(done.stderr.splitlines()[1:])) == (0, ["o.json", "rw", "session", "state"])


def test_a_salt_that_can_be_made_nowhere_leaves_no_half_made_journal(read_only, tmp_path):
    done = read_only(*SESSION, "--frames", 3, "--quiet", "--journal", tmp_path / "rw" / "session", "--slide", "A17")
    error, *left = done.stderr.splitlines()
    assert done.returncode == 1
    assert error.startswith("Error: /nonexistent/.config/leukolite/salt: the salt of the slides' ids cannot be")
    assert left == ["rw"]


def test_without_a_place_for_a_salt_the_page_says_that_its_slides_ids_are_for_this_session_alone(read_only, tmp_path):
    pytest.importorskip("uvicorn")
    done = read_only(*SESSION, "--frames", 3, "--quiet", "--journal", tmp_path / "rw" / "session", "--serve", 0)
    assert done.returncode == 0
    assert done.stderr.startswith("note: a slide that is begun on the page gets an id of this session alone: ")
