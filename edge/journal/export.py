"""A journal's records as CSV or JSON, each verified on the way."""

from collections.abc import Iterator
from typing import Any, TextIO

from leukolite.csv_file import CsvWriter
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import EventRecord, FrameRecord, GapRecord, StartRecord, VerdictRecord
from leukolite.path_text import json_text

SCHEMA = {"name": "journal", "version": 2}  # 2: classes, runtime, kinds of exclusions; 1: first


_FRAME_COLUMNS = ("source", "index", "width", "height", "truth", "age_ms", "throttled", "pixels_sha256")


_COLUMNS = ("seq", "at", "slide", *_FRAME_COLUMNS, "runtime", "x0", "y0", "x1", "y1", "sigma", "label", "probability", "excluded")


def write_csv(entries: Iterator[Entry], file: TextIO) -> int:
    """One row per verdict, excluded region, excluded frame or gap.

    Returns:
        How many rows.
    """
    writer = CsvWriter(file)
    slide: str | None = None
    labels: tuple[str, ...] = ()
    frame: dict[str, Any] = {}
    rows = 0
    for entry in entries:
        record, cells = entry.record, {}
        match record:
            case StartRecord():
                slide, labels = record.slide, record.classes.labels
                columns = (*_COLUMNS, *(f"p_{label}" for label in labels))
                writer.write_row(columns)
            case FrameRecord():
                runtime = record.runtime
                frame = {name: getattr(record, name) for name in _FRAME_COLUMNS}
                frame["runtime"] = " ".join(filter(None, (runtime.name, runtime.version, runtime.delegate)))
                cells = frame | {"excluded": str(record.excluded)} if record.excluded is not None else {}
            case VerdictRecord():
                cells = frame | _verdict_cells(record, labels)
            case GapRecord():
                cells = {"source": record.source, "index": record.index, "excluded": f"gap: {record.reason}"}
            case EventRecord(event="new slide"):
                slide = record.slide
        if cells:
            cells |= {"seq": entry.seq, "at": entry.at.isoformat(), "slide": slide}
            writer.write_row([_cell(cells.get(column)) for column in columns])
            rows += 1
    return rows


def write_records_json(entries: Iterator[Entry], file: TextIO) -> int:
    """Every record with its number, times and hash.

    Returns:
        How many records.
    """
    n = 0
    file.write(f'{{"schema": {json_text(SCHEMA)}, "records": [')
    for n, entry in enumerate(entries, 1):
        file.write("\n" if n == 1 else ",\n")
        file.write(json_text(entry.model_dump(mode="json", exclude={"prev"})))
    file.write("\n]}\n")
    return n


def _verdict_cells(record: VerdictRecord, labels: tuple[str, ...]) -> dict[str, Any]:
    cells: dict[str, Any] = dict(zip(("x0", "y0", "x1", "y1"), record.box, strict=True))
    cells |= {name: getattr(record, name) for name in ("sigma", "label", "probability")}
    cells["excluded"] = None if record.excluded is None else str(record.excluded)
    return cells | {f"p_{label}": value for label, value in zip(labels, record.probabilities, strict=False)}


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
