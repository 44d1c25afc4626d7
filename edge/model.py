"""The Python door: a bundle as a callable that gives what `edge-run` gives, quality gates and cell finding included."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import Classifier, Verdict, open_classifier
from leukolite.edge.camera.source import Frame
from leukolite.edge.classify import FrameProcessing, classify_frame
from leukolite.edge.events import RegionResult
from leukolite.edge.field.exclusion import Exclusion
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.edge.field.one_cell import CELLS, Cells
from leukolite.edge.field.treatment import treatments
from leukolite.images import read_rgb
from leukolite.runtime import RuntimeInfo, RuntimeOptions
from leukolite.shipped import find_bundle, given_path

LEAST_DIAMETER, MOST_DIAMETER = 4, 4096  # pixels of a white cell


@dataclass(frozen=True)
class Result:
    """What a model says of one picture.

    Attributes:
        regions: a verdict or an exclusion for each region, with its box in the picture: the whole picture, or each white cell
            of a field; empty where the picture was excluded.
        excluded: why the whole picture was not classified; None if it was.
    """

    regions: tuple[RegionResult, ...]
    excluded: Exclusion | None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of the regions that have one."""
        return tuple(region.verdict for region in self.regions if region.verdict is not None)

    @property
    def label(self) -> str | None:
        """The picture's label where it is one region with a verdict ('abstain' is one); else None: look at `regions`."""
        return self.verdicts[0].label if len(self.regions) == len(self.verdicts) == 1 else None

    @property
    def probability(self) -> float | None:
        """Calibrated probability of `label`, 0..1; None where there is none."""
        return self.verdicts[0].probability if self.label is not None else None

    def __iter__(self) -> Iterator[RegionResult]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)


class Model:
    """A bundle ready to classify pictures. Make one with `load`.

    Attributes:
        bundle: what was loaded; `bundle.manifest` says all that is known of it.
        classifier: the bare network, without quality gates or cell finding.
    """

    def __init__(self, bundle: Bundle, classifier: Classifier, processing: FrameProcessing) -> None:
        self.bundle, self.classifier, self._processing = bundle, classifier, processing

    @property
    def classes(self) -> Classes:
        """The labels in the order of the probabilities, and which of them are malignant."""
        return self.classifier.classes

    @property
    def runtime(self) -> RuntimeInfo:
        """What computes."""
        return self.classifier.runtime.info

    def __call__(self, picture: np.ndarray | str | PathLike[str]) -> Result:
        """Classify a picture.

        Args:
            picture: uint8 R,G,B, shape (height, width, 3), or an image file's path.

        Raises:
            ImageError: the file cannot be read.
            ValueError: the array is not uint8 of shape (height, width, 3).
        """
        started = time.perf_counter_ns()
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
                raise ValueError(f"expected uint8 R,G,B of shape (height, width, 3), found {picture.dtype} of {picture.shape}")
            pixels, name = picture, "array"
        else:
            pixels, name = read_rgb(Path(picture)), str(picture)
        ended = time.perf_counter_ns()
        frame = Frame(pixels, 0, ended, (ended - started) / 1e6, name, None)
        found = classify_frame(frame, self.classifier, self._processing)
        return Result(found.regions, found.excluded)

    def __repr__(self) -> str:
        return f"<leukolite model {self.bundle.manifest.name}: {', '.join(self.classes.labels)}; {self.runtime}>"


def load(
    bundle: str | PathLike[str],
    *,
    runtime: str = "litert",
    threads: int = 1,
    allow_cpu: bool = False,
    cells: Cells = "auto",
    cell_diameter: float | None = None,
    channel: Channel = "a-b",
    ungated: bool = False,
) -> Model:
    """Load a bundle and check it on this machine.

    Args:
        bundle: a shipped bundle's name, or the path of a bundle's folder or zip file.
        runtime, threads, allow_cpu: see `RuntimeOptions`.
        cells: what a picture shows to a model that classifies cells: 'one' cell, 'many', or 'auto': one where it looks like it.
        cell_diameter: of a typical white cell, 4 to 4096 pixels; None measures each field by its red cells.
        channel: the colour axis on which cells are looked for, 'a-b' or 'a'.
        ungated: classify also what the quality gates would exclude.

    Raises:
        BundleError: the bundle is missing, damaged, or gives other outputs here than its golden ones.
        RuntimeUnavailable: the runtime is not known or not installed.
        ValueError: `cells` or `channel` is none of its values, or `cell_diameter` is out of range.
    """
    for name, value, known in (("cells", cells, CELLS), ("channel", channel, CHANNELS)):
        if value not in known:
            raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, found {value!r}")
    if cell_diameter is not None and not LEAST_DIAMETER <= cell_diameter <= MOST_DIAMETER:
        raise ValueError(f"cell_diameter: expected {LEAST_DIAMETER} to {MOST_DIAMETER} pixels, found {cell_diameter}")
    loaded = Bundle.load(find_bundle(given_path(bundle)))
    classifier = open_classifier(loaded, RuntimeOptions(name=runtime, threads=threads, allow_cpu=allow_cpu))
    treatment_of = treatments(
        loaded.manifest, cells=cells, are_pictures=True, channel=channel, cell_diameter=cell_diameter, ungated=ungated
    )
    return Model(loaded, classifier, FrameProcessing(treatment_of))
