"""Ctrl-C while a command imports, and signals that end one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENTRIES = {"leukolite": "from leukolite.start import main; main()", "edge-run": "from leukolite.edge.start import main; main()"}
SLOW_MODULE = """
import os, pathlib, time
pathlib.Path(os.environ["MARK"]).touch()
for _ in range(200):
    time.sleep(0.05)
"""


def start(code: str, *arguments: object, path: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    places = os.pathsep.join(filter(None, [path and str(path), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment | {"PYTHONPATH": places},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(mark: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not mark.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "slow"), [("leukolite", "rich"), ("edge-run", "click"), ("edge-run", "ai_edge_litert")])
def test_control_c_during_an_import_ends_without_a_word(tmp_path, name, slow):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{slow}.py").write_text(SLOW_MODULE)
    arguments = ["--bundle", "synthetic-cells", "--camera", "synthetic"] if name == "edge-run" else ["bundles"]
    process = start(ENTRIES[name], *arguments, path=tmp_path / "modules", MARK=str(tmp_path / "mark"))
    wait_for(tmp_path / "mark", process)
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(timeout=30), process.returncode) == ("", "", 130)


WORKS = """
import time
from pathlib import Path
import leukolite.cli
from leukolite.files import new_folder
from leukolite.terminal import Command
import click, sys

@click.command(cls=Command)
@click.argument("place", type=click.Path(path_type=Path))
def work(place):
    with new_folder(place / "result") as folder:
        (folder / "half").touch()
        (place / "mark").touch()
        for _ in range(200):
            time.sleep(0.05)

leukolite.cli.main = work
from leukolite.start import main
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, -signal.SIGTERM, ""), (signal.SIGHUP, -signal.SIGHUP, "")],
)
def test_a_signal_that_ends_a_command_leaves_nothing_half_written(tmp_path, number, code, said):
    process = start(WORKS, tmp_path)
    wait_for(tmp_path / "mark", process)
    process.send_signal(number)
    assert (*process.communicate(timeout=30), process.returncode) == ("", said, code)
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_under_nohup_a_hangup_ends_nothing(tmp_path):
    process = start(f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{WORKS}", tmp_path)
    wait_for(tmp_path / "mark", process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.kill()
    process.communicate()


def test_the_commands_that_are_installed_begin_where_interrupts_are_provided_for():
    import tomllib

    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"leukolite": "leukolite.start:main", "edge-run": "leukolite.edge.start:main"}
