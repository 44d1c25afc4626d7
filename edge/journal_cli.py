"""`leukolite journal`: prove, export and sum up what `edge-run` recorded."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from leukolite.edge.journal.format import Entry, OnLine, journal_files, read, verify
from leukolite.edge.journal.records import EventRecord, FrameRecord, GapRecord, StartRecord, VerdictRecord
from leukolite.errors import JournalError
from leukolite.files import check_file_place, check_replaceable, new_file, new_folder
from leukolite.options import Finite
from leukolite.terminal import Command, LazyGroup, add_task, progress_bar, stdout
from leukolite.wording import RESEARCH_USE

EXPORT_SCHEMA = 1

_FRAME_COLUMNS = ("source", "index", "width", "height", "truth", "age_ms", "throttled", "pixels_sha256")
_COLUMNS = ("seq", "at", "slide", *_FRAME_COLUMNS, "runtime", "x0", "y0", "x1", "y1", "sigma", "label", "probability", "excluded")


@click.group(
    cls=LazyGroup,
    commands_at={name: f"leukolite.edge.journal_cli:{name}_command" for name in ("verify", "export", "summary")},
    epilog=RESEARCH_USE,
)
def journal() -> None:
    """Prove, export and sum up the journal of a session that `edge-run` recorded.

    \b
    Example:
      leukolite journal verify sessions/monday
      leukolite journal export sessions/monday --csv monday.csv
    """


@click.command("verify", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
def verify_command(session: Path) -> None:
    """Prove every record of SESSION, a folder; the first bad one is named.

    The last line is the hash of the last record: kept elsewhere, it proves later that nothing was cut off or rewritten.

    \b
    Example:
      leukolite journal verify sessions/monday
    """
    with _lines_progress(session, "verifying") as on_line:
        found = verify(session, on_line=on_line)
    console = stdout()
    console.print(f"{session}: {found.records} records in {found.files} files, each proved")
    if found.torn is not None:
        torn = found.torn
        console.print(
            f"torn end: {torn.length} bytes of {torn.path} from byte {torn.offset} are no whole record (a crash); left out"
        )
    if not found.ended:
        console.print("not closed: its recording stopped, it crashed, or it is being recorded")
    console.print(f"last record {found.anchor}")


@click.command("export", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--csv", "csv_path", type=click.Path(path_type=Path), help="One row a verdict, excluded frame or gap.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Every record.")
def export_command(session: Path, csv_path: Path | None, json_path: Path | None) -> None:
    """Write the records of SESSION, a folder, as CSV or JSON; each is proved on the way.

    \b
    Example:
      leukolite journal export sessions/monday --csv monday.csv
    """
    if csv_path is None and json_path is None:
        raise click.UsageError("give --csv FILE, --json FILE or both")
    for path, write in ((csv_path, write_csv), (json_path, write_records_json)):
        check_file_place(path)
        if path is not None:
            with _lines_progress(session, f"writing {path.name}") as on_line, new_file(path) as file:
                text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
                n = write(read(session, on_line=on_line), text)
                text.detach()
            stdout().print(f"{path}: {n} {'rows' if write is write_csv else 'records'}")


@click.command("summary", cls=Command)
@click.argument("session", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for summary.html, summary.json, summary.csv.")
@click.option(
    "--width",
    type=Finite(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="Cells are enough when the blast fraction's 95% interval is no wider.",
)
def summary_command(session: Path, out: Path, width: float) -> None:
    """Sum up SESSION, a folder: a page, JSON and CSV.

    \b
    Example:
      leukolite journal summary sessions/monday --out monday
    """
    from leukolite.edge.report.summary import summarise
    from leukolite.edge.report.summary_page import SUMMARY_JSON, write_summary

    check_replaceable(out, SUMMARY_JSON)
    with _lines_progress(session, "summing up") as on_line:
        found = summarise(session, read(session, on_line=on_line), wanted_width=width)
    with new_folder(out, replace_if_holds=SUMMARY_JSON) as folder:
        write_summary(folder, found)
    for slide in found.slides:
        counted = ", ".join(f"{label} {n}" for label, n in slide.counted.items())
        excluded = sum(slide.excluded.values())
        stdout().print(f"slide {slide.slide or 'without id'}: {counted}; abstained {slide.abstained}, excluded {excluded}")
    stdout().print(f"{out}: summary.html, summary.json, summary.csv")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """One row a verdict, excluded area, excluded frame or gap.

    Returns:
        How many rows.
    """
    writer = csv.writer(file, lineterminator="\n")
    slide: str | None = None
    labels: tuple[str, ...] = ()
    frame: dict[str, Any] = {}
    rows = 0
    for entry in entries:
        record, cells = entry.record, {}
        match record:
            case StartRecord():
                slide, labels = record.slide, record.labels
                columns = (*_COLUMNS, *(f"p_{label}" for label in labels))
                writer.writerow(columns)
            case FrameRecord():
                runtime = record.runtime
                frame = {name: getattr(record, name) for name in _FRAME_COLUMNS}
                frame["runtime"] = " ".join(filter(None, (runtime.name, runtime.version, runtime.delegate)))
                cells = frame | {"excluded": record.excluded} if record.excluded is not None else {}
            case VerdictRecord():
                cells = frame | _verdict_cells(record, labels)
            case GapRecord():
                cells = {"source": record.source, "index": record.index, "excluded": f"gap: {record.reason}"}
            case EventRecord(event="new slide"):
                slide = record.slide
        if cells:
            cells |= {"seq": entry.seq, "at": entry.at.isoformat(), "slide": slide}
            writer.writerow([_cell(cells.get(column)) for column in columns])
            rows += 1
    return rows


def write_records_json(entries: Iterator[Entry], file: TextIO) -> int:
    """Every record with its number, times and hash.

    Returns:
        How many records.
    """
    n = 0
    file.write(f'{{"schema": {EXPORT_SCHEMA}, "records": [')
    for n, entry in enumerate(entries, 1):
        file.write("\n" if n == 1 else ",\n")
        file.write(json.dumps(entry.model_dump(mode="json", exclude={"prev"}), allow_nan=False))
    file.write("\n]}\n")
    return n


def _verdict_cells(record: VerdictRecord, labels: tuple[str, ...]) -> dict[str, Any]:
    cells: dict[str, Any] = dict(zip(("x0", "y0", "x1", "y1"), record.box, strict=True))
    cells |= {name: getattr(record, name) for name in ("sigma", "label", "probability", "excluded")}
    return cells | {f"p_{label}": value for label, value in zip(labels, record.probabilities, strict=False)}


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else value


@contextmanager
def _lines_progress(session: Path, description: str) -> Iterator[OnLine]:
    """A bar over the journal's megabytes."""
    try:
        total = sum(path.stat().st_size for path in journal_files(session))
    except OSError as error:
        raise JournalError(f"{session}: cannot be read ({error.strerror or error})") from error
    with progress_bar() as bar:
        task = add_task(bar, f"{description}, MB", total / 1e6)
        advance: Callable[[int], None] = lambda length: bar.advance(task, length / 1e6)  # noqa: E731
        yield advance
