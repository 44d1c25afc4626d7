"""How every command speaks: errors as one line, results on stdout, progress on stderr, numbers parsed once."""

import errno
import importlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from leukolite.errors import LeukoliteError
from leukolite.files import is_writable, nearest_parent, write_file
from leukolite.noise import check_sigma
from leukolite.quiet import quiet

RESEARCH_USE = "Research use only; never a diagnosis."
SEED = click.IntRange(0, 2**31 - 1)  # what every library takes
DEFAULT_SIGMAS = (0.0, 2.0, 5.0, 8.0, 10.0)  # Makem et al. 2025, Tables 6 to 8


class Command(click.Command):
    """A click command whose errors are one line: exit code 2 for a wrong call, 1 for what failed."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            raise _one_line(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise _one_line(error) from error
        except LeukoliteError as error:
            raise click.ClickException(" ".join(str(error).split("\n"))) from error
        except OSError as error:  # a path too long, a folder without permission; a closed pipe is click's own affair
            if error.errno == errno.EPIPE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error


class LazyGroup(click.Group):
    """A command group that imports a command's module only when it is called.

    Args:
        commands_at: name -> 'module:attribute'.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._commands_at)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._commands_at:
            return None
        module, _, attribute = self._commands_at[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _one_line(error) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise _one_line(error) from error


class Finite(click.FloatRange):
    """A number within bounds; nan, which lies within any, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"expected a finite number, found {found}", param, ctx)
        return found


class Sigmas(click.ParamType):
    """A comma-separated list of noise levels, as '0,2,5,8,10'."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            sigmas = tuple(check_sigma(float(part)) for part in str(value).split(","))
        except ValueError:
            self.fail(f"expected noise levels from 0 to 255 like 0,2,5,8,10, found {value!r}", param, ctx)
        return tuple(dict.fromkeys(sigmas))


def stdout() -> Console:
    """Where results go, as they are: a label or path in [square brackets] is no style."""
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr; silent where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


def add_task(bar: Progress, description: str, total: float | None = None) -> TaskID:
    """A task with an empty note, for `progress_bar`."""
    return bar.add_task(description, total=total, note="")


def results_table(title: str, caption: str | None = None) -> Table:
    """An empty table that fits 80 columns with nine narrow ones."""
    return Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )


def warn(line: str) -> None:
    """One line on stderr."""
    click.echo(line, err=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises: LeukoliteError, if the place cannot be written."""
    write_file(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def check_file_place(path: Path | None) -> None:
    """Refuse, before the work begins, a place where `write_file` would fail.

    Raises:
        LeukoliteError: names the place.
    """
    if path is None:
        return
    if path.exists() and not path.is_dir() and not path.is_file():
        return  # a device or pipe, as /dev/stdout
    if path.is_dir() or not is_writable(nearest_parent(path)):
        raise LeukoliteError(f"{path}: cannot be written; choose a file in a writable folder")


def import_keras(needed_for: str) -> None:
    """Load Keras without a word on the terminal.

    Raises:
        LeukoliteError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with quiet():
            importlib.import_module("keras").ops.zeros(1)  # the first array looks for devices, which is when backends chatter
    except ValueError as error:  # of a backend that Keras does not know
        raise LeukoliteError(f"{needed_for}: Keras does not start ({str(error).splitlines()[0]}); see KERAS_BACKEND") from error
    except ImportError as error:
        raise LeukoliteError(f"{needed_for} needs Keras and a backend ({error}); pip install 'leukolite[train]'") from error


def percent(value: float | None) -> str:
    """'98.7%'; '-' where the value is undefined."""
    return "-" if value is None else f"{100 * value:.1f}%"


def percent_with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """'98.7% (96.2-99.6)', the 95% interval in brackets."""
    if value is None or interval is None:
        return percent(value)
    return f"{percent(value)} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"


def _one_line(error: click.UsageError) -> click.UsageError:
    """The error without click's usage lines above it."""
    message = " ".join(error.format_message().split())
    command = error.ctx.command_path if error.ctx is not None else ""
    short = click.UsageError(f"{message} Try '{command} --help'." if command else message)
    short.ctx = None
    return short
