"""Throws damaged input at everything that reads what comes from outside: no traceback, no hang, no 1 GB of memory.

    python tests/fuzz/fuzz.py --minutes 5                  # each target in turn, in a process of its own
    python tests/fuzz/fuzz.py --minutes 1 images journals  # some of them

A case passes where it is taken, or refused with an error that the commands print as one line. A target's process is watched from
outside: a case that takes too long, memory beyond the limit and a crash end it and are reported with the case that did it.
Not part of `make test`: it runs for minutes, and finds what nobody has thought of. docs/evidence/fuzzing.md has the last run.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

LONGEST_S, MOST_MB = 20.0, 1000  # of one case; what the cases may add to the memory that the libraries take
EXAMPLES = 50  # between two looks at the clock
CASE, RESULT = "case", "result.json"


def child(target: str, folder: Path, seconds: float, first_seed: int) -> None:
    """Try cases until the time is up; writes what came of them into `folder`."""
    import targets

    from leukolite.errors import LeukoliteError

    strategy, attempt = targets.TARGETS[target](folder)
    outcomes: Counter[str] = Counter()
    failures: list[dict[str, str]] = []

    def try_one(case: Any) -> None:
        (folder / CASE).write_bytes(pickle.dumps(case))
        try:
            attempt(case)
            outcomes["taken"] += 1
        except LeukoliteError as error:
            if not str(error).strip():
                raise AssertionError("an error that says nothing") from error
            outcomes["refused"] += 1

    began, number = time.monotonic(), first_seed
    while time.monotonic() - began < seconds and len(failures) < 20:
        quick = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(number)(quick(given(strategy)(try_one)))()
        except BaseException as error:  # whatever it is, it is what is looked for
            if isinstance(error, KeyboardInterrupt):
                raise
            what = _told(error)
            if what not in (failure["what"] for failure in failures):
                place = folder / f"failure-{len(failures)}.pickle"
                place.write_bytes((folder / CASE).read_bytes())
                failures.append({"what": what, "case": str(place)})
        number += 1
    (folder / RESULT).write_text(json.dumps({"outcomes": outcomes, "failures": failures}))


def _told(error: BaseException) -> str:
    """What was raised, and by which lines of ours; of several the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.line}" for frame in ours[-4:]]
    return "\n".join([f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", *lines])


def watch(target: str, seconds: float, first_seed: int, keep: Path) -> dict[str, Any]:
    """Run one target in a process of its own and look after it."""
    folder = keep / target
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-X", "faulthandler", __file__, "--child", target, str(folder), str(seconds), str(first_seed)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    began, most_mb, idle_mb, trouble, slowest = time.monotonic(), 0.0, None, "", 0.0
    while process.poll() is None:
        time.sleep(0.1)
        peak_mb = _peak_mb(process.pid)
        if idle_mb is None:
            if not (folder / CASE).is_file() and time.monotonic() - began < 120:
                continue  # its libraries are being loaded
            idle_mb = peak_mb
        most_mb = max(most_mb, peak_mb - idle_mb)
        age = _age_s(folder / CASE)
        slowest = max(slowest, age)
        if age > LONGEST_S:
            trouble = f"a case takes longer than {LONGEST_S:g} s"
        elif most_mb > MOST_MB:
            trouble = f"{most_mb:.0f} MB of memory, at most {MOST_MB} are allowed"
        if trouble:
            process.kill()
            process.wait()
    found: dict[str, Any] = {"outcomes": {}, "failures": []}
    if (folder / RESULT).is_file():
        found = json.loads((folder / RESULT).read_text())
    elif not trouble:
        trouble = f"the process ended with {process.returncode}; see {folder / 'output.txt'}"
    if trouble:
        case = folder / CASE
        found["failures"].append({"what": trouble, "case": str(case) if case.exists() else "before the first case"})
    return found | {"added_mb": round(most_mb), "slowest_s": round(slowest, 1), "seconds": round(time.monotonic() - began)}


def _peak_mb(pid: int) -> float:
    """The most memory that a process has held so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def _age_s(case: Path) -> float:
    """How long the case in hand has been tried."""
    try:
        return max(0.0, time.time() - case.stat().st_mtime)
    except OSError:  # just being written
        return 0.0


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets.TARGETS)}  [default: all]")
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together  [default: 5]")
    parser.add_argument("--seed", type=int, default=0, help="of the cases  [default: 0]")
    parser.add_argument("--keep", type=Path, help="folder for the cases that fail  [default: a temporary one]")
    asked = parser.parse_args()
    names = asked.targets or list(targets.TARGETS)
    if unknown := [name for name in names if name not in targets.TARGETS]:
        parser.error(f"no target {unknown[0]!r}; there is {', '.join(targets.TARGETS)}")
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    failed = 0
    say(f"{'target':<16}{'cases':>9}{'taken':>9}{'refused':>9}{'failures':>9}{'added MB':>9}{'slowest s':>10}{'s':>6}")
    for name in names:
        found = watch(name, 60 * asked.minutes / len(names), asked.seed, keep)
        taken, refused = (found["outcomes"].get(key, 0) for key in ("taken", "refused"))
        failures = found["failures"]
        failed += len(failures)
        say(
            f"{name:<16}{taken + refused:>9}{taken:>9}{refused:>9}{len(failures):>9}{found['added_mb']:>9}"
            f"{found['slowest_s']:>10}{found['seconds']:>6}"
        )
        for failure in failures:
            say(f"  {failure['case']}:\n    " + "\n    ".join(failure["what"].strip().splitlines()))
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    else:
        sys.exit(main())
