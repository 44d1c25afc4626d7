"""The same command trains under any backend of Keras, on one device or several, without a word of theirs on the terminal.

torch comes with an environment of its own, which `make test-all` makes and which has no TensorFlow to fall back on;
LEUKOLITE_TORCH_PYTHON names its interpreter.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from environments import python_with

from leukolite.train.runs import load_run

TWO_DEVICES = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}


def train(python: Path, data: Path, run: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-c", "from leukolite.cli import main; main()", "train", "small_cnn", "--data", str(data)]
    options = ("--out", str(run), "--epochs", "1", "--set", "side=32", *options)
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300, check=False
    )


def python_with_backend(name: str) -> Path:
    return python_with(name, f"LEUKOLITE_{name.upper()}_PYTHON")


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_short_training_ends_in_a_run_folder(backend: str, cells: Path, tmp_path: Path) -> None:
    result = train(python_with_backend(backend), cells, tmp_path / "run", {"KERAS_BACKEND": backend})
    assert result.returncode == 0, result.stderr
    assert load_run(tmp_path / "run").versions["backend"] == backend
    assert result.stderr.splitlines() == [line for line in result.stderr.splitlines() if line.startswith("epoch 1/1")]


@pytest.mark.long
def test_two_devices_share_batches_of_which_the_last_is_odd(cells: Path, tmp_path: Path) -> None:
    python = python_with_backend("jax")
    shutil.copytree(cells, tmp_path / "cells")
    next((tmp_path / "cells").glob("*/000.png")).unlink()
    result = train(python, tmp_path / "cells", tmp_path / "run", TWO_DEVICES, "--batch-size", "6")
    assert result.returncode == 0, result.stderr
    run = load_run(tmp_path / "run")
    assert run.shown % 2 == 1
    assert run.metrics["test"].n == sum(run.split["test"].values())


def test_a_batch_that_the_devices_cannot_share_evenly_is_refused(cells: Path, tmp_path: Path) -> None:
    result = train(python_with_backend("jax"), cells, tmp_path / "run", TWO_DEVICES, "--batch-size", "5")
    assert result.returncode == 1
    assert "2 devices cannot share a batch of 5 evenly" in result.stderr
    assert not (tmp_path / "run").exists()
