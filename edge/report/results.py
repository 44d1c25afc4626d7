"""What a session leaves for machines: every verdict as JSON and CSV."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from leukolite.bundle import Bundle
from leukolite.classifier import STAGES, Latency
from leukolite.csv_file import CsvWriter
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.counts import Session
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.field.exclusion import NO_WHITE_CELL, Exclusion
from leukolite.edge.host.health import Health
from leukolite.errors import text_of
from leukolite.evaluation import ImageVerdict, metrics_by_sigma, result_row
from leukolite.image_files import Unusable
from leukolite.noise import pooled_sigma

SCHEMA = {"name": "session", "version": 3}  # 3: counts, stages that add up, kinds of exclusions; 2: regions; 1: first


class ResultCollector:
    """A `Sink` that keeps every verdict, for the result files: memory grows with the session.

    Attributes:
        rows: of each frame and noise level, as the JSON has them.
        verdicts: all of them.
        notes: source and text of each.
        skipped_files: of the source, that are not classified.
    """

    def __init__(self, labels: Sequence[str], sigmas: Sequence[float] = (0.0,)) -> None:
        self._labels, self._sigmas = labels, sigmas
        self.rows: list[dict[str, Any]] = []
        self.verdicts: list[ImageVerdict] = []
        self.gaps: list[Gap] = []
        self.notes: list[tuple[str, str]] = []
        self.skipped_files: list[Unusable] = []

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                self.rows += frame_rows(event, self._labels, self._sigmas)
                self.verdicts += [
                    ImageVerdict(
                        event.frame.source, event.frame.index, region.sigma, event.truth, region.verdict, region.effective_sigma
                    )
                    for region in event.regions
                    if region.verdict is not None
                ]
            case Gap():
                self.gaps.append(event)
            case Note():
                self.notes.append((event.source, event.text))
                self.skipped_files += event.skipped
            case SessionEnd():
                self.notes.append((event.source, event.text))
            case Health():
                self.notes.append(("machine", ", ".join(event.conditions) or "well again"))

    def close(self) -> None:
        pass


def session_json(
    session: Session, collected: ResultCollector, bundle: Bundle, seed: int, settings: Mapping[str, str]
) -> dict[str, Any]:
    """The session for machines; every latency is kept, in milliseconds. Its fields are in docs/reference/json.md.

    Args:
        settings: every further one that decides verdicts and is not the default, as a journal has them.
    """
    counts, manifest = session.counts, bundle.manifest
    results = [
        result_row(row, manifest.classes, counts.latency_ms(row.sigma))
        for row in metrics_by_sigma(collected.verdicts, manifest.classes)
    ]
    return {
        "schema": SCHEMA,
        "bundle": str(bundle.path),
        "model": manifest.name,
        "bundle_sha256": bundle.sha256 or None,
        "model_sha256": manifest.model_sha256,
        "unit": manifest.unit,
        "labels": manifest.labels,
        "malignant": manifest.malignant,
        "runtime": session.runtime.model_dump(),
        "restarts": session.restarts,
        "source": session.source,
        "seed": seed,
        "noise_at": settings.get("noise_at", "capture"),
        "settings": dict(settings),
        "counts": counts.to_json(),
        "hottest_c": counts.hottest_c,
        "seconds": round(session.seconds, 4),
        "verdicts_per_second": session.verdicts_per_second,
        "interrupted": session.stopped_by is not None,
        "stopped_by": session.stopped_by,
        "ended_by": session.ending.by,
        "failure": None if session.failure is None else text_of(session.failure),
        "gaps": [{"source": gap.source, "index": gap.index, "reason": gap.reason} for gap in collected.gaps],
        "skipped_files": [{"source": str(item.path), "reason": item.reason} for item in collected.skipped_files],
        "notes": [{"source": source, "text": text} for source, text in collected.notes],
        "latency_ms": counts.latency_ms(),
        "results": results,
        "frames": collected.rows,
    }


def frame_rows(result: FrameResult, labels: Sequence[str], sigmas: Sequence[float]) -> list[dict[str, Any]]:
    """A frame as the JSON has it, one row per noise level.

    `label` and `probability` are the frame's where one region was classified, as of whole fields; `cells` has every region.
    """
    common = {
        "source": result.frame.source,
        "index": result.frame.index,
        "truth": None if result.truth is None else labels[result.truth],
        "age_ms": result.age_ms,
        "timed_by": result.frame.timed_by,
        "skipped": result.skipped,
        "runtime": result.runtime.model_dump(),
        "throttled": result.health.throttled,
        "wall_time": round(result.wall_time, 6),
    }
    rows = []
    for sigma in sigmas:
        regions = result.at_sigma(sigma)
        only = regions[0].verdict if len(regions) == 1 else None
        # noise may hide what was found without
        excluded = result.excluded if regions or result.excluded is not None else NO_WHITE_CELL
        rows.append(
            common
            | {
                "sigma": sigma,
                "effective_sigma": pooled_sigma(region.effective_sigma for region in regions),
                **_excluded(excluded),
                "label": None if only is None else only.label,
                "probability": None if only is None else round(only.probability, 6),
                "latency_ms": _latency(result.latency(sigma)),
                "cells": [_cell(region) for region in regions],
            }
        )
    return rows


CSV_COLUMNS = ("source", "index", "sigma", "truth", "box", "label", "probability", "excluded", "age_ms", "skipped", "throttled")


def session_csv(collected: ResultCollector) -> str:
    """One row per verdict or exclusion."""
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.write_row([*CSV_COLUMNS, *(f"{stage}_ms" for stage in STAGES)])
    for row in collected.rows:
        for cell in row["cells"] or [{"excluded": row["excluded"], "latency_ms": row["latency_ms"]}]:
            values = row | {"box": None, "label": None, "probability": None} | cell
            latency = cell["latency_ms"] or {}
            cells = (" ".join(map(str, values[name])) if name == "box" and values[name] else values[name] for name in CSV_COLUMNS)
            times = (latency.get(stage) for stage in STAGES)
            writer.write_row((*cells, *times))
    return text.getvalue()


def _cell(region: RegionResult) -> dict[str, Any]:
    verdict = region.verdict
    return {
        "box": list(region.box),
        "label": None if verdict is None else verdict.label,
        "probability": None if verdict is None else round(verdict.probability, 6),
        **_excluded(region.excluded),
        "latency_ms": None if verdict is None else _latency(verdict.latency),
    }


def _excluded(exclusion: Exclusion | None) -> dict[str, str | None]:
    return {
        "excluded": None if exclusion is None else str(exclusion),
        "excluded_kind": None if exclusion is None else str(exclusion.kind),
    }


def _latency(latency: Latency) -> dict[str, float]:
    return {stage: getattr(latency, stage) for stage in STAGES}
