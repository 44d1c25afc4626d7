"""Interpreters beside this one, of environments with what cannot be installed here; `make test-all` makes and names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def python_with(module: str, variable: str) -> Path:
    """The interpreter that an environment variable names, this one where it names none; skips where it lacks the module."""
    python = Path(os.environ.get(variable, sys.executable))
    if path_of(module, python) is None:
        pytest.skip(f"no {module} in {python}: `make test-all` installs it, or set {variable} to an interpreter that has it")
    return python


def path_of(module: str, python: Path) -> Path | None:
    """The folder in which an interpreter has a package."""
    code = f"import importlib.util as u; s = u.find_spec({module!r}); print(s.submodule_search_locations[0] if s else '')"
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip()) if result.stdout.strip() else None


def peak_memory(code: str) -> tuple[str, int]:
    """What a program prints in a process of its own, and the most memory that it held, bytes."""
    ask = "import sys; print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0], file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", f"{code}\n{ask}"], capture_output=True, text=True, check=True)
    return result.stdout, int(result.stderr.split()[-2]) * 1024
