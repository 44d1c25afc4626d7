"""What a session leaves: lines for the terminal, a closing table, JSON and CSV."""

import csv
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Group
from rich.text import Text

from leukolite.bundle import Bundle
from leukolite.classifier import Classifier, Latency
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.counts import Session
from leukolite.edge.events import Event, FrameResult, RegionResult
from leukolite.edge.field.view import EMPTY, whole_box
from leukolite.edge.host.health import Health
from leukolite.evaluation import LATENCY_STAGES, ImageVerdict, latency_summary, metrics_by_sigma
from leukolite.runtime import RuntimeInfo
from leukolite.tables import results_table
from leukolite.wording import percent_with_interval

SCHEMA = 2  # 2: areas, exclusions, age, runtime and throttling of each frame; 1: first
NAME_WIDTH = 18


VERDICT_HEADER = "frame source             verdict      prob.  total ms = capture + prep. + invoke"

Say = Callable[[str], None]


class Console:
    """A `Sink` that tells a person: a line a verdict on stdout, everything unusual on stderr.

    Args:
        say, warn: write one line.
        verdicts: False leaves out the verdicts' lines.
    """

    def __init__(self, say: Say, warn: Say, *, verdicts: bool = True) -> None:
        self._say, self._warn, self._verdicts = say, warn, verdicts

    def take(self, event: Event) -> None:
        match event:
            case FrameResult() if self._verdicts:
                self._say(frame_lines(event))
            case Gap():
                self._warn(f"{event.source}: passed over: {event.reason}")
            case Note() if not event.text.startswith("session "):  # the closing lines say how it ended
                self._warn(f"{event.source}: {event.text}")
            case Health():
                self._warn(f"machine: {', '.join(event.conditions) or 'well again'}")

    def close(self) -> None:
        pass


class ResultCollector:
    """A `Sink` that keeps every verdict, for the files of --json and --out: memory grows with the session.

    Attributes:
        rows: of each frame and noise level, as the JSON has them.
        judged: every verdict.
    """

    def __init__(self, labels: Sequence[str], sigmas: Sequence[float] = (0.0,)) -> None:
        self._labels, self._sigmas = labels, sigmas
        self.rows: list[dict[str, Any]] = []
        self.judged: list[ImageVerdict] = []
        self.gaps: list[Gap] = []
        self.notes: list[Note] = []

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                self.rows += frame_rows(event, self._labels, self._sigmas)
                self.judged += [
                    ImageVerdict(event.frame.source, event.frame.index, region.sigma, event.truth, region.verdict)
                    for region in event.regions
                    if region.verdict is not None
                ]
            case Gap():
                self.gaps.append(event)
            case Note():
                self.notes.append(event)
            case Health():
                self.notes.append(Note("machine", ", ".join(event.conditions) or "well again"))

    def close(self) -> None:
        pass


def frame_lines(record: FrameResult) -> str:
    """One frame's lines: the verdict at the first noise level, its latency, the truth if it is another, and each level
    that changed the verdict; of a frame with several cells, a line a cell with its left and top."""
    source = record.frame.source
    name = source if "://" in source else PurePath(source).name
    shown = name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"
    head = f"{record.frame.index:>5} {shown:<{NAME_WIDTH}} "
    if record.excluded is not None:
        return f"{head}excluded: {record.excluded}"
    levels = _levels(record)
    first, *others = levels.values()
    lines = []
    has_cells = len(first) > 1 or first[0].box != whole_box(record.frame.pixels)
    if has_cells:
        left_out = sum(region.verdict is None for region in first)
        lines.append(f"{head}{len(first)} cell{'s' if len(first) > 1 else ''}{f', {left_out} excluded' if left_out else ''}")
    for place, region in enumerate(first):
        where = f"{region.box[0]}, {region.box[1]}"
        lines.append((f"{'':>5} {where:>{NAME_WIDTH}} " if has_cells else head) + _area_line(region))
        if region.verdict is None:
            continue
        label, truth = region.verdict.label, record.frame.truth
        notes = [] if truth is None or truth.casefold() == label.casefold() else [f"truth {truth}"]
        same = [regions[place] for regions in others] if all(len(regions) == len(first) for regions in others) else []
        notes += [
            f"at sigma {other.sigma:g}: {other.verdict.label} {other.verdict.probability:.3f}"
            for other in same
            if other.verdict is not None and other.verdict.label != label
        ]
        lines += [f"      {note}" for note in notes]
    return "\n".join(lines)


