import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from leukolite.bundle import Bundle, TensorFormat
from leukolite.edge.pipeline import Session
from leukolite.edge.report import VERDICT_HEADER, closing_tables, session_csv, session_json, verdict_line
from leukolite.edge.shipped import find_bundle
from leukolite.edge.sources import Gap
from leukolite.evaluation import Judged
from leukolite.judge import Judge, Latency, Verdict
from leukolite.preprocess import InputSpec
from leukolite.runtime import Tensor

LABELS = ("blast", "healthy")
STAGES = {"capture", "preprocess", "invoke", "total"}


class Idle:
    """A runtime that is never asked."""

    name, version, threads = "idle", "1", 1
    input = Tensor((1, 8, 8, 3), TensorFormat(dtype="uint8", scale=1 / 255))
    output = Tensor((1, 2), TensorFormat(dtype="uint8"))

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        raise AssertionError("asked")


JUDGE = Judge(Idle(), labels=LABELS, malignant=("blast",), spec=InputSpec(height=8, width=8))


def said(label: str, probability: float = 0.9, *, source="slides/a.png", index=0, sigma=0.0, truth: int | None = None) -> Judged:
    """A verdict with latencies of an hour's digits, the widest that are to be expected."""
    k = None if label == "abstain" else LABELS.index(label)
    probabilities = np.array([probability, 1 - probability] if k == 0 else [1 - probability, probability])
    latency = Latency(capture=1234.5, preprocess=123.4, invoke=2345.6, total=3703.5)
    return Judged(source, index, sigma, truth, Verdict(k, label, probability, probabilities, latency))


def session(*judged: Judged, gaps: tuple[Gap, ...] = (), interrupted: bool = False) -> Session:
    return Session("slides", judged, len({item.index for item in judged}), gaps, (), 2.0, interrupted)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(find_bundle(Path("synthetic-cells")))


def as_json(content: Session, bundle: Bundle) -> dict:
    """Through text and back, with every number a number of JSON."""
    return json.loads(json.dumps(session_json(content, bundle, JUDGE, 0), allow_nan=False))


def printed(content: Session) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(closing_tables(content, JUDGE))
    return console.file.getvalue()


@pytest.mark.parametrize("truth", [None, "blast", "healthy"])
@pytest.mark.parametrize("label", ["blast", "healthy", "abstain"])
def test_a_verdict_of_a_short_name_fits_80_columns(label, truth):
    noisy = [said("healthy", 0.501, sigma=255.0), said("abstain", 0.501, sigma=12.5)]
    for line in verdict_line([said(label), *noisy], truth).splitlines():
        assert len(line) <= 80


def test_the_header_has_the_width_of_its_columns():
    assert len(VERDICT_HEADER) <= 80


def test_a_long_name_is_cut_at_its_front_and_the_columns_stay():
    short, long = verdict_line([said("blast")], None), verdict_line([said("blast", source="x" * 90 + "end.png")], None)
    assert len(short) == len(long)
    assert "end.png" in long


def test_a_wrong_verdict_shows_the_truth_and_a_right_one_does_not():
    assert "truth healthy" in verdict_line([said("blast")], "healthy")
    assert "truth" not in verdict_line([said("blast")], "Blast")
    assert "truth" not in verdict_line([said("blast")], None)


def test_a_noise_level_shows_only_where_it_changed_the_verdict():
    changed = verdict_line([said("blast"), said("blast", sigma=5.0), said("healthy", sigma=10.0)], None)
    assert "sigma 10: healthy" in changed
    assert "sigma 5" not in changed


def test_the_closing_tables_fit_80_columns():
    content = session(said("blast", truth=0), said("healthy", truth=1, index=1), said("blast", truth=1, index=1, sigma=10.0))
    assert max(map(len, printed(content).splitlines())) <= 80


def test_accuracy_is_shown_only_where_a_truth_is_known():
    assert "Accuracy" not in printed(session(said("blast")))
    assert "100.0%" in printed(session(said("blast", truth=0)))


def test_json_has_what_machines_were_promised(bundle):
    judged = [said(label, index=i, truth=i, sigma=sigma) for i, label in enumerate(LABELS) for sigma in (0.0, 10.0)]
    content = as_json(session(*judged), bundle)
    assert set(content["latency_ms"]) == STAGES
    assert all(set(values) == {"p50", "p90", "p99", "mean"} for values in content["latency_ms"].values())
    assert [row["sigma"] for row in content["results"]] == [0.0, 10.0]
    for row in content["results"]:
        assert {"accuracy", "precision", "recall", "specificity", "f1", "auc", "confusion"} <= set(row)
        assert set(row["latency_ms"]) == STAGES
        assert row["confusion"] == [[1, 0], [0, 1]]
    assert [(f["source"], f["index"], f["label"], f["probability"]) for f in content["frames"][::2]] == [
        ("slides/a.png", 0, "blast", 0.9),
        ("slides/a.png", 1, "healthy", 0.9),
    ]
    assert all(set(f["latency_ms"]) == STAGES for f in content["frames"])


def test_json_names_gaps_and_counts(bundle):
    content = as_json(session(said("blast"), gaps=(Gap(1, "b.png", "empty"),)), bundle)
    assert content["gaps"] == [{"source": "b.png", "index": 1, "reason": "empty"}]
    assert (content["n_frames"], content["n_verdicts"], content["verdicts_per_second"]) == (1, 1, 0.5)


@pytest.mark.parametrize(
    "judged",
    [
        pytest.param([], id="interrupted before the first frame"),
        pytest.param([said("blast")], id="no truth"),
        pytest.param([said("blast", truth=0)], id="one class, so no AUC"),
        pytest.param([said("abstain", truth=0)], id="no verdict, so no accuracy"),
    ],
)
def test_json_is_strict_where_figures_are_undefined(bundle, judged):
    content = as_json(session(*judged, interrupted=True), bundle)
    assert content["interrupted"] is True
    assert len(content["frames"]) == len(judged)


def test_csv_has_a_row_a_verdict_even_for_names_with_commas():
    content = session(said("blast", source='slides/a,"b".png', truth=1), said("abstain", 0.55, index=1))
    rows = list(csv.DictReader(io.StringIO(session_csv(content, JUDGE))))
    assert [(row["source"], row["truth"], row["label"], row["probability"]) for row in rows] == [
        ('slides/a,"b".png', "healthy", "blast", "0.9"),
        ("slides/a.png", "", "abstain", "0.55"),
    ]
    assert float(rows[0]["total_ms"]) == 3703.5
