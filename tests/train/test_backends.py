"""The same command trains under any backend of Keras, on one device or several, without a word of theirs on the terminal."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from leukolite.train.runs import load_run

TWO_DEVICES = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def train(data: Path, run: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from leukolite.cli import main; main()", "train", "small_cnn", "--data", str(data)]
    options = ("--out", str(run), "--epochs", "1", "--set", "side=32", *options)
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300, check=False
    )


def backend_or_skip(name: str) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_short_training_ends_in_a_run_folder(backend: str, cells: Path, tmp_path: Path) -> None:
    backend_or_skip(backend)
    result = train(cells, tmp_path / "run", {"KERAS_BACKEND": backend})
    assert result.returncode == 0, result.stderr
    assert load_run(tmp_path / "run").versions["backend"] == backend
    assert result.stderr.splitlines() == [line for line in result.stderr.splitlines() if line.startswith("epoch 1/1")]


def test_two_devices_share_batches_of_which_the_last_is_odd(cells: Path, tmp_path: Path) -> None:
    backend_or_skip("jax")
    shutil.copytree(cells, tmp_path / "cells")
    next((tmp_path / "cells").glob("*/000.png")).unlink()
    result = train(tmp_path / "cells", tmp_path / "run", TWO_DEVICES, "--batch-size", "6")
    assert result.returncode == 0, result.stderr
    run = load_run(tmp_path / "run")
    assert run.shown % 2 == 1
    assert run.metrics["test"].n == sum(run.split["test"].values())


def test_a_batch_that_the_devices_cannot_share_evenly_is_refused(cells: Path, tmp_path: Path) -> None:
    backend_or_skip("jax")
    result = train(cells, tmp_path / "run", TWO_DEVICES, "--batch-size", "5")
    assert result.returncode == 1
    assert "2 devices cannot share a batch of 5 evenly" in result.stderr
    assert not (tmp_path / "run").exists()
