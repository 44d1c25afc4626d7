"""Parity: which runtimes run a model, and how near to the float model; tried in a process of each, never read from a table."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukolite.convert import parity_child
from leukolite.convert.child import ChildDied, ChildFailed, run_child
from leukolite.convert.images import Images
from leukolite.errors import ConversionError
from leukolite.manifest import RuntimeCheck
from leukolite.preprocess import InputSpec, input_table
from leukolite.progress import OnProgress, no_progress
from leukolite.runtime import CPU_RUNTIMES, RUNTIMES, TfliteRuntime

MODEL, PIXELS, TABLE, OUTPUTS = "model.tflite", "pixels.npy", "table.npy", "outputs.npy"  # as parity_child knows them
KNOWN_MODEL = Path(__file__).parent / "red_or_blue.tflite"  # made by tests/data/make_tiny_model.py
KNOWN_OUTPUTS = np.array([[1.0, 0.0], [0.0, 1.0]])  # of `known_pictures`
KNOWN_LIMIT_S = 120  # seconds for it; a first import from a busy disk takes up to half a minute
KNOWN_TOLERANCE = 0.1  # of an int8 softmax that is certain


@dataclass(frozen=True)
class Answers:
    """What one runtime made of the golden images and of the images at each noise level.

    Attributes:
        refusal: why it does not run the model; empty where it does.
        golden: float32, shape (golden images, classes); None where it does not.
        outputs: float32, shape (sigmas, n, classes).
        invoke_ms: of each image, one thread.
    """

    name: str
    version: str | None
    refusal: str = ""
    golden: np.ndarray | None = None
    outputs: np.ndarray | None = None
    invoke_ms: np.ndarray | None = None

    @property
    def p50_ms(self) -> float | None:
        return None if self.invoke_ms is None else float(np.median(self.invoke_ms))


def find_runtime(python: Path) -> tuple[str, str]:
    """Name and version of the TFLite runtime that an interpreter has, tflite-runtime first, tried on a model known to run.

    What fails on that model is the interpreter's fault, as tflite-runtime beside NumPy 2 is, and says nothing of any other model.

    Raises:
        ConversionError: it cannot be started, has no runtime, or its runtime is broken.
    """
    with tempfile.TemporaryDirectory(prefix="leukolite-parity-") as place:
        folder = Path(place)
        shutil.copy(KNOWN_MODEL, folder / MODEL)
        np.save(folder / PIXELS, known_pictures())
        np.save(folder / TABLE, np.arange(256, dtype=np.uint8))
        try:
            result = _ask(python, folder, sorted(CPU_RUNTIMES, reverse=True), no_progress, KNOWN_LIMIT_S)
        except ChildDied as error:
            raise ConversionError(_broken(python, "TFLite runtime", str(error))) from error
        except ChildFailed as error:
            reason = str(error).removeprefix(f"{python} ")
            raise ConversionError(
                f"{python}: {reason}; expected a Python with NumPy and a TFLite runtime, as `python -m venv old` and"
                " `old/bin/pip install 'tflite-runtime==2.14.0' 'numpy<2'` (Python 3.11) make it"
            ) from error
        name = f"{result['name']} {result['version']}".strip()
        if result["error"] is not None:
            raise ConversionError(_broken(python, name, result["error"], result["numpy"]))
        outputs = np.load(folder / OUTPUTS)
    if not np.abs(outputs - KNOWN_OUTPUTS).max() <= KNOWN_TOLERANCE:
        wrong = f"it answers {np.round(outputs, 2).tolist()}, expected {KNOWN_OUTPUTS.tolist()}"
        raise ConversionError(_broken(python, name, wrong, result["numpy"]))
    return result["name"], result["version"]


def known_pictures() -> np.ndarray:
    """A red and a blue picture, uint8 RGB, shape (2, 32, 32, 3)."""
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[0, ..., 0] = pixels[1, ..., 2] = 255
    return pixels


def _broken(python: Path, runtime: str, reason: str, numpy: str = "") -> str:
    is_numpy = runtime.startswith("tflite-runtime") and numpy.partition(".")[0] not in ("", "1")
    remedy = f"`{python} -m pip install 'numpy<2'`" if is_numpy else "install it again"
    return (
        f"{python}: its {runtime}{f' beside NumPy {numpy}' if numpy else ''} is broken, it fails on a model that every runtime"
        f" runs ({reason}); {remedy}, or leave this interpreter out"
    )


def ask_runtime(content: bytes, images: Images, spec: InputSpec, progress: OnProgress, python: Path | None = None) -> Answers:
    """Run a model on the golden images and on `images` in a process of its own.

    Args:
        python: the interpreter; None: this one, with LiteRT. Of another one the runtime that `find_runtime` finds.

    Raises:
        ConversionError: the interpreter cannot be started, or has no runtime.
    """
    name, version = ("litert", None) if python is None else find_runtime(python)
    tensor = TfliteRuntime(content).input.format
    table = input_table(spec, tensor.dtype, tensor.scale, tensor.zero_point)
    with tempfile.TemporaryDirectory(prefix="leukolite-parity-") as place:
        folder = Path(place)
        (folder / MODEL).write_bytes(content)
        (folder / PIXELS).symlink_to(images.file)
        np.save(folder / TABLE, np.arange(256, dtype=np.uint8) if table is None else table)
        try:
            result = _ask(
                python or Path(sys.executable), folder, [name], lambda _, done, total: progress(f"on {name}", done, total)
            )
        except ChildFailed as error:
            return Answers(name, version, refusal=str(error))
        if result["error"] is not None:
            return Answers(name, result["version"], refusal=result["error"])
        outputs, times = np.load(folder / OUTPUTS), np.load(folder / "invoke_ms.npy")
    return Answers(
        name,
        result["version"],
        golden=outputs[: images.golden],
        outputs=outputs[images.golden :].reshape(len(images.sigmas), len(images.truth), -1),
        invoke_ms=times,
    )


def _ask(python: Path, folder: Path, names: Sequence[str], progress: OnProgress, limit_s: float | None = None) -> Any:
    """What `parity_child` says of the job in `folder`: which runtime it took, and the error of one that fails."""
    (folder / "job.json").write_text(json.dumps({"runtimes": {name: RUNTIMES[name][:2] for name in names}}))
    return run_child([str(python), parity_child.__file__, str(folder)], progress, limit_s=limit_s)


def compare(reference: np.ndarray, outputs: np.ndarray) -> tuple[int, float, float]:
    """Verdict flips (another top class), largest and mean absolute difference of a probability; arrays of one shape."""
    gap = np.abs(outputs.astype(np.float64) - reference)
    flips = int((outputs.argmax(axis=-1) != reference.argmax(axis=-1)).sum())
    return flips, float(gap.max()), float(gap.mean())


def check_parity(
    answers: Answers,
    floats: np.ndarray,
    golden: np.ndarray,
    tolerance: float,
    limits: Callable[[np.ndarray], list[str]] = lambda _: [],
) -> RuntimeCheck:
    """What a runtime's answers show: it runs the model ('proved') if it gives the golden outputs, by the rule that devices
    go by, and stays within the gate.

    Args:
        floats: the float Keras model's probabilities on the same images, shape (sigmas, n, classes).
        golden: the reference's outputs on the golden images.
        tolerance: how far this runtime's may lie from them.
        limits: outputs, shape (sigmas, n, classes), to the gate's limits that they exceed.
    """
    if answers.outputs is None or answers.golden is None:
        return RuntimeCheck(name=answers.name, version=answers.version, outcome="refused", reason=answers.refusal)
    gap = np.abs(answers.golden - golden).max()
    is_near = bool(np.isfinite(answers.outputs).all()) and bool(gap <= tolerance)
    if not is_near:
        reason = f"its golden outputs lie up to {gap:.3g} from the reference's, at most {tolerance:g} is allowed"
        return RuntimeCheck(name=answers.name, version=answers.version, outcome="refused", reason=reason)
    exceeded = limits(answers.outputs)
    if exceeded:
        reason = "it fails the gate there: " + "; ".join(exceeded)
        return RuntimeCheck(name=answers.name, version=answers.version, outcome="refused", reason=reason)
    flips, most, mean = compare(floats, answers.outputs)
    return RuntimeCheck(
        name=answers.name,
        version=answers.version,
        outcome="proved",
        n=int(np.prod(floats.shape[:2])),
        flips=flips,
        max_difference=most,
        mean_difference=mean,
    )


def check_runtimes(
    asked: Sequence[Answers],
    floats: np.ndarray,
    golden: np.ndarray,
    tolerances: dict[str, float],
    limits: Callable[[np.ndarray], list[str]],
) -> list[RuntimeCheck]:
    """The record of each runtime asked, and an 'untried' one of each that was not at hand; see `check_parity`."""
    checked = [
        # the reference, the first, decides whether there is a bundle at all
        check_parity(answers, floats, golden, tolerances[answers.name], limits if k else lambda _: [])
        for k, answers in enumerate(asked)
    ]
    known = {one.name for one in checked}
    return checked + [
        RuntimeCheck(name=name, version=None, outcome="untried", reason="not at hand when the bundle was made")
        for name in CPU_RUNTIMES
        if name not in known
    ]
