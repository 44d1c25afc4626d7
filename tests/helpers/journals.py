"""What the tests of journals, replays and summaries share: records made on the spot."""

from leukolite.classes import Classes
from leukolite.edge.journal.records import FrameRecord, LatencyRecord, SourceSettings, StartRecord, VerdictRecord
from leukolite.prevalence import Validation
from leukolite.runtime import RuntimeInfo, RuntimeOptions

LABELS = ("blast", "healthy")
CLASSES = Classes.of(LABELS, ("blast",))


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