def _area_line(region: RegionResult) -> str:
    if region.verdict is None:
        return f"excluded: {region.excluded}"
    verdict, latency = region.verdict, region.verdict.latency
    return (
        f"{verdict.label:<12} {verdict.probability:.3f}"
        f"{latency.total:>10.2f}{latency.capture:>10.2f}{latency.preprocess:>8.2f}{latency.invoke:>9.2f}"
    )


def closing_tables(session: Session) -> Group:
    """Frames, verdicts a second, latency percentiles, and accuracy at each noise level where the truth is known."""
    tally = session.tally
    latency = results_table("Latency, ms")
    for heading in ("stage", "p50", "p90", "p99", "mean"):
        latency.add_column(heading, justify="left" if heading == "stage" else "right")
    rows = tally.latency_summary()
    if tally.age.n:
        rows |= {"locate": tally.locate.summary(), "age": tally.age.summary()}
    for stage, values in rows.items():
        latency.add_row(stage, *(f"{values[name]:.2f}" for name in ("p50", "p90", "p99", "mean")))
    rates, lines = tally.rates(), Text("\n".join(_closing_lines(session)))
    if not rates:
        return Group(latency, lines) if rows else Group(lines)
    accuracy = results_table("Accuracy under Gaussian noise (95% interval)")
    for heading in ("sigma", "n", "accuracy", "recall", "specificity"):
        accuracy.add_column(heading, justify="right")
    for row in rates:
        one = row.positive
        accuracy.add_row(
            f"{row.sigma:g}",
            str(row.n),
            percent_with_interval(row.accuracy, row.accuracy_interval),
            "-" if one is None else percent_with_interval(one.recall, one.recall_interval),
            "-" if one is None else percent_with_interval(one.specificity, one.specificity_interval),
        )
    return Group(latency, lines, accuracy)


def session_json(
    session: Session, kept: ResultCollector, bundle: Bundle, classifier: Classifier, seed: int, settings: Mapping[str, str]
) -> dict[str, Any]:
    """The session for machines; every latency is kept, in milliseconds.

    Args:
        settings: every further one that decides verdicts and is not the default, as a journal has them.
    """
    tally, runtime = session.tally, session.runtime
    verdicts = [item.verdict for item in kept.judged]
    results = [
        row.model_dump() | {"latency_ms": latency_summary([item.verdict for item in kept.judged if item.sigma == row.sigma])}
        for row in metrics_by_sigma(kept.judged, classifier.labels, classifier.malignant)
    ]
    return {
        "schema": SCHEMA,
        "bundle": str(bundle.path),
        "model": bundle.manifest.name,
        "model_sha256": bundle.manifest.model_sha256,
        "unit": bundle.manifest.unit,
        "labels": bundle.manifest.labels,
        "malignant": bundle.manifest.malignant,
        "runtime": _runtime(runtime) | {"restarts": session.restarts},
        "source": session.source,
        "seed": seed,
        "settings": dict(settings),
        "n_frames": tally.frames,
        "n_verdicts": tally.verdicts,
        "n_skipped": tally.skipped,
        "n_throttled": tally.throttled,
        "excluded": dict(tally.excluded),
        "hottest_c": tally.hottest_c,
        "seconds": round(session.seconds, 4),
        "verdicts_per_second": _rate(session),
        "interrupted": session.stopped_by is not None,
        "stopped_by": session.stopped_by,
        "failure": None if session.failure is None else str(session.failure),
        "gaps": [{"source": gap.source, "index": gap.index, "reason": gap.reason} for gap in kept.gaps],
        "notes": [{"source": note.source, "text": note.text} for note in kept.notes],
        "age_ms": tally.age.summary() if tally.age.n else {},
        "latency_ms": latency_summary(verdicts),
        "results": results,
        "frames": kept.rows,
    }


