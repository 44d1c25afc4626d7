"""What the tests of journals, replays and summaries share: records made on the spot."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from leukolite.classes import Classes
from leukolite.edge.journal.format import GENESIS, file_name
from leukolite.edge.journal.records import FrameRecord, LatencyRecord, SourceSettings, StartRecord, VerdictRecord
from leukolite.prevalence import Validation
from leukolite.runtime import RuntimeInfo, RuntimeOptions

LABELS = ("blast", "healthy")
CLASSES = Classes.of(LABELS, ("blast",))


def write_sealed(folder: Path, records: Iterable[dict]) -> None:
    """A journal of records of any shape, such as an earlier version's, each sealed in its line."""
    prev, lines = GENESIS, b""
    for seq, record in enumerate(records):
        line = {"seq": seq, "at": "2026-11-21T05:05:42.432861Z", "up_ms": 1.5, "prev": prev, "record": record}
        body = json.dumps(line)[:-1].encode()
        prev = hashlib.sha256(body).hexdigest()
        lines += body + f',"sha256":"{prev}"}}\n'.encode()
    folder.mkdir(exist_ok=True)
    (folder / file_name(0)).write_bytes(lines)


def start(**changes: object) -> StartRecord:
    fields: dict[str, object] = {
        "bundle": "bundles/cells",
        "name": "cells",
        "unit": "cell",
        "classes": CLASSES,
        "manifest_sha256": "a" * 64,
        "model_sha256": "b" * 64,
        "runtime": RuntimeOptions(name="litert", threads=1),
        "sigmas": (0.0,),
        "source": SourceSettings(camera="synthetic"),
        "versions": {"leukolite": "0.1.0"},
        "slide": "0123456789abcdef",
        "validation": Validation(sigma=0, malignant=300, hits=292, others=300, rejections=295),
    }
    return StartRecord.model_validate(fields | changes)


def frame(index: int = 0, verdicts: int = 1, **changes: object) -> FrameRecord:
    fields: dict[str, object] = {
        "source": "camera",
        "index": index,
        "captured_ns": 10 * index,
        "timed_by": "sensor",
        "age_ms": 12.5,
        "locate_ms": 4.0,
        "skipped": 0,
        "width": 640,
        "height": 480,
        "verdicts": verdicts,
        "runtime": RuntimeInfo(name="litert", version="2.1", threads=1),
        "pixels_sha256": "c" * 64,
    }
    return FrameRecord.model_validate(fields | changes)


def verdict(index: int = 0, label: str = "blast", probability: float = 0.9, **changes: object) -> VerdictRecord:
    fields: dict[str, object] = {
        "index": index,
        "box": (10, 20, 60, 70),
        "sigma": 0.0,
        "label": label,
        "probability": probability,
        "probabilities": (probability, 1 - probability) if label == "blast" else (1 - probability, probability),
        "latency_ms": LatencyRecord(capture=1.0, locate=4.0, preprocess=0.5, invoke=2.0, total=7.5),
    }
    return VerdictRecord.model_validate(fields | changes)


def left_out(index: int = 0, reason: str = "too small", **changes: object) -> VerdictRecord:
    return VerdictRecord.model_validate({"index": index, "box": (10, 20, 60, 70), "sigma": 0.0, "excluded": reason} | changes)
