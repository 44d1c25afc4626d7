"""Nothing that a command wrote is replaced by the next one unasked."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run

WRITTEN_BY = {"--out", "--json", "--csv", "--zip", "--sheet", "--preview", "--plot", "--plots", "--saliency"}
SHIPPED = "synthetic-cells"


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below one, with its whole name."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        found = command.get_command(context, word)
        assert found is not None
        yield from commands(found, f"{name} {word}")


COMMANDS = dict([*commands(leukolite, "leukolite"), *commands(edge_run, "edge-run")])


def options_of(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if options_of(command) & WRITTEN_BY])
def test_a_command_that_writes_can_be_told_to_replace(name: str) -> None:
    assert "--force" in options_of(COMMANDS[name])


@pytest.fixture(scope="module")
def monday(call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded session."""
    folder = tmp_path_factory.mktemp("session") / "monday"
    assert call(edge_run, "--bundle", SHIPPED, "--camera", "synthetic", "--frames", 2, "--journal", folder).exit_code == 0
    return folder


CALLS = {
    "edge-run --out": (edge_run, "--bundle", SHIPPED, "--camera", "synthetic", "--frames", 1, "--out", "{place}"),
    "edge-run --json": (edge_run, "--bundle", SHIPPED, "--camera", "synthetic", "--frames", 1, "--json", "{place}"),
    "edge-run --resume --out": (edge_run, "--resume", "{monday}", "--frames", 1, "--out", "{place}"),
    "journal export --csv": (leukolite, "journal", "export", "{monday}", "--csv", "{place}"),
    "journal export --json": (leukolite, "journal", "export", "{monday}", "--json", "{place}"),
    "journal summary": (leukolite, "journal", "summary", "{monday}", "--out", "{place}"),
    "info": (leukolite, "info", SHIPPED, "--json", "{place}"),
    "bundles": (leukolite, "bundles", "--json", "{place}"),
    "data --json": (leukolite, "data", "{cells}", "--json", "{place}"),
    "data --sheet": (leukolite, "data", "{cells}", "--sheet", "{place}"),
    "evaluate --json": (leukolite, "evaluate", SHIPPED, "--data", "{cells}", "--json", "{place}"),
    "evaluate --saliency": (leukolite, "evaluate", SHIPPED, "--data", "{cells}", "--saliency", "{place}"),
    "evaluate --plots": (leukolite, "evaluate", SHIPPED, "--data", "{cells}", "--plots", "{place}"),
    "synthetic": (leukolite, "synthetic", "--count", 1, "--size", 32, "--out", "{place}"),
    "export-android --out": (leukolite, "export-android", SHIPPED, "--out", "{place}"),
    "export-android --zip": (leukolite, "export-android", SHIPPED, "--out", "{other}", "--zip", "{place}"),
    "overhead": (leukolite, "overhead", SHIPPED, "--rounds", 1, "--frames", 10, "--json", "{place}"),
}


def content(place: Path) -> dict[str, tuple[bytes, int]]:
    """What lies at a place, with the time at which it was written."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("what", CALLS)
def test_what_was_written_is_replaced_by_force_alone(call, monday: Path, cells: Path, tmp_path: Path, what: str) -> None:
    if what == "evaluate --plots":
        pytest.importorskip("sklearn")
    place, n = tmp_path / "place", iter(range(9))
    command, *words = CALLS[what]

    def again(*options: str) -> click.testing.Result:
        places = {"place": place, "monday": monday, "cells": cells, "other": tmp_path / f"other-{next(n)}"}
        return call(command, *(str(word).format(**places) for word in words), *options)

    assert again().exit_code == 0
    before = content(place)
    assert before
    refused = again()
    assert refused.exit_code == 1
    assert refused.stdout == ""
    line = refused.stderr.splitlines()[-1]
    assert line.startswith(f"Error: {place}: exists (written 20")
    assert line.endswith("; --force replaces it")
    assert content(place) == before
    forced = again("--force")
    assert forced.exit_code == 0, forced.output
    assert content(place) != before
