"""One frame, from pixels to verdicts: treatment, quality gate, regions, classifier. What the loop and the Python API share."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.classifier import Classifier
from leukolite.clock import Clock
from leukolite.edge.camera.source import Frame
from leukolite.edge.events import RegionResult
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.field.quality import no_white_cell
from leukolite.edge.field.view import FrameInspection, QualityGate, Region, Treatment, whole_box
from leukolite.noise import NoisePlace, add_gaussian_noise, effective_sigma, noise_rng


@dataclass(frozen=True, slots=True)
class FrameProcessing:
    """What is done to each frame before it is classified.

    Attributes:
        treatment_of: how a frame is treated, decided on the frame as it came.
        motion: a gate that knows the frames before; asked of what the treatment's gate lets pass.
        sigmas: standard deviations of the noise added, grey levels; (0,) for the frames as they are.
        seed: of the noise.
        noise_at: 'capture' adds the noise to the frame, which is then searched for cells; 'input' to the network's picture of
            each region that was found, and let pass, without noise. The gate of a frame sees it without noise either way.
        on_new_slide: called before a new slide's first frame.
    """

    treatment_of: Callable[[np.ndarray], Treatment]
    motion: QualityGate | None = None
    sigmas: Sequence[float] = (0.0,)
    seed: int = 0
    noise_at: NoisePlace = "capture"
    on_new_slide: Callable[[], None] = lambda: None


def whole_and_ungated(classifier: Classifier) -> FrameProcessing:
    """Every frame is classified whole, whatever it shows."""
    treatment = Treatment(classifier.shrink)
    return FrameProcessing(lambda pixels: treatment)


@dataclass(frozen=True, slots=True)
class Classified:
    """What became of one frame; see `FrameResult`, which has the same fields."""

    regions: tuple[RegionResult, ...]
    excluded: Exclusion | None
    locate_ms: float


def classify_frame(
    frame: Frame, classifier: Classifier, processing: FrameProcessing, clock: Clock = time.perf_counter_ns
) -> Classified:
    """Classify a frame at every noise level.

    Raises:
        RuntimeStuck: as the classifier's runtime does.
    """
    started = clock()
    treatment = processing.treatment_of(frame.pixels)  # it may look for a cell in the picture's centre
    inspection = treatment.inspect(frame.pixels, clock)
    excluded = inspection.excluded
    if excluded is None and processing.motion is not None:
        excluded = processing.motion(frame.pixels)
    before_ms = (clock() - started) / 1e6 - inspection.shrink_ms
    locate_ms, regions, clean = before_ms, list[RegionResult](), None
    for sigma in processing.sigmas if excluded is None else ():
        if sigma and processing.noise_at == "capture":
            pixels = add_gaussian_noise(frame.pixels, sigma, noise_rng(processing.seed, frame.index, sigma))
            found = _find(pixels, treatment, clock)
            locate_ms += found.locate_ms
        else:
            if clean is None:
                clean = _find(frame.pixels, treatment, clock, inspection)
                locate_ms += clean.locate_ms
            found = clean
        regions += _classify_at(frame, sigma, found, classifier, processing, before_ms)
    if excluded is None and not regions:
        excluded = no_white_cell(frame.pixels)
    return Classified(tuple(regions), excluded, round(locate_ms, 4))


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be classified of a frame, and what finding or shrinking it took, milliseconds."""

    regions: Sequence[Region]
    locate_ms: float
    shrink_ms: float


def _find(pixels: np.ndarray, treatment: Treatment, clock: Clock, inspection: FrameInspection | None = None) -> _Found:
    """The regions of a frame.

    Args:
        inspection: of these very pixels, which may have shrunk them.
    """
    started = clock()
    if treatment.locator is not None:
        return _Found(treatment.locator(pixels), (clock() - started) / 1e6, 0.0)
    if inspection is not None and inspection.square is not None:
        square, shrink_ms = inspection.square, inspection.shrink_ms
    else:
        square = treatment.shrink(pixels)
        shrink_ms = (clock() - started) / 1e6
    return _Found((Region(whole_box(pixels), square, cut=treatment.shrink),), 0.0, shrink_ms)


def _classify_at(
    frame: Frame, sigma: float, found: _Found, classifier: Classifier, processing: FrameProcessing, before_ms: float
) -> Iterator[RegionResult]:
    """One noise level's regions with their verdicts.

    Args:
        before_ms: what was spent on gates before any noise level.
    """
    for k, region in enumerate(found.regions):
        verdict, reached, square = None, None, region.square
        if region.excluded is None and square is not None:
            if not sigma:
                reached = 0.0
            elif processing.noise_at == "input":
                clean, rng = square, noise_rng(processing.seed, frame.index, sigma, k)
                square = add_gaussian_noise(clean, sigma, rng)
                reached = effective_sigma(square, clean)
            elif region.cut is not None:
                reached = effective_sigma(square, region.cut(frame.pixels))
            verdict = classifier.classify(
                square, capture_ms=frame.capture_ms, locate_ms=before_ms + found.locate_ms, preprocess_ms=found.shrink_ms
            )
        yield RegionResult(region.box, sigma, verdict, region.excluded, reached)
