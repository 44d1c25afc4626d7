"""The fuzzing harness itself: it passes what is refused in one line, and tells of what is not."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"


def run(*arguments: object, code: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code] if code else [sys.executable, FUZZ / "fuzz.py"]
    return subprocess.run([*map(str, command), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)


def test_a_reader_that_refuses_in_one_line_passes(tmp_path):
    pytest.importorskip("keras")
    found = run("--minutes", 0.02, "--keep", tmp_path, "labels")
    assert found.returncode == 0, found.stdout + found.stderr
    row = found.stdout.splitlines()[1].split()
    assert row[0] == "labels"
    assert int(row[1]) >= 50
    assert row[4] == "0"


BROKEN = """
import sys, hypothesis.strategies as st
sys.path.insert(0, {folder!r})
import fuzz, targets
def broken(_):
    def attempt(number):
        {body}
    return st.integers(0, 9), attempt
targets.TARGETS = {{"broken": broken}}
fuzz.child("broken", __import__("pathlib").Path({place!r}), 0.1, 0)
"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise KeyError('gone')", "KeyError: 'gone'"),
        ("raise __import__('leukolite.errors').errors.LeukoliteError(' ')", "an error that says nothing"),
    ],
)
def test_a_reader_that_fails_otherwise_is_told_with_its_case(tmp_path, body, told):
    found = run(code=BROKEN.format(folder=str(FUZZ), place=str(tmp_path), body=body))
    assert found.returncode == 0, found.stderr
    assert told in (tmp_path / "result.json").read_text()
    assert (tmp_path / "failure-0.pickle").is_file()
