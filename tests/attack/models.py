"""Malformed .tflite files: none may crash, hang or fill the process that opens it through leukolite.

    python tests/attack/models.py --n 2000 --seed 0

Each mutant of a shipped model or of tests/data/tiny.tflite (bits flipped, offsets and lengths replaced, cut off, spliced, spans
zeroed) is opened twice. A scout opens it as `leukolite.model_child` does, with its bounds, many in one process until one dies;
that is what would happen to a process without protection. A guest then opens what the scout survived as a command does: runtime,
tensors, golden outputs. Of those that the scout did not survive, and of some others, the whole way is gone too, with the real
child. Needs Linux, writes nothing but its temporary folder.
"""

import argparse
import os
import pickle
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

MOST_MB, MOST_S = 400, 30.0
TINY = Path(__file__).parent.parent / "data" / "tiny.tflite"  # nearly all structure, so most of its damage tells
WHOLE_WAY = 40  # so many of the mutants that the scout survives go the whole way too
HEAD, TAIL = 2_000, 16_000  # bytes where the structure lies; the rest are weights
KINDS = ("bits", "word", "cut", "splice", "zeros")
WORDS = (0, 1, 255, 65_535, 2**31 - 1, 2**32 - 1)  # of 4 bytes, as offsets, lengths and indices are


def mutant(model: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """A damaged copy and the kind of its damage."""
    data, kind = bytearray(model), str(rng.choice(KINDS, p=(0.4, 0.3, 0.05, 0.1, 0.15)))

    def place() -> int:
        where = rng.random()
        if where < 0.35:
            return int(rng.integers(min(HEAD, len(data))))
        if where < 0.85:
            return int(rng.integers(max(0, len(data) - TAIL), len(data)))
        return int(rng.integers(len(data)))

    match kind:
        case "bits":
            for _ in range(int(rng.integers(1, 9))):
                data[place()] ^= 1 << int(rng.integers(8))
        case "word":
            at = place() & ~3
            data[at : at + 4] = struct.pack("<I", int(rng.choice(WORDS)))[: len(data[at : at + 4])]
        case "cut":
            del data[place() :]
        case "splice":
            at, source, n = place(), place(), int(rng.integers(1, 200))
            data[at : at + n] = data[source : source + n]
        case "zeros":
            at, n = place(), int(rng.integers(1, 65))
            data[at : at + n] = bytes(len(data[at : at + n]))
    return kind, bytes(data)


# --- the processes; a request is a length and a pickled (bundle's name, model), an answer likewise (text, MB)


def serve(attempt: Any) -> None:
    """Answer requests on stdin until it ends."""
    answers = os.dup(1)
    os.dup2(2, 1)
    while head := sys.stdin.buffer.read(4):
        name, model = pickle.loads(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))  # our own
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        content = pickle.dumps((attempt(name, model), _peak_mb()))
        os.write(answers, struct.pack("<I", len(content)) + content)


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def scout() -> None:
    """Opens as the child of a first opening does, within its bounds."""
    from ai_edge_litert import interpreter

    from leukolite.first_opening import MEMORY_BYTES, MEMORY_FACTOR
    from leukolite.model_child import open_model

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def attempt(_: str, model: bytes) -> str:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES + MEMORY_FACTOR * len(model), resource.RLIM_INFINITY))
        try:
            open_model(interpreter, model, threads=1)
        except Exception as error:  # noqa: BLE001  # as `model_child` answers
            return f"refused: {type(error).__name__}: {error}"
        return "opened"

    serve(attempt)


def guest(*, whole_way: bool) -> None:
    """Opens as a command does; the scout's work stands for the child's, unless the whole way is gone."""
    from leukolite import first_opening
    from leukolite.bundle import Bundle
    from leukolite.classifier import open_classifier
    from leukolite.errors import LeukoliteError
    from leukolite.runtime import TfliteRuntime
    from leukolite.shipped import find_bundle, shipped_bundles

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not whole_way:
        first_opening._ask = lambda *_: None
    loaded = {name: Bundle.load(find_bundle(Path(name))) for name in shipped_bundles()}
    pictures = np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32, 3)).astype(np.uint8)
    sound = TfliteRuntime(TINY.read_bytes())
    answers = [sound.invoke(picture) for picture in pictures]

    def attempt(name: str, model: bytes) -> str:
        try:
            if name != TINY.name:
                open_classifier(replace(loaded[name], model=model))
                return "equal"
            runtime = TfliteRuntime(model)
            if (runtime.input.shape, runtime.output.shape) != (sound.input.shape, sound.output.shape):
                return "refused: other tensors"
            if any(np.abs(runtime.invoke(x) - y).max() > 0.01 for x, y in zip(pictures, answers, strict=True)):
                return "contradicted"
        except LeukoliteError as error:
            text = str(error)
            if "\n" in text:
                return f"more than a line: {text!r}"
            return "contradicted" if "golden.npz output" in text else f"refused: {text}"
        except Exception as error:  # noqa: BLE001  # it is what is looked for
            return f"traceback: {type(error).__name__}: {error}"
        return "equal"

    serve(attempt)


