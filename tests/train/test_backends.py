"""The same command trains under TensorFlow and under JAX, without a word of theirs on the terminal."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_short_training_ends_in_a_run_folder(backend: str, cells: Path, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    command = [sys.executable, "-c", "from leukolite.cli import main; main()", "train", "small_cnn"]
    options = ["--data", str(cells), "--out", str(tmp_path / "run"), "--epochs", "1", "--set", "side=32"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    result = subprocess.run([*command, *options], capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    assert f'"backend":"{backend}"' in (tmp_path / "run" / "run.json").read_text().replace(" ", "")
    assert result.stderr.splitlines() == [line for line in result.stderr.splitlines() if line.startswith("epoch 1/1")]
