"""The synthetic microscope camera: stained smears rendered from a seed, with their truth."""

import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from leukolite import synthetic
from leukolite.clock import Clock
from leukolite.edge.camera.source import CameraOptions, Items, timed_frame
from leukolite.manifest import Unit

CELL_SIDE, FIELD_SIZE = 256, (640, 480)  # pixels; width and height


class SyntheticCamera:
    """Renders stained smears with known truth, without end.

    Args:
        unit: 'cell' shows one white cell in the centre of each frame; 'field' several cells, all blasts or all healthy.
        labels: the model's; the truth is told only if the camera's classes are among them, since a lymphocyte of the
            camera's is not what another model calls by a like name.
        seed: the same seed gives the same frames.
        rate: frames per second, as a real camera whose frames come whether somebody looks or not; None renders each frame when
            it is asked for, so that none is skipped.
    """

    def __init__(
        self,
        unit: Unit,
        labels: Sequence[str],
        seed: int,
        rate: float | None = None,
        *,
        clock: Clock = time.perf_counter_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = "synthetic"
        self.live = rate is not None
        self._rate, self._sleep = rate, sleep
        self.truths: tuple[str, ...] = synthetic.LABELS if set(synthetic.LABELS) <= set(labels) else ()
        self._unit, self._seed, self._clock, self._next = unit, seed, clock, 0

    def frames(self) -> Items:
        """A live camera counts on where it is opened again; one on demand begins with its first frame."""
        first_index = index = self._next if self.live else 0
        opened = self._clock() if self.live else 0
        while True:
            if self._rate is not None:
                wait_s = (index - first_index) / self._rate - (self._clock() - opened) / 1e9
                if wait_s > 0:
                    self._sleep(wait_s)
            started = self._clock()
            rng = np.random.default_rng([self._seed, index])
            label = str(rng.choice(synthetic.LABELS))
            pixels = self._render(rng, label)
            frame = timed_frame(pixels, index, started, self._clock(), self.name, label if self.truths else None)
            index = self._next = index + 1
            yield frame

    def _render(self, rng: np.random.Generator, label: str) -> np.ndarray:
        if self._unit == "cell":
            return synthetic.render_cell(rng, label, size=CELL_SIDE)
        width, height = FIELD_SIZE
        blasts = 0.0 if label == "healthy" else 1.0
        return synthetic.render_field(rng, width=width, height=height, blast_fraction=blasts).pixels


def open_synthetic(name: str, options: CameraOptions) -> SyntheticCamera | None:
    """The camera named 'synthetic' or 'synthetic:FPS'; None for another name."""
    rate = name.partition(":")[2]
    if rate and not _is_rate(rate):
        return None
    return SyntheticCamera(options.unit, options.labels, options.seed, float(rate) if rate else None)


def _is_rate(text: str) -> bool:
    return re.fullmatch(r"\d{1,4}(\.\d+)?", text) is not None and float(text) > 0
