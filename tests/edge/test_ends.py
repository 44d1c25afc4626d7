"""Whatever ends a session, journal, `verify`, both results and the exit code say which cause it was: processes of `edge-run`."""

import re
from pathlib import Path

import numpy as np
import pytest
from ends import AT, CAUSES, Cause, run
from PIL import Image

from leukolite.edge.ending import ASKED, EndedBy, Ending, asked_by, failed_by
from leukolite.errors import BundleError, ImageError, JournalError, RuntimeUnavailable, SourceError
from leukolite.synthetic import LABELS, render_cell

# the cause's name, what it may be called, and a word of the reason
CALLED: dict[str, tuple[set[str], str]] = {
    "source end": ({EndedBy.SOURCE}, ""),
    "Ctrl-C": ({EndedBy.USER}, ""),
    "SIGTERM": ({EndedBy.SIGTERM}, ""),
    "SIGHUP": ({EndedBy.SIGHUP}, ""),
    "driver exception": ({EndedBy.SOURCE_FAILURE}, "the driver broke"),
    "decoder exception": ({EndedBy.SOURCE_FAILURE, EndedBy.SOURCE}, "the decoder broke"),
    "traceback on purpose": ({EndedBy.PROGRAM_ERROR}, "ZeroDivisionError: on purpose"),
    "EMFILE": ({EndedBy.RECORDING_FAILURE, EndedBy.DESCRIPTORS}, "Too many open files"),
    "dead disk": ({EndedBy.RECORDING_FAILURE}, "Input/output error"),
    "full disk": ({EndedBy.RECORDING_FAILURE}, "disk full"),
    "stuck runtime": ({EndedBy.RUNTIME_FAILURE}, "gave no answer within 1 s"),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(AT + 3):
        Image.fromarray(render_cell(np.random.default_rng(i), LABELS[i % 2])).save(folder / f"{i:02}.png")
    return folder


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_each_cause_of_an_end_is_told_by_journal_verify_results_and_exit_code(cause: Cause, tmp_path, pictures):
    left = run(cause, tmp_path, pictures)
    assert left.code in cause.codes, left.stderr
    if cause.name == "kill -9":
        assert left.verify.startswith("not closed: no record says what ended it, as after a kill -9")
        assert (left.json, left.out, left.last["kind"]) == (None, None, "verdict")
        return
    names, why = CALLED[cause.name]
    assert left.json is not None
    assert left.json == left.out
    assert left.json["ended_by"] in names
    fails = left.json["ended_by"] not in ASKED
    assert (left.code == 1) == fails == (left.json["failure"] is not None)
    assert why in (left.json["failure"] or str(left.json["gaps"]))
    assert f"ended by {left.json['ended_by']}" in left.stdout
    assert left.json["counts"]["frames"] >= AT
    if cause.name == "dead disk":  # nothing can be written there any more
        assert left.verify.startswith("not closed: ")
        assert re.search(r"; \d+ records? in \S+ (is|are) kept", left.stderr)
        return
    said = f"ended by {left.json['ended_by']}"
    assert left.verify.startswith(f"failed, {said}: " if fails else said)
    assert left.last["event"] == ("recording stopped" if cause.name in ("full disk", "EMFILE") else "failed" if fails else "end")
    if fails:
        assert why in left.verify


# --- the list


@pytest.mark.parametrize(
    ("error", "by"),
    [
        (OSError(24, "Too many open files"), EndedBy.DESCRIPTORS),
        (MemoryError(), EndedBy.MEMORY),
        (JournalError("x"), EndedBy.RECORDING_FAILURE),
        (RuntimeUnavailable("x"), EndedBy.RUNTIME_FAILURE),
        (BundleError("x"), EndedBy.RUNTIME_FAILURE),
        (SourceError("camera", "x"), EndedBy.SOURCE_FAILURE),
        (ImageError("a.png", "x"), EndedBy.SOURCE_FAILURE),
        (OSError(5, "Input/output error"), EndedBy.PROGRAM_ERROR),
        (ZeroDivisionError("x"), EndedBy.PROGRAM_ERROR),
        (KeyError("x"), EndedBy.PROGRAM_ERROR),
    ],
)
def test_an_exception_is_one_of_the_causes_and_none_that_somebody_asked_for(error, by):
    assert failed_by(error).by is by
    assert failed_by(error).is_failure
    assert failed_by(error).detail
    unforeseen = by is EndedBy.PROGRAM_ERROR
    assert failed_by(error, in_source=True).by is (EndedBy.SOURCE_FAILURE if unforeseen else by)


def test_the_cause_of_an_error_of_ours_counts_too():
    error = SourceError("camera", "cannot be opened")
    error.__cause__ = OSError(24, "Too many open files")
    assert failed_by(error).by is EndedBy.DESCRIPTORS


def test_who_asked_for_the_end_is_named():
    assert [str(asked_by(who)) for who in ("the user", "SIGTERM", "SIGHUP", "my program")] == [
        "ended by the user",
        "ended by SIGTERM",
        "ended by SIGHUP",
        "ended by a request: my program",
    ]
    assert str(asked_by("a program error")) == "ended by a request: a program error"
    assert not any(asked_by(by).is_failure for by in EndedBy)


def test_an_end_of_a_journal_before_schema_3_is_no_failure():
    assert (str(Ending(None)), Ending(None).is_failure) == ("ended", False)
