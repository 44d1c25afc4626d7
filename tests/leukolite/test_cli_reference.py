"""docs/reference/cli.md is what the commands say of themselves, and they say what each of their options is for."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from leukolite.cli_reference import PROGRAMS, REMAKE, commands, example, main, parameters, reference
from leukolite.options import Finite

CHECKOUT = Path(__file__).parent.parent.parent
COMMITTED = CHECKOUT / "docs" / "reference" / "cli.md"
ALL = [pytest.param(context, id=context.command_path) for context in commands()]


def test_the_committed_reference_is_what_the_commands_say_now() -> None:
    remedy = f"{COMMITTED.relative_to(CHECKOUT)} is not what the commands say now; run: {REMAKE}"
    assert COMMITTED.is_file(), remedy
    if COMMITTED.read_text(encoding="utf-8") != reference():
        pytest.fail(remedy, pytrace=False)


@pytest.mark.parametrize("context", ALL)
def test_every_command_has_help_and_an_example_that_calls_it(context: click.Context) -> None:
    assert context.command.help
    lines = (example(context.command) or "").splitlines()
    assert any(f"{line} ".startswith(f"{context.command_path} ") for line in lines), lines


@pytest.mark.parametrize("context", ALL)
def test_every_option_has_help(context: click.Context) -> None:
    _, options = parameters(context)
    assert [option.opts for option in options if not option.help] == []


def test_the_programs_are_those_that_are_installed() -> None:
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    starts = {name: place.replace(".cli:", ".start:") for name, place in PROGRAMS.items()}  # each imports its command
    assert scripts == starts


@pytest.mark.parametrize("columns", [40, 200])
def test_the_terminals_width_changes_nothing(columns: int) -> None:
    assert run("print(reference(), end='')", COLUMNS=str(columns)) == reference()


def test_making_it_loads_no_heavy_library() -> None:
    loaded = set(json.loads(run("reference(); import json, sys; print(json.dumps(list(sys.modules)))")))
    assert not loaded & {"tensorflow", "keras", "tf_keras", "jax", "torch", "sklearn", "scipy", "matplotlib", "ai_edge_litert"}


def run(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", f"from leukolite.cli_reference import reference; {code}"]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout


def test_it_is_written_to_a_file_or_printed(call, tmp_path: Path) -> None:
    assert call(main).stdout == reference()
    assert call(main, "--out", tmp_path / "docs" / "cli.md").exit_code == 0
    assert (tmp_path / "docs" / "cli.md").read_text(encoding="utf-8") == reference()


# what a row says, on a command made for it


@click.command()
@click.argument("source", metavar="BUNDLE|RUN")
@click.argument("pictures", nargs=-1)
@click.option("--kind", type=click.Choice(["cell", "field"]), default="cell", help="What *one* <image> shows.")
@click.option("--count", type=click.IntRange(1, 64), help="At most so many.  [default: all | none]")
@click.option("--rate", type=Finite(0, min_open=True), metavar="HZ", default=2.5, help="Frames per second.")
@click.option("--level", type=float, multiple=True, help="Of noise.")
@click.option("--list/--no-list", default=True, help="List them.")
@click.option("--out", type=click.Path(), required=True, help="Folder to write.")
@click.option("--old", hidden=True)
def sample(**_: object) -> None:
    """Do something.

    \b
    Example:
      sample a
      sample b
    """


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("leukolite.cli_reference.PROGRAMS", {"sample": f"{__name__}:sample"})
    return reference().splitlines()


@pytest.mark.parametrize(
    "row",
    [
        "Usage: sample [OPTIONS] BUNDLE|RUN [PICTURES]...",
        "sample b",
        "- `BUNDLE|RUN`: text",
        "- `PICTURES`: text, any number",
        r"| `--kind` | `cell`, `field` | `cell` | What \*one\* \<image> shows. |",
        r"| `--count` | integer, 1 to 64 | all \| none | At most so many. |",
        "| `--rate HZ` | number, above 0 | `2.5` | Frames per second. |",
        "| `--level` | number; may be repeated |  | Of noise. |",
        "| `--list`, `--no-list` |  | `--list` | List them. |",
        "| `--out` | path | required | Folder to write. |",
    ],
)
def test_a_row_says_how_an_option_is_given(rows: list[str], row: str) -> None:
    assert row in rows


def test_what_is_hidden_is_left_out(rows: list[str]) -> None:
    assert not [row for row in rows if "--old" in row]
