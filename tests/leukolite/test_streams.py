"""stdout and stderr that go away, are closed, full, or speak another alphabet: the command ends as it would."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SHOW = "from leukolite.start import main; main()"
PRINT = """
import click
from pathlib import Path
from leukolite.files import new_file
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn

@click.command(cls=Command)
@click.option("--lines", default=1)
@click.option("--text", default="")
@click.option("--file", is_flag=True)
@click.option("--fail", is_flag=True)
@click.option("--warns/--no-warns", default=True)
def main(lines, text, file, fail, warns):
    with progress_bar() as bar:
        task = add_task(bar, "work")
        for line in range(lines):
            click.echo(f"{line} {text}")
            stdout().print(f"{line} {text}")
            if warns:
                warn(f"{line} {text}")
    table = results_table("Things")
    table.add_column("thing")
    table.add_row(f"a label {text}")
    stdout().print(table, soft_wrap=False)
    if file:
        with new_file(Path("-")) as out:
            for line in range(lines):
                out.write(b"row\\n" * 100)
    Path("kept").write_text("the work went on")
    if fail:
        raise click.ClickException(f"it failed {text}")
main()
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Run:
    """Runs PRINT with `options` and redirections as a shell has them; the exit code is the command's, not the reader's."""

    def run(redirections: str, *options: object, code: str = PRINT, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "code.py").write_text(code)
        line = f'set -o pipefail; "{sys.executable}" "{tmp_path / "code.py"}" {" ".join(map(str, options))} {redirections}'
        places = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")} | environment
        return subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=os.environ | places,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
        )

    return run


def went_on(folder: Path) -> bool:
    return (folder / "kept").read_text() == "the work went on"


def test_a_reader_that_goes_away_ends_nothing_and_is_no_trouble(shell, tmp_path):
    process = shell("| head -1", "--lines", 5000, "--no-warns")
    assert (process.returncode, process.stdout, process.stderr) == (0, "0 \n", "")
    assert went_on(tmp_path)


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full", ">&- 2>/dev/full"])
def test_a_closed_stream_or_a_full_stderr_ends_nothing(shell, tmp_path, redirections):
    process = shell(redirections, "--lines", 3)
    assert process.returncode == 0
    assert "Error" not in process.stdout + process.stderr
    assert "Traceback" not in process.stdout + process.stderr
    assert went_on(tmp_path)


def test_a_full_disk_behind_stdout_is_said_once(shell, tmp_path):
    process = shell(">/dev/full", "--lines", 3)
    notes = [line for line in process.stderr.splitlines() if "stdout" in line]
    assert notes == ["note: stdout cannot be written (disk full): nothing more is printed there"]
    assert process.returncode == 0
    assert went_on(tmp_path)


@pytest.mark.parametrize("redirections", ["", "2>&-", ">&- 2>&-", ">/dev/full"])
def test_an_error_keeps_its_exit_code_whoever_hears_of_it(shell, redirections):
    process = shell(redirections, "--fail")
    assert process.returncode == 1
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("redirections", "said"),
    [(">/dev/full", "disk full"), ("| head -c 10 >/dev/null", "the reader went away"), (">&-", "it is closed")],
)
def test_a_file_that_was_asked_for_on_stdout_and_does_not_arrive_fails(shell, redirections, said):
    process = shell(redirections, "--lines", 1000, "--file", "--no-warns")
    assert process.returncode == 1
    remedy = "read it to its end, or write into a file"
    assert process.stderr.splitlines()[-1] == f"Error: stdout: not all could be written ({said}); {remedy}"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "\\xe9 \\u2026 \\udce9"), ("latin-1", "\udce9 \\u2026 \\udce9"), ("utf-8", "é … \\udce9")]
)
def test_what_an_encoding_does_not_hold_is_escaped_and_nothing_else_is(shell, encoding, shown):
    process = shell("", "--text", '"$(printf "é … \\351")"', "--fail", PYTHONIOENCODING=encoding, PYTHONUTF8="1")
    assert process.returncode == 1
    assert process.stdout.splitlines()[:2] == [f"0 {shown}", f"0 {shown}"]
    assert f"a label {shown}" in process.stdout
    assert process.stderr.splitlines() == [f"0 {shown}", f"Error: it failed {shown}"]


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_plainest_locale_is_enough(shell, locale):
    process = shell("", "--text", "…", LC_ALL=locale)
    assert (process.returncode, process.stderr) == (0, "0 …\n")


@pytest.mark.parametrize("columns", ["0", "1", None])
def test_a_terminal_of_no_columns_shows_what_it_can(tmp_path, columns):
    """pty.openpty gives a terminal of 0 rows and 0 columns."""
    (tmp_path / "code.py").write_text(PRINT)
    ours, theirs = pty.openpty()
    environment = os.environ | ({} if columns is None else {"COLUMNS": columns, "LINES": columns}) | {"TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "code.py", "--lines", "3"], stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side has ended
            break
    os.close(ours)
    assert process.wait(30) == 0
    assert b"Traceback" not in shown
    if columns != "1":
        assert b"a label" in shown


NOT_BLOCKING = """
import os
from leukolite.streams import guard_streams
os.set_blocking(1, False)
guard_streams()
print("x" * 3_000_000)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_does_not_block_is_written_whole(shell, unbuffered):
    process = shell("| (sleep 0.5; wc -c)", code=NOT_BLOCKING, PYTHONUNBUFFERED=unbuffered)
    assert (process.returncode, process.stdout.strip(), process.stderr) == (0, "3000001", "")


def test_a_file_opened_later_is_never_taken_for_a_closed_stdout(shell, tmp_path):
    body = """
import os
from leukolite.streams import guard_streams
guard_streams()
with open("data", "wb") as file:
    os.write(1, b"from a library below Python")
    print("from Python")
    file.write(b"data")
"""
    assert shell(">&- 2>&-", code=body).returncode == 0
    assert (tmp_path / "data").read_bytes() == b"data"


@pytest.mark.parametrize("arguments", [["info", "synthetic-cells"], ["bundles"], ["--help"], ["info", "--help"]])
def test_a_command_whose_reader_has_left_before_it_prints_is_quiet(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-c", SHOW, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, "")
