"""What is asserted of clocks: that they were read, never what they said."""

import json
from importlib.util import find_spec

import pytest

from leukolite.benchmarks.overhead import Overhead, measure_overhead
from leukolite.cli import main as leukolite
from leukolite.runtime import RuntimeInfo, RuntimeOptions


def test_every_round_is_kept_and_the_ratio_is_made_of_them(tiny_bundle):
    result = measure_overhead(tiny_bundle, RuntimeOptions(), rounds=3, frames=10, size=(64, 48))
    assert len(result.runner_ms) == len(result.classify_ms) == len(result.invoke_ms) == 3
    assert min(*result.runner_ms, *result.classify_ms, *result.invoke_ms) > 0
    assert result.ratio > 0
    assert result.classify_ratio > 0
    assert (result.model, result.frame, result.frames_per_round) == ("tiny", (64, 48), 10)


def test_the_ratio_is_the_median_of_the_rounds():
    runtime = RuntimeInfo(name="r", version="1", threads=1)
    times = {"invoke_ms": (2.0, 2.0, 3.0), "classify_ms": (2.0, 2.5, 15.0), "runner_ms": (2.0, 3.0, 30.0)}
    result = Overhead("m", runtime, (8, 8), "area", 10, **times)
    assert (result.ratio, result.classify_ratio) == (1.5, 1.25)


def test_the_command_writes_every_round(call, tiny_bundle, tmp_path):
    out = tmp_path / "overhead.json"
    result = call(leukolite, "overhead", tiny_bundle, "--rounds", 2, "--frames", 10, "--size", "64x48", "--json", out)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["schema"] == {"name": "overhead", "version": 2}
    assert len(content["runner_ms"]) == len(content["classify_ms"]) == len(content["invoke_ms"]) == 2
    assert content["ratio"] > 0
    assert content["classify_ratio"] > 0
    assert content["frame"] == [64, 48]
    assert "edge-run's loop" in result.stdout
    assert "2 rounds of 10 frames" in result.stdout
    assert result.stderr == ""


def test_a_missing_bundle_is_refused(refuses, tmp_path):
    assert "no such bundle" in refuses(leukolite, "overhead", tmp_path / "nowhere", "--json", tmp_path / "overhead.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(find_spec("keras") is None, reason="training needs Keras; pip install 'leukolite[train]'")
def test_the_throughput_of_a_training_keeps_every_round(call, tmp_path):
    out = tmp_path / "throughput.json"
    result = call(leukolite, "throughput", "small_cnn", "--rounds", 1, "--steps", 2, "--json", out)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert content["schema"] == {"name": "throughput", "version": 2}
    assert (content["recipe"], content["images_per_round"]) == ("small_cnn", 32)
    assert len(content["augmented"]) == len(content["ready"]) == 1
    assert content["ratio"] > 0
