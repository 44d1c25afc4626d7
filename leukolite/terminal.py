"""How every command speaks: errors as one line, results on stdout, progress on stderr, numbers parsed once."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from leukolite.address import with_logins_hidden
from leukolite.advice import ADVICE
from leukolite.errors import LeukoliteError, reason_of
from leukolite.files import is_stdout
from leukolite.imports import failed_import, import_explained
from leukolite.start import INTERRUPTED, interrupts_end_it
from leukolite.streams import guard_streams
from leukolite.wording import shown

_NO_BREAK = "\u2011"  # a hyphen at which no line ends


class HelpFormatter(click.HelpFormatter):
    """click's, which breaks no option's name at its hyphens, and leaves text enough room on a narrow terminal."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args.replace("-", _NO_BREAK), prefix)

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _NO_BREAK))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        whole = [(name, text.replace("-", _NO_BREAK)) for name, text in rows]
        super().write_dl(whole, min(col_max, max(self.width - 50, 8)), col_spacing)

    def getvalue(self) -> str:
        return super().getvalue().replace(_NO_BREAK, "-")


class _Context(click.Context):
    formatter_class = HelpFormatter


class Command(click.Command):
    """A click command whose errors are one line: exit code 2 for a wrong call, 1 for what failed, 130 for Ctrl-C."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        guard_streams()
        return super().main(*args, **kwargs)

    context_class = _Context

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
            advice = f"; {ADVICE[error.advice]}" if error.advice else ""
            raise click.ClickException(_said(f"{error}{advice}")) from error
        except KeyboardInterrupt:
            warn("interrupted")
            ctx.exit(INTERRUPTED)
        except OSError as error:  # a path too long, a folder without permission
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(_said(f"{where}{reason_of(error)}")) from error
        except Exception as error:  # of a library that is imported where it is used
            if (line := failed_import(error)) is None:
                raise
            raise click.ClickException(_said(line)) from error


class LazyGroup(click.Group):
    """A command group that imports a command's module only when it is called.

    Args:
        commands_at: name -> 'module:attribute'.
    """

    context_class = _Context

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = commands_at

    def main(self, *args: Any, **kwargs: Any) -> Any:
        guard_streams()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._commands_at)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._commands_at:
            return None
        module, _, attribute = self._commands_at[name].partition(":")
        with interrupts_end_it():
            command: click.Command = getattr(import_explained(module), attribute)
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


class ResultsConsole(Console):
    """A console on which every text, also a table's, stands as `leukolite.wording.shown` makes it, a line each.

    On a terminal lines are wrapped between words; in a file or pipe each stays one line. Tables are never cropped.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*objects, **({"soft_wrap": False, "crop": False} | how if self.is_terminal else how))

    def render_str(self, text: str, **style: Any) -> Text:
        return super().render_str(shown(text), **style)


def stdout(json_path: Path | None = None) -> Console:
    """Where results go, as they are: a label or path in [square brackets] is no style. Lines are printed one by one.

    Args:
        json_path: where the command's JSON goes; where that is stdout, what people read goes to stderr.
    """
    return ResultsConsole(
        stderr=json_path is not None and is_stdout(json_path), markup=False, emoji=False, highlight=False, soft_wrap=True
    )


class _PlainColumn(TextColumn):
    """A bar's text as it is: a folder in [square brackets] is no style."""

    def render(self, task: Task) -> Text:
        return Text(shown(self.text_format.format(task=task)), style=self.style, justify=self.justify)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr; silent where stderr is no terminal."""
    columns = (
        _PlainColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _PlainColumn("{task.fields[note]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar


def add_task(bar: Progress, description: str, total: float | None = None) -> TaskID:
    """A task with an empty note, for `progress_bar`."""
    return bar.add_task(description, total=total, note="")


def warn(line: str, *, shows_logins: bool = False) -> None:
    """One line on stderr, as `leukolite.wording.shown` makes it.

    Args:
        shows_logins: the line is there to give an address with its token; of any other the login is left out.
    """
    click.echo(shown(line) if shows_logins else _said(line), err=True)


def _said(text: str) -> str:
    return shown(with_logins_hidden(text))


def _one_line(error: click.UsageError) -> click.UsageError:
    """The error without click's usage lines above it."""
    message = " ".join(line.strip(" \t") for line in error.format_message().split("\n"))  # click's own lines
    command = error.ctx.command_path if error.ctx is not None else ""
    end = "" if message.endswith((".", "?", "!")) else "."
    short = click.UsageError(_said(f"{message}{end} Try '{command} --help'." if command else message))
    short.ctx = None
    return short
