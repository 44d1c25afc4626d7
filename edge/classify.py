"""One frame, from pixels to verdicts: treatment, quality gate, regions, classifier. What the loop and the Python API share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leukolite.classifier import Classifier
from leukolite.clock import Clock
from leukolite.edge.camera.source import Frame
from leukolite.edge.events import RegionResult
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.field.quality import no_white_cell
from leukolite.edge.field.view import FrameInspection, QualityGate, Region, Treatment, whole_box
from leukolite.noise import add_gaussian_noise, noise_rng


@dataclass(frozen=True, slots=True)
class FrameProcessing:
    """What is done to each frame before it is classified.

    Attributes:
        treatment_of: how a frame is treated, decided on the frame as it came.
        motion: a gate that knows the frames before; asked of what the treatment's gate lets pass.
        sigmas: standard deviations of the noise added, grey levels; (0,) for the frames as they are.
        seed: of the noise.
        on_new_slide: called before a new slide's first frame.
    """

    treatment_of: Callable[[np.ndarray], Treatment]
    motion: QualityGate | None = None
    sigmas: Sequence[float] = (0.0,)
    seed: int = 0
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
    locate_ms, regions = before_ms, list[RegionResult]()
    for sigma in processing.sigmas if excluded is None else ():
        locate_ms += _classify_at(frame, sigma, classifier, processing, treatment, inspection, before_ms, clock, regions)
    if excluded is None and not regions:
        excluded = no_white_cell(frame.pixels)
    return Classified(tuple(regions), excluded, round(locate_ms, 4))


def _classify_at(
    frame: Frame,
    sigma: float,
    classifier: Classifier,
    processing: FrameProcessing,
    treatment: Treatment,
    inspection: FrameInspection,
    before_ms: float,
    clock: Clock,
    results: list[RegionResult],
) -> float:
    """Add one noise level's regions and their verdicts.

    Args:
        before_ms: what was spent on gates before any noise level.

    Returns:
        What finding the regions took at this level, milliseconds.
    """
    pixels = frame.pixels
    if sigma:
        pixels = add_gaussian_noise(pixels, sigma, noise_rng(processing.seed, frame.index, sigma))
    started = clock()
    if treatment.locator is not None:
        regions, shrink_ms = treatment.locator(pixels), 0.0
        found_ms = (clock() - started) / 1e6
    else:
        square = inspection.square if not sigma or inspection.square is None else treatment.shrink(pixels)
        shrink_ms, found_ms = (clock() - started) / 1e6 if sigma else inspection.shrink_ms, 0.0
        regions = (Region(whole_box(pixels), square),)
    for region in regions:
        verdict = None
        if region.excluded is None and region.square is not None:
            verdict = classifier.classify(
                region.square, capture_ms=frame.capture_ms, locate_ms=before_ms + found_ms, preprocess_ms=shrink_ms
            )
        results.append(RegionResult(region.box, sigma, verdict, region.excluded))
    return found_ms