def frame_rows(record: FrameResult, labels: Sequence[str], sigmas: Sequence[float]) -> list[dict[str, Any]]:
    """A frame as the JSON has it, one row a noise level.

    `label` and `probability` are the frame's where one area was judged, as of whole fields; `cells` has every area.
    """
    common = {
        "source": record.frame.source,
        "index": record.frame.index,
        "truth": None if record.truth is None else labels[record.truth],
        "age_ms": round(record.age_ms, 4),
        "timed_by": record.frame.timed_by,
        "locate_ms": round(record.locate_ms, 4),
        "skipped": record.skipped,
        "runtime": _runtime(record.runtime),
        "throttled": record.health.throttled,
        "wall_time": round(record.wall_time, 6),
    }
    rows, levels = [], _levels(record)
    for sigma in sigmas:
        regions = levels.get(sigma, [])
        only = regions[0].verdict if len(regions) == 1 else None
        rows.append(
            common
            | {
                "sigma": sigma,
                "excluded": record.excluded if regions or record.excluded else EMPTY,  # noise may hide what was found without
                "label": None if only is None else only.label,
                "probability": None if only is None else round(only.probability, 6),
                "latency_ms": _latency(_together(record, regions)),
                "cells": [_cell(region) for region in regions],
            }
        )
    return rows


CSV_COLUMNS = ("source", "index", "sigma", "truth", "box", "label", "probability", "excluded", "age_ms", "skipped", "throttled")


def session_csv(kept: ResultCollector) -> str:
    """One row a verdict or exclusion."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{stage}_ms" for stage in LATENCY_STAGES)])
    for row in kept.rows:
        for cell in row["cells"] or [{"excluded": row["excluded"], "latency_ms": row["latency_ms"]}]:
            values = row | {"box": None, "label": None, "probability": None} | cell
            latency = cell["latency_ms"] or {}
            cells = (" ".join(map(str, values[name])) if name == "box" and values[name] else values[name] for name in CSV_COLUMNS)
            times = (latency.get(stage) for stage in LATENCY_STAGES)
            writer.writerow(["" if value is None else value for value in (*cells, *times)])
    return text.getvalue()


def _levels(record: FrameResult) -> dict[float, list[RegionResult]]:
    """The areas of each noise level."""
    levels: dict[float, list[RegionResult]] = {}
    for region in record.regions:
        levels.setdefault(region.sigma, []).append(region)
    return levels


def _together(record: FrameResult, regions: Sequence[RegionResult]) -> Latency:
    """What the frame's verdicts took, one after the other; the frame was captured once."""
    each = [region.verdict.latency for region in regions if region.verdict is not None]
    capture = record.frame.capture_ms
    preprocess, invoke = sum(one.preprocess for one in each), sum(one.invoke for one in each)
    return Latency(capture, preprocess, invoke, capture + sum(one.total - one.capture for one in each))


def _cell(region: RegionResult) -> dict[str, Any]:
    verdict = region.verdict
    return {
        "box": list(region.box),
        "label": None if verdict is None else verdict.label,
        "probability": None if verdict is None else round(verdict.probability, 6),
        "excluded": region.excluded,
        "latency_ms": None if verdict is None else _latency(verdict.latency),
    }


def _latency(latency: Latency) -> dict[str, float]:
    return {stage: round(getattr(latency, stage), 4) for stage in LATENCY_STAGES}


def _runtime(used: RuntimeInfo) -> dict[str, Any]:
    return {"name": used.name, "version": used.version, "threads": used.threads, "delegate": used.delegate}


def _rate(session: Session) -> float:
    return round(session.tally.verdicts / session.seconds, 2) if session.seconds > 0 else 0.0


def _closing_lines(session: Session) -> list[str]:
    tally, used = session.tally, session.runtime
    counts = f"{tally.frames} frames"
    for count, what in ((tally.gaps, "passed over"), (tally.skipped, "skipped for newer ones")):
        counts += f", {count} {what}" if count else ""
    delegate = f" with {used.delegate}" if used.delegate else ""
    lines = [f"{counts}, {_rate(session):g} verdicts a second", f"{used.name} {used.version}{delegate}, {used.threads} thread(s)"]
    if tally.excluded:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.excluded.most_common())
        lines += textwrap.wrap(f"excluded: {reasons}", 80)
    if tally.throttled:
        lines.append(f"the machine was throttled during {tally.throttled} of these frames")
    if session.restarts:
        lines.append(f"the runtime hung and was restarted {session.restarts} times")
    return lines
