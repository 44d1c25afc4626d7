"""Records of journals that an earlier version wrote, as they are read now."""

import json
from pathlib import Path

import pytest
from journals import CLASSES, start, write_sealed
from pydantic import ValidationError

from leukolite.edge.ending import ASKED, EndedBy, Ending
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.journal.format import read, verify
from leukolite.edge.journal.open import resume_journal
from leukolite.edge.journal.records import EventRecord, FrameRecord, StartRecord, VerdictRecord
from leukolite.edge.journal.sink import check_resumable
from leukolite.edge.settings import first_record, settings_of
from leukolite.runtime import RuntimeInfo, RuntimeOptions

SCHEMA_1 = """[
{"kind": "start", "schema_version": 1, "bundle": "bundles/cells", "name": "cells", "unit": "cell",
 "labels": ["blast", "healthy"], "malignant": ["blast"], "runtime": "litert", "threads": 2, "sigmas": [0.0],
 "manifest_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
 "model_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
 "source": {"camera": "synthetic", "path": null, "seed": 0}, "settings": {}, "versions": {"leukolite": "0.1.0"},
 "slide": null, "validation": null},
{"kind": "frame", "source": "camera", "index": 0, "captured_ns": 5, "timed_by": "arrival", "age_ms": 7.5, "locate_ms": 0.5,
 "skipped": 0, "width": 256, "height": 256, "truth": "healthy", "excluded": null, "verdicts": 2,
 "runtime": {"name": "litert", "version": "2.3.0", "threads": 2, "delegate": null}, "throttled": null, "temperature_c": null,
 "pixels_sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "picture": null},
{"kind": "verdict", "index": 0, "box": [0, 0, 256, 256], "sigma": 0.0, "label": "healthy", "probability": 0.75,
 "probabilities": [0.25, 0.75], "excluded": null,
 "latency_ms": {"capture": 13.25, "preprocess": 0.25, "invoke": 0.375, "total": 14.0}},
{"kind": "verdict", "index": 0, "box": [0, 0, 256, 256], "sigma": 0.0, "label": null, "probability": null, "probabilities": [],
 "latency_ms": null, "excluded": "--cell-diameter contradicts the field (200 pixels, by its red cells 43 to 129)"},
{"kind": "frame", "source": "camera", "index": 1, "captured_ns": 6, "timed_by": "arrival", "age_ms": 7.5, "locate_ms": 0.5,
 "skipped": 0, "width": 256, "height": 256, "truth": null, "excluded": "blurred (focus 1.20, at least 2.00)", "verdicts": 0,
 "runtime": {"name": "litert", "version": "2.3.0", "threads": 2, "delegate": null}, "throttled": null, "temperature_c": null,
 "pixels_sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "picture": null}
]"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of schema 1, its lines sealed as they are."""
    write_sealed(tmp_path, json.loads(SCHEMA_1))
    return tmp_path


def test_records_of_schema_1_are_read_as_those_of_now(journal):
    began, frame, verdict, excluded, refused = (entry.record for entry in read(journal))
    assert isinstance(began, StartRecord)
    assert (began.schema_version, began.classes, began.runtime) == (3, CLASSES, RuntimeOptions(name="litert", threads=2))
    assert isinstance(frame, FrameRecord)
    assert (frame.excluded, frame.runtime) == (None, RuntimeInfo(name="litert", version="2.3.0", threads=2))
    assert isinstance(verdict, VerdictRecord)
    assert verdict.latency_ms is not None
    assert (verdict.latency_ms.locate, verdict.latency_ms.total) == (0.0, 14.0)
    assert verdict.latency_ms.invoke == 0.5, "with the decision, which the total alone counted"
    assert isinstance(excluded, VerdictRecord)
    assert excluded.excluded == Exclusion.of(ExclusionKind.DIAMETER, "200 pixels, by its red cells 43 to 129")
    assert isinstance(refused, FrameRecord)
    assert refused.excluded == Exclusion.of(ExclusionKind.BLURRED, "focus 1.20, at least 2.00")


def test_a_session_of_schema_1_may_be_resumed(journal):
    began = first_record(journal)
    check_resumable(journal, began, start())
    assert settings_of(began, None).runtime == RuntimeOptions(name="litert", threads=2)


@pytest.mark.parametrize("by", EndedBy)
def test_end_is_by_what_was_asked_for_and_failed_by_everything_else(by):
    right, wrong = ("end", "failed") if by in ASKED else ("failed", "end")
    assert EventRecord(event=right, by=by).ending == Ending(by)
    for event in (wrong, "note", "recording stopped", "resumed"):
        with pytest.raises(ValidationError, match="cannot be by"):
            EventRecord(event=event, by=by)


def test_a_failed_session_says_by_what():
    with pytest.raises(ValidationError, match="cannot be by nothing"):
        EventRecord(event="failed")
    assert EventRecord(event="end").ending == Ending(None)
    assert EventRecord(event="note").ending is None
    assert EventRecord(event="recording stopped", detail="disk full").ending == Ending(EndedBy.RECORDING_FAILURE, "disk full")


def test_a_journal_of_schema_2_is_read_with_its_end_which_does_not_say_by_what(tmp_path):
    began = start().model_dump(mode="json") | {"schema_version": 2}
    note = {"kind": "event", "event": "note", "detail": "cam: session failed: unplugged", "slide": None}
    write_sealed(tmp_path, [began, note, {"kind": "event", "event": "end", "detail": "", "slide": None}])
    found = verify(tmp_path)
    assert (found.start, found.ended, found.ending) == (start(), True, Ending(None))
    journal, _ = resume_journal(tmp_path)
    journal.append(EventRecord(event="failed", by=EndedBy.SOURCE_FAILURE, detail="unplugged"))
    journal.close()
    assert str(verify(tmp_path).ending) == "ended by a failing source: unplugged"
