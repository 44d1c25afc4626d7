"""A session's summary as a page for people, as JSON and as CSV."""

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from leukolite import __version__
from leukolite.csv_file import Cell, CsvWriter
from leukolite.decision import ABSTAIN
from leukolite.edge.report.summary import Summary
from leukolite.files import write_file, write_json
from leukolite.metrics import Interval
from leukolite.prevalence import Prevalence
from leukolite.wording import RESEARCH_USE, percent, percent_with_interval, shown, shown_label

SCHEMA = {"name": "summary", "version": 2}  # 2: one count for all files, by_label, kinds of exclusions; 1: first
PAGE, SUMMARY_JSON, SUMMARY_CSV = "summary.html", "summary.json", "summary.csv"


def write_summary(folder: Path, summary: Summary) -> None:
    """Write the page, the JSON and the CSV into a folder. Raises: LeukoliteError, if it cannot be written."""
    for name, write in SUMMARY_FILES.items():
        write(folder / name, summary)


def summary_page(summary: Summary) -> str:
    """One HTML file with all that it needs; every text of the bundle's or the session's is `shown`, and escaped for HTML."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("leukolite.edge.report", "."),
        autoescape=True,
        finalize=lambda value: shown(value) if isinstance(value, str) else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "time": _time}
    return environment.get_template("summary.html.j2").render(
        summary=summary,
        start=summary.start,
        noun=summary.start.unit,
        with_interval=percent_with_interval,
        sentence=enough_sentence,
        shown_label=shown_label,
        research_use=RESEARCH_USE,
        version=__version__,
    )


def summary_json(summary: Summary) -> dict[str, Any]:
    """The summary for machines, without thumbnails; its fields are in docs/reference/json.md."""
    content, ending = asdict(summary), summary.ending
    del content["ending"]
    content["ended"] = ending is not None and not ending.is_failure
    content["ended_by"] = None if ending is None else ending.by
    content["failure"] = ending.detail if ending is not None and ending.is_failure else None
    content["start"] = summary.start.model_dump(mode="json")
    content["runtimes"] = [runtime.model_dump() for runtime in summary.runtimes]
    content["began"], content["last"] = (None if at is None else at.isoformat() for at in (summary.began, summary.last))
    for slide in content["slides"]:
        del slide["thumbnails"]
        slide["by_label"] = {**slide.pop("counted"), ABSTAIN: slide.pop("abstained")}
    return {"schema": SCHEMA, **content}


def summary_csv(summary: Summary) -> str:
    """One row per slide."""
    text = io.StringIO()
    writer = CsvWriter(text)
    labels = summary.start.classes.labels
    figures = ["n", "n_malignant", "apparent", "apparent_low", "apparent_high", "fraction", "low", "high", "enough", "more"]
    writer.write_row(["slide", "frames", *labels, "abstained", "excluded", *figures])
    for slide in summary.slides:
        counts = [slide.frames, *slide.counted.values(), slide.abstained, sum(slide.excluded.values())]
        writer.write_row([slide.slide or "", *counts, *_figures(slide.blasts)])
    return text.getvalue()


def enough_sentence(blasts: Prevalence, noun: str) -> str:
    """Whether the interval is narrow enough yet, in words."""
    if blasts.enough:
        return f"Enough {noun}s: the interval is as narrow as wanted."
    if blasts.n and blasts.fraction is None and blasts.more is None:
        return "No number of them will make this fraction sure."
    if blasts.more is None:
        return f"More {noun}s alone will not do: the model was measured on too few images for so narrow an interval."
    return f"Not enough {noun}s yet: about {blasts.more:,} more."


SUMMARY_FILES: dict[str, Callable[[Path, Summary], None]] = {
    PAGE: lambda path, summary: write_file(path, summary_page(summary)),
    SUMMARY_JSON: lambda path, summary: write_json(path, summary_json(summary)),
    SUMMARY_CSV: lambda path, summary: write_file(path, summary_csv(summary)),
}


def _figures(blasts: Prevalence | None) -> Sequence[Cell]:
    if blasts is None:
        return [""] * 10
    shares = [blasts.apparent, *_ends(blasts.apparent_interval), blasts.fraction, *_ends(blasts.interval)]
    rounded = ["" if share is None else round(share, 6) for share in shares]
    return [blasts.n, blasts.n_malignant, *rounded, "yes" if blasts.enough else "no", "" if blasts.more is None else blasts.more]


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    return interval or (None, None)


def _time(at: datetime | None) -> str:
    return "-" if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")
