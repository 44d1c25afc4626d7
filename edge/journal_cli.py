"""`leukolite journal`: verify, export, summarise and replay what `edge-run` recorded."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from leukolite.edge.journal.export import write_csv, write_records_json
from leukolite.edge.journal.format import OnLine, journal_files, read, verify
from leukolite.errors import JournalError, reason_of
from leukolite.files import is_stdout, new_file, new_folder
from leukolite.options import Finite, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.streams import StdoutLost
from leukolite.terminal import Command, LazyGroup, add_task, progress_bar, stdout
from leukolite.wording import RESEARCH_USE, count, shown_label

DIFFERENCES_SHOWN = 10  # on the terminal


@click.group(
    cls=LazyGroup,
    commands_at={name: f"leukolite.edge.journal_cli:{name}_command" for name in ("verify", "export", "summary", "replay")},
    epilog=RESEARCH_USE,
)
def journal() -> None:
    """Verify, export, summarise and replay a session that `edge-run` recorded.

    \b
    Example:
      leukolite journal verify sessions/monday
      leukolite journal export sessions/monday --csv monday.csv
      leukolite journal replay sessions/monday
    """


@click.command("verify", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
def verify_command(session: Path) -> None:
    """Check every record of SESSION, a folder; the first bad one is named.

    The last line is the hash of the last record. Keep it elsewhere: it shows later that nothing was cut off or rewritten.

    \b
    Example:
      leukolite journal verify sessions/monday
    """
    with _lines_progress(session, "verifying") as on_line:
        found = verify(session, on_line=on_line)
    console = stdout()
    console.print(f"{session}: {count(found.records, 'record')} in {count(found.files, 'file')}, each checked")
    if found.torn is not None:
        torn = found.torn
        console.print(
            f"torn end: {count(torn.length, 'byte')} of {torn.path} from byte {torn.offset}, no whole record (a crash); left out"
        )
    if not found.ended:
        console.print("not closed: its recording stopped, it crashed, or it is being recorded")
    console.print(f"last record {found.anchor}")


@click.command("export", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
@click.option(
    "--csv",
    "csv_path",
    type=click.Path(path_type=Path),
    help="CSV file to write: one row per verdict, excluded region, excluded frame or gap; - is stdout.",
)
@json_option("every record")
@force_option
def export_command(session: Path, csv_path: Path | None, json_path: Path | None, force: bool) -> None:
    """Write the records of SESSION, a folder, as CSV or JSON; each is checked on the way.

    \b
    Example:
      leukolite journal export sessions/monday --csv monday.csv
    """
    if csv_path is None and json_path is None:
        raise click.UsageError("give --csv FILE, --json FILE or both")
    check_outputs(files=[csv_path, json_path], inputs=[session], force=force)
    to_stdout = next((path for path in (csv_path, json_path) if path is not None and is_stdout(path)), None)
    lost: StdoutLost | None = None
    for path, write in ((csv_path, write_csv), (json_path, write_records_json)):
        if path is None:
            continue
        try:
            with _lines_progress(session, f"writing {path.name}") as on_line, new_file(path, force=force) as file:
                text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
                try:
                    n = write(read(session, on_line=on_line), text)
                finally:
                    text.detach()
        except StdoutLost as error:  # the other file is of use without it
            lost = None if error.reader_left else error  # as `head` does, once it has what it wants
        else:
            stdout(to_stdout).print(f"{path}: {count(n, 'row' if write is write_csv else 'record')}")
    if lost is not None:
        raise lost


@click.command("summary", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to write: summary.html, summary.json and summary.csv."
)
@click.option(
    "--width",
    type=Finite(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="Width of the blast fraction's 95% interval at which cells are enough.",
)
@force_option
def summary_command(session: Path, out: Path, width: float, force: bool) -> None:
    """Summarise SESSION, a folder: a page, JSON and CSV.

    \b
    Example:
      leukolite journal summary sessions/monday --out monday
    """
    from leukolite.edge.report.summary import summarise
    from leukolite.edge.report.summary_page import SUMMARY_JSON, write_summary

    check_outputs(folders={out: SUMMARY_JSON}, inputs=[session], force=force)
    with _lines_progress(session, "summarising") as on_line:
        found = summarise(session, read(session, on_line=on_line), wanted_width=width)
    with new_folder(out, replace_if_holds=SUMMARY_JSON, force=force) as folder:
        write_summary(folder, found)
    for slide in found.slides:
        counted = ", ".join(f"{shown_label(label)} {n:,}" for label, n in slide.counted.items())
        excluded = sum(slide.excluded.values())
        stdout().print(f"slide {slide.slide or 'without id'}: {counted}; abstained {slide.abstained}, excluded {excluded}")
    stdout().print(f"{out}: summary.html, summary.json, summary.csv")


@click.command("replay", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
@click.option(
    "--bundle", type=click.Path(path_type=Path), help="Bundle of the session, where it lies now.  [default: where it lay]"
)
@click.option("--allow-cpu", is_flag=True, help="Let the CPU compute what the Edge TPU would not.")
def replay_command(session: Path, bundle: Path | None, allow_cpu: bool) -> None:
    """Classify the frames of SESSION, a folder, again: every verdict must be the recorded one.

    Frames come from the pictures kept beside the journal, else from the source that was recorded.

    \b
    Example:
      leukolite journal replay sessions/monday
    """
    from leukolite.edge.repeat import repeat_session

    found = repeat_session(session, bundle, allow_cpu=allow_cpu)
    console = stdout()
    console.print(
        f"{session}: {count(found.frames, 'frame')} classified again, {count(found.verdicts, 'verdict')} compared,"
        f" {found.different} differ"
    )
    for one in found.differences[:DIFFERENCES_SHOWN]:
        console.print(f"  {one.source}, frame {one.index}: {one.what}")
    if found.excluded:
        console.print(f"{count(found.excluded, 'frame')} excluded then: nothing to repeat")
    if found.verdicts == 0 and found.different == 0:
        raise JournalError(f"{session}: no verdict was recorded, so there is nothing to repeat")
    if not found.is_exact:
        raise JournalError(f"{session}: not every verdict was repeated; see above")


@contextmanager
def _lines_progress(session: Path, description: str) -> Iterator[OnLine]:
    """A bar over the journal's megabytes."""
    try:
        total = sum(path.stat().st_size for path in journal_files(session))
    except OSError as error:
        raise JournalError(f"{session}: cannot be read ({reason_of(error)})") from error
    with progress_bar() as bar:
        task = add_task(bar, f"{description}, MB", total / 1e6)
        advance: Callable[[int], None] = lambda length: bar.advance(task, length / 1e6)  # noqa: E731
        yield advance
