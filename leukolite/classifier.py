"""One image in, one verdict out: preprocess, invoke, calibrate, decide, with the time each took.

`open_classifier` checks the bundle's tensors and golden outputs on the runtime at hand first.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leukolite.bundle import GOLDEN, Bundle
from leukolite.classes import Classes
from leukolite.clock import Clock
from leukolite.decision import ABSTAIN, UNCALIBRATED, Decision, calibrate, decide
from leukolite.errors import BundleError
from leukolite.preprocess import InputSpec, crop_and_resize, input_table, to_batch, to_input
from leukolite.runtime import Runtime, RuntimeOptions, TfliteRuntime

STAGES = ("capture", "locate", "preprocess", "invoke", "total")  # of a `Latency`; the others add up to the last


@dataclass(frozen=True, slots=True)
class Latency:
    """From source to verdict in milliseconds, to four digits; simulated noise is not part of it.

    Attributes:
        capture: rendering, reading or decoding the picture.
        locate: quality gates, and finding and cutting out the cells of a field.
        preprocess: crop, resize and conversion for the network.
        invoke: the network, and the decision on its answer.
    """

    capture: float
    locate: float
    preprocess: float
    invoke: float

    @classmethod
    def of(cls, capture: float, locate: float, preprocess: float, invoke: float) -> "Latency":
        """From milliseconds of any precision."""
        return cls(round(capture, 4), round(locate, 4), round(preprocess, 4), round(invoke, 4))

    @property
    def total(self) -> float:
        """The stages' sum."""
        return round(self.capture + self.locate + self.preprocess + self.invoke, 4)


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
    """A model ready to classify, without quality gates or locator. For a bundle make one with `open_classifier`, which checks it.

    Args:
        runtime: gives the probabilities.
        classes: in the order of the runtime's outputs.
        spec: what the network expects of an image.
    """

    def __init__(
        self,
        runtime: Runtime,
        classes: Classes,
        spec: InputSpec,
        *,
        decision: Decision = UNCALIBRATED,
        clock: Clock = time.perf_counter_ns,
    ) -> None:
        self.runtime, self.classes, self.spec, self.decision = runtime, classes, spec, decision
        tensor = runtime.input.format
        self.table = input_table(spec, tensor.dtype, tensor.scale, tensor.zero_point)
        self._malignant_indices = classes.malignant_indices
        self._clock = clock

    def __call__(self, pixels: np.ndarray, *, capture_ms: float = 0.0) -> Verdict:
        """Classify one image.

        Args:
            pixels: uint8 RGB, shape (height, width, 3), any size; cropped, resized and converted as the manifest says.
            capture_ms: how long the image took to capture; it goes into the verdict's latency.

        Raises:
            ValueError: `pixels` is not uint8 RGB.
        """
        square, shrink_ms = self.timed_shrink(pixels)
        return self.classify(square, capture_ms=capture_ms, preprocess_ms=shrink_ms)

    def timed_shrink(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        """What `shrink` makes, and the milliseconds that it took."""
        started = self._clock()
        square = self.shrink(pixels)
        return square, (self._clock() - started) / 1e6

    def shrink(self, pixels: np.ndarray) -> np.ndarray:
        """The network's picture of an image: cropped and resized, uint8 RGB, shape (spec.height, spec.width, 3)."""
        return crop_and_resize(pixels, self.spec)

    def classify(
        self, square: np.ndarray, *, capture_ms: float = 0.0, locate_ms: float = 0.0, preprocess_ms: float = 0.0
    ) -> Verdict:
        """Classify what `shrink` made.

        Args:
            square: uint8 RGB, shape (spec.height, spec.width, 3).
            capture_ms, locate_ms, preprocess_ms: what was spent on it before, for the verdict's latency.
        """
        started = self._clock()
        batch = to_batch(square, self.table)
        prepared = self._clock()
        probabilities = calibrate(self.runtime.invoke(batch), self.decision.temperature)
        index = decide(probabilities, self.decision, self._malignant_indices)
        ended = self._clock()
        latency = Latency.of(capture_ms, locate_ms, preprocess_ms + (prepared - started) / 1e6, (ended - prepared) / 1e6)
        shown = int(probabilities.argmax()) if index is None else index
        label = ABSTAIN if index is None else self.classes.labels[index]
        return Verdict(index, label, float(probabilities[shown]), probabilities, latency)


def open_classifier(
    bundle: Bundle,
    options: RuntimeOptions = RuntimeOptions(),  # noqa: B008  # immutable
    *,
    guard: Callable[[Runtime], Runtime] = lambda runtime: runtime,
    clock: Clock = time.perf_counter_ns,
) -> Classifier:
    """Make a bundle ready to classify, after checking its tensors and golden outputs on this machine.

    Args:
        options: which runtime, and how many threads.
        guard: what is put around the runtime, before its golden outputs are asked for, such as a watchdog.

    Raises:
        RuntimeUnavailable: the runtime is not installed, or the accelerator not there or not used.
        BundleError: names the tensor or golden output, what was expected and what was found.
    """
    try:
        interpreter = guard(TfliteRuntime(bundle.model_for(options.name), options))
    except BundleError as error:
        raise BundleError(f"{bundle.path}: {error}", advice=error.advice) from error
    check_tensors(bundle, interpreter)
    manifest = bundle.manifest
    classifier = Classifier(interpreter, manifest.classes, manifest.input, decision=manifest.decision, clock=clock)
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
    tolerance = bundle.manifest.golden.tolerance.get(runtime.info.name)
    if tolerance is None:
        refused = [one for one in bundle.manifest.runtimes if one.name == runtime.info.name and one.outcome == "refused"]
        if refused:
            raise BundleError(
                f"{bundle.path}: {refused[0].name} did not run the model when the bundle was made ({refused[0].reason});"
                " use another runtime",
                advice="litert" if refused[0].name != "litert" else None,
            )
        known = ", ".join(sorted(bundle.manifest.golden.tolerance))
        raise BundleError(f"{bundle.path}: manifest.json golden.tolerance has no entry for {runtime.info.name} (it has {known})")
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
                f"{bundle.path}: {GOLDEN} output {i} on {runtime.info.name} {runtime.info.version}: expected"
                f" {np.round(golden.outputs[i], 3).tolist()}, found {np.round(output, 3).tolist()}"
                f" (difference {gap:.3f}, at most {tolerance:g}); do not use this runtime"
            )
