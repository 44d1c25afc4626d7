"""What a session leaves: lines for the terminal, a closing table, JSON and CSV."""

import csv
import io
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Group

from leukolite.bundle import Bundle
from leukolite.edge.pipeline import Session
from leukolite.evaluation import LATENCY_STAGES, Judged, latency_summary, metrics_by_sigma
from leukolite.judge import Judge, Latency
from leukolite.terminal import percent, percent_with_interval, results_table

SCHEMA = 1
NAME_WIDTH = 18


VERDICT_HEADER = "frame source             verdict      prob.  total ms = capture + prep. + invoke"


def verdict_line(judged: Sequence[Judged], truth: str | None) -> str:
    """One frame's lines: the verdict at the first noise level, its latency, the truth if it is another, and each level
    that changed the verdict."""
    first = judged[0]
    verdict, latency = first.verdict, first.verdict.latency
    notes = [] if truth is None or truth.casefold() == verdict.label.casefold() else [f"truth {truth}"]
    name = PurePath(first.source).name
    shown = name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"
    line = (
        f"{first.index:>5} {shown:<{NAME_WIDTH}} {verdict.label:<12} {verdict.probability:.3f}"
        f"{latency.total:>10.2f}{latency.capture:>10.2f}{latency.preprocess:>8.2f}{latency.invoke:>9.2f}"
    )
    notes += [
        f"at sigma {item.sigma:g}: {item.verdict.label} {item.verdict.probability:.3f}"
        for item in judged[1:]
        if item.verdict.label != verdict.label
    ]
    return "\n".join([line, *(f"      {note}" for note in notes)])


def closing_tables(session: Session, judge: Judge) -> Group:
    """Frames, verdicts a second, latency percentiles, and accuracy at each noise level where the truth is known."""
    latency = results_table("Latency, ms", caption=_counts_line(session, judge))
    for heading in ("stage", "p50", "p90", "p99", "mean"):
        latency.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, values in latency_summary([item.verdict for item in session.judged]).items():
        latency.add_row(stage, *(f"{values[name]:.2f}" for name in ("p50", "p90", "p99", "mean")))
    results = metrics_by_sigma(session.judged, judge.labels, judge.malignant)
    if not results:
        return Group(latency)
    accuracy = results_table("Accuracy under Gaussian noise (95% interval)")
    for heading in ("sigma", "n", "accuracy", "recall", "specificity", "AUC"):
        accuracy.add_column(heading, justify="right")
    for row in results:
        accuracy.add_row(
            f"{row.sigma:g}",
            str(row.n),
            percent_with_interval(row.accuracy, row.accuracy_interval),
            percent(row.recall),
            percent(row.specificity),
            percent(row.auc),
        )
    return Group(latency, accuracy)


def session_json(session: Session, bundle: Bundle, judge: Judge, seed: int) -> dict[str, Any]:
    """The session for machines; every latency is kept, in milliseconds."""
    verdicts = [item.verdict for item in session.judged]
    results = [
        row.model_dump() | {"latency_ms": latency_summary([item.verdict for item in session.judged if item.sigma == row.sigma])}
        for row in metrics_by_sigma(session.judged, judge.labels, judge.malignant)
    ]
    return {
        "schema": SCHEMA,
        "bundle": str(bundle.path),
        "model": bundle.manifest.name,
        "model_sha256": bundle.manifest.model_sha256,
        "unit": bundle.manifest.unit,
        "labels": bundle.manifest.labels,
        "malignant": bundle.manifest.malignant,
        "runtime": {"name": judge.runtime.name, "version": judge.runtime.version, "threads": judge.runtime.threads},
        "source": session.source,
        "seed": seed,
        "n_frames": session.frames,
        "n_verdicts": len(verdicts),
        "seconds": round(session.seconds, 4),
        "verdicts_per_second": _rate(session),
        "interrupted": session.interrupted,
        "gaps": [{"source": gap.source, "index": gap.index, "reason": gap.reason} for gap in session.gaps],
        "latency_ms": latency_summary(verdicts),
        "results": results,
        "frames": [_row(item, judge) for item in session.judged],
    }


def session_csv(session: Session, judge: Judge) -> str:
    """One row a verdict."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "index", "sigma", "truth", "label", "probability", *(f"{stage}_ms" for stage in LATENCY_STAGES)])
    for item in session.judged:
        row = _row(item, judge)
        latency = [row["latency_ms"][stage] for stage in LATENCY_STAGES]
        writer.writerow(
            [row["source"], row["index"], row["sigma"], row["truth"] or "", row["label"], row["probability"], *latency]
        )
    return text.getvalue()


def _row(item: Judged, judge: Judge) -> dict[str, Any]:
    return {
        "source": item.source,
        "index": item.index,
        "sigma": item.sigma,
        "label": item.verdict.label,
        "probability": round(item.verdict.probability, 6),
        "truth": None if item.truth is None else judge.labels[item.truth],
        "latency_ms": _latency(item.verdict.latency),
    }


def _latency(latency: Latency) -> dict[str, float]:
    return {stage: round(getattr(latency, stage), 4) for stage in LATENCY_STAGES}


def _rate(session: Session) -> float:
    return round(len(session.judged) / session.seconds, 2) if session.seconds > 0 else 0.0


def _counts_line(session: Session, judge: Judge) -> str:
    gaps = f", {len(session.gaps)} passed over" if session.gaps else ""
    runtime = f"{judge.runtime.name} {judge.runtime.version}, {judge.runtime.threads} thread(s)"
    return f"{session.frames} frames{gaps}, {_rate(session):g} verdicts a second; {runtime}"
