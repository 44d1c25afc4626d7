import re
import subprocess
import sys

import pytest

from leukolite import __version__
from leukolite.cli import COMMANDS, main
from leukolite.edge.cli import main as edge_run

HEAVY = {"tensorflow", "keras", "matplotlib", "sklearn"}


def test_help_lists_every_command(call):
    listed = call(main, "--help").stdout.partition("Commands:")[2].split()
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(call, name):
    result = call(main, name, "--help")
    assert result.exit_code == 0
    assert re.search(rf"Example:\n    leukolite {name}[ \n]", result.stdout)


def test_edge_run_has_help_with_an_example(call):
    assert "Example:\n    edge-run " in call(edge_run, "--help").stdout


def test_research_use_is_said_in_both_helps(call):
    for command in (main, edge_run):
        assert "never a diagnosis" in call(command, "--help").stdout


def test_the_version_is_the_packages(call):
    assert call(main, "--version").stdout == f"leukolite, version {__version__}\n"


def test_an_unknown_command_is_one_line_and_exit_code_2(refuses):
    assert "No such command 'evaluat'" in refuses(main, "evaluat", code=2)


@pytest.mark.parametrize(
    "statement",
    [
        "import leukolite.cli",
        "import leukolite.edge, leukolite.edge.cli, leukolite.edge.pipeline, leukolite.edge.camera.open, leukolite.classifier",
        "import leukolite.cli; leukolite.cli.main(['--help'], standalone_mode=False)",
    ],
    ids=["leukolite.cli", "leukolite.edge", "leukolite --help"],
)
def test_what_a_small_machine_starts_imports_nothing_heavy(statement):
    script = f"import sys; {statement}; sys.exit(' '.join({HEAVY} & set(sys.modules)) or 0)"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
