"""One image in, one verdict out: preprocess, invoke, calibrate, decide, with the time each took.

`open_judge` is the only way to a verdict: it proves the bundle's tensors and golden outputs on the runtime at hand first.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.bundle import GOLDEN, Bundle
from leukolite.decision import UNCALIBRATED, Decision, calibrate, decide
from leukolite.errors import BundleError
from leukolite.preprocess import InputSpec, input_table, to_input
from leukolite.runtime import Runtime, TfliteRuntime

Clock = Callable[[], int]  # nanoseconds, monotonic


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds. `total` is capture to verdict; simulated noise is not part of it."""

    capture: float
    preprocess: float
    invoke: float
    total: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model says of one image.

    Attributes:
        index: of the label in the manifest; None where the model abstains.
        label: the label, or 'abstain'.
        probability: calibrated, of the label, or of the top class where the model abstains.
        probabilities: calibrated, float, shape (classes,).
    """

    index: int | None
    label: str
    probability: float
    probabilities: np.ndarray
    latency: Latency


class Classifier:
    """A model ready to judge. For a bundle make one with `open_judge`, which proves it first.

    Args:
        runtime: gives the probabilities.
        labels: in the order of the runtime's outputs.
        malignant: those of the labels that mean leukaemia.
        spec: what the network expects of an image.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        labels: Sequence[str],
        malignant: Sequence[str],
        spec: InputSpec,
        decision: Decision = UNCALIBRATED,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self.runtime, self.labels, self.malignant, self.spec, self.decision = runtime, labels, malignant, spec, decision
        tensor = runtime.input.format
        self.table = input_table(spec, tensor.dtype, tensor.scale, tensor.zero_point)
        self._malignant_indices = [list(labels).index(label) for label in malignant]
        self._clock = clock

    def __call__(self, pixels: np.ndarray, *, capture_ms: float = 0.0) -> Verdict:
        """Judge one image.

        Args:
            pixels: uint8 RGB, shape (height, width, 3), any size; converted and cropped as the manifest says.
            capture_ms: how long the image took to capture; it goes into the verdict's latency.

        Raises:
            ValueError: `pixels` is not uint8 RGB.
        """
        started = self._clock()
        batch = to_input(pixels, self.spec, self.table)
        prepared = self._clock()
        raw = self.runtime.invoke(batch)
        invoked = self._clock()
        probabilities = calibrate(raw, self.decision.temperature)
        index = decide(probabilities, self.decision, self._malignant_indices)
        ended = self._clock()
        latency = Latency(
            capture=capture_ms,
            preprocess=(prepared - started) / 1e6,
            invoke=(invoked - prepared) / 1e6,
            total=capture_ms + (ended - started) / 1e6,
        )
        shown = int(probabilities.argmax()) if index is None else index
        label = "abstain" if index is None else self.labels[index]
        return Verdict(index, label, float(probabilities[shown]), probabilities, latency)


def open_classifier(
    bundle: Bundle,
    *,
    runtime: str = "litert",
    threads: int = 1,
    allow_cpu: bool = False,
    guard: Callable[[Runtime], Runtime] = lambda runtime: runtime,
    clock: Clock = time.perf_counter_ns,
) -> Classifier:
    """Make a bundle ready to judge, after proving its tensors and golden outputs on this machine.

    Args:
        runtime: a key of `leukolite.runtime.RUNTIMES`.
        threads: CPU threads of the runtime.
        allow_cpu: see `TfliteRuntime`.
        guard: what is put around the runtime, before its golden outputs are asked for, such as a watchdog.

    Raises:
        RuntimeUnavailable: the runtime is not installed, or the accelerator not there or not used.
        BundleError: names the tensor or golden output, what was expected and what was found.
    """
    try:
        interpreter = guard(TfliteRuntime(bundle.model_for(runtime), threads=threads, name=runtime, allow_cpu=allow_cpu))
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error}") from error
    check_tensors(bundle, interpreter)
    manifest = bundle.manifest
    classifier = Classifier(
        interpreter,
        labels=manifest.labels,
        malignant=manifest.malignant,
        spec=manifest.input,
        decision=manifest.decision,
        clock=clock,
    )
    check_golden(bundle, classifier)
    return classifier


def check_tensors(bundle: Bundle, runtime: Runtime) -> None:
    """Raises: BundleError, where the model's tensors are not those of the manifest."""
    manifest = bundle.manifest
    expected = {
        "input shape": ((1, manifest.input.height, manifest.input.width, 3), runtime.input.shape),
        "output shape": ((1, len(manifest.labels)), runtime.output.shape),
    }
    for name, (wanted, found) in expected.items():
        if wanted != found:
            hint = f" ({len(manifest.labels)} labels)" if name == "output shape" else ""
            raise BundleError(f"{bundle.path}: model.tflite {name}: expected {wanted}{hint}, found {found}")
    for name, wanted_format, found_format in (
        ("input_tensor", manifest.input_tensor, runtime.input.format),
        ("output_tensor", manifest.output_tensor, runtime.output.format),
    ):
        same = wanted_format.dtype == found_format.dtype and wanted_format.zero_point == found_format.zero_point
        if not same or not np.isclose(wanted_format.scale, found_format.scale, rtol=1e-5):
            raise BundleError(f"{bundle.path}: manifest.json {name}: expected {wanted_format}, found {found_format} in the model")


def check_golden(bundle: Bundle, classifier: Classifier) -> None:
    """Raises: BundleError, where preprocessing or the runtime gives another answer than the reference did."""
    runtime, golden = classifier.runtime, bundle.golden
    tolerance = bundle.manifest.golden.tolerance.get(runtime.name)
    if tolerance is None:
        known = ", ".join(sorted(bundle.manifest.golden.tolerance))
        raise BundleError(f"{bundle.path}: manifest.json golden.tolerance has no entry for {runtime.name} (it has {known})")
    # one grey level: OpenCV's rounding of a resized pixel may differ by one between processors
    level = 1.0 if classifier.table is None else float(np.abs(np.diff(classifier.table.astype(np.float64))).max())
    for i, frame in enumerate(golden.frames):
        batch = to_input(frame, classifier.spec, classifier.table)
        drift = np.abs(batch[0].astype(np.float64) - golden.inputs[i].astype(np.float64)).max()
        if drift > 1.001 * level:
            raise BundleError(
                f"{bundle.path}: {GOLDEN} input {i}: preprocessing differs from the reference by up to {drift / level:g} steps;"
                " do not use this installation (is OpenCV intact?)"
            )
        output = runtime.invoke(golden.inputs[i : i + 1])
        gap = float(np.abs(output - golden.outputs[i]).max())
        if not gap <= tolerance:
            raise BundleError(
                f"{bundle.path}: {GOLDEN} output {i} on {runtime.name} {runtime.version}: expected"
                f" {np.round(golden.outputs[i], 3).tolist()}, found {np.round(output, 3).tolist()}"
                f" (difference {gap:.3f}, at most {tolerance:g}); do not use this runtime"
            )
