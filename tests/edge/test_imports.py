"""A Pi has no Keras, and a command should answer at once: what loads what, in a process of its own."""

import subprocess
import sys

import pytest

HEAVY = (
    "ai_edge_litert",
    "h5py",
    "jax",
    "keras",
    "matplotlib",
    "scipy",
    "sklearn",
    "starlette",
    "tensorflow",
    "tf_keras",
    "uvicorn",
)


def loaded_by(module: str) -> set[str]:
    """Which of the heavy packages are there once `module` is imported."""
    code = f"import sys, {module}; print(*sorted(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "leukolite",
        "leukolite.cli",
        "leukolite.edge.cli",
        "leukolite.info",
        "leukolite.edge.journal_cli",
        "leukolite.benchmarks.cli",
        "leukolite.convert.cli",
        "leukolite.convert.android_cli",
        "leukolite.convert.debugger_cli",
        "leukolite.convert.study_cli",
        "leukolite.train.cli",
        "leukolite.train.survey_cli",
    ],
)
def test_a_command_loads_nothing_heavy_before_it_is_called(module):
    assert loaded_by(module) == set()


def test_the_front_door_costs_nothing_until_a_name_is_asked_for():
    code = "import sys, leukolite; print(*sorted({'numpy', 'cv2', 'pydantic', 'click', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == []


def test_classifying_on_the_edge_needs_the_runtime_and_nothing_of_the_workstation(tmp_path):
    code = (
        "import sys; from leukolite.edge.cli import main;"
        "main(['--bundle', 'synthetic-cells', '--camera', 'synthetic', '--frames', '1', '--noise', '0,5', '--out', sys.argv[1]],"
        f" standalone_mode=False); print('LOADED', *sorted(name for name in {HEAVY!r} if name in sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "session")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "LOADED ai_edge_litert"
    assert result.stderr == ""