@dataclass
class Worker:
    """A process that answers, and is started again when it has died."""

    role: str
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    def ask(self, name: str, model: bytes) -> tuple[str, float, float]:
        """Its answer, the memory it took (MB) and the time (s)."""
        if self.process is None:
            command = [sys.executable, __file__, "--role", self.role]
            streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self.process = subprocess.Popen(command, env=self.environment, **streams)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        content = pickle.dumps((name, model))
        began = time.monotonic()
        try:
            self.process.stdin.write(struct.pack("<I", len(content)) + content)
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], 60)[0]:
                return self._end("hangs"), 0, time.monotonic() - began
            head = self.process.stdout.read(4)
        except BrokenPipeError:
            head = b""
        if len(head) < 4:
            return self._end("died"), 0, time.monotonic() - began
        answer, peak_mb = pickle.loads(self.process.stdout.read(struct.unpack("<I", head)[0]))  # our own
        return answer, peak_mb, time.monotonic() - began

    def _end(self, what: str) -> str:
        assert self.process is not None
        if what == "hangs":
            self.process.kill()
        self.process.wait()
        code, self.process = self.process.returncode, None
        return f"{what}: {signal.Signals(-code).name if code < 0 else code}"

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()


@dataclass
class Counts:
    """What came of the mutants."""

    outcomes: Counter[str] = field(default_factory=Counter)
    scout_deaths: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    most_mb: float = 0.0
    most_s: float = 0.0
    whole_way: int = 0


def attack(n: int, seed: int, keep: Path | None) -> Counts:
    from leukolite.bundle import MODEL
    from leukolite.shipped import find_bundle, shipped_bundles

    names = shipped_bundles()
    models = {name: (find_bundle(Path(name)) / MODEL).read_bytes() for name in names}
    small = [TINY.name, min(names, key=lambda name: len(models[name]))]
    models[TINY.name] = TINY.read_bytes()
    counts = Counts()
    with tempfile.TemporaryDirectory(prefix="attack-models-") as place:
        environment = os.environ | {"XDG_CACHE_HOME": place}
        roles = {role: Worker(role, environment) for role in ("scout", "guest", "whole-way")}
        for i in range(n):
            rng = np.random.default_rng([seed, i])
            name = str(rng.choice(small if rng.random() < 0.8 else names))
            kind, model = mutant(models[name], rng)
            survived, mb, _ = roles["scout"].ask(name, model)
            is_dead = survived.startswith(("died", "hangs"))
            if is_dead:
                counts.scout_deaths[survived] += 1
            ways = [] if is_dead else ["guest"] if survived == "opened" else []
            if is_dead or i % max(1, n // WHOLE_WAY) == 0:
                ways.append("whole-way")
                counts.whole_way += 1
            outcome = "refused in one line"
            for role in ways:
                answer, mb, seconds = roles[role].ask(name, model)
                counts.most_mb, counts.most_s = max(counts.most_mb, mb), max(counts.most_s, seconds)
                outcome = {"contradicted": "opened, golden outputs contradicted", "equal": "opened, golden outputs equal"}.get(
                    answer, "refused in one line"
                )
                is_wrong = not answer.startswith(("refused", "contradicted", "equal"))
                if is_wrong or mb > MOST_MB or seconds > MOST_S:
                    outcome = "WRONG"
                    counts.wrong.append(f"{i} ({kind} of {name}), {role}: {answer}, {mb:.0f} MB, {seconds:.1f} s")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{seed}-{i}.tflite").write_bytes(model)
            counts.outcomes[outcome] += 1
        for worker in roles.values():
            worker.close()
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500, help="mutants  [default: 500]")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations  [default: 0]")
    parser.add_argument("--keep", type=Path, help="folder for the mutants that did what none may")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    match asked.role:
        case "scout":
            scout()
            return 0
        case "guest" | "whole-way":
            guest(whole_way=asked.role == "whole-way")
            return 0
    began = time.monotonic()
    counts = attack(asked.n, asked.seed, asked.keep)
    lines = [f"{asked.n} mutants, seed {asked.seed}, {time.monotonic() - began:.0f} s"]
    lines += [f"{n:>7}  {outcome}" for outcome, n in counts.outcomes.most_common()]
    lines += [
        f"{sum(counts.scout_deaths.values()):>7}  would have ended an unprotected process: {dict(counts.scout_deaths)}",
        f"{counts.whole_way:>7}  went the whole way, with the real child",
        f"{len(counts.wrong):>7}  crashed or hung the process that opened them, or took over {MOST_MB} MB or {MOST_S:g} s",
        f"most memory {counts.most_mb:.0f} MB, longest {counts.most_s:.1f} s",
        *counts.wrong,
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if counts.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
