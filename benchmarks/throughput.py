"""Do decoding and augmentation keep the machine fed? `fit` on augmented batches against `fit` on one ready batch, in turns."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leukolite.preprocess import InputSpec
from leukolite.synthetic import LABELS, render_cell
from leukolite.train.batches import EpochItem, to_float, training_batches
from leukolite.train.models import build
from leukolite.train.recipes import Recipe

DISTINCT_IMAGES = 64
SCHEMA = {"name": "throughput", "version": 2}  # 2: images_per_round; 1: first


@dataclass(frozen=True)
class Throughput:
    """Images per second of each round."""

    recipe: str
    backend: str
    images_per_round: int
    augmented: tuple[float, ...]
    ready: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over the rounds of augmented / ready; 1.0 would mean that the data cost nothing."""
        return float(np.median(np.array(self.augmented) / np.array(self.ready)))

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self), "ratio": self.ratio}


def measure_throughput(
    name: str, recipe: Recipe, *, rounds: int, steps: int, on_round: Callable[[], None] = lambda: None
) -> Throughput:
    """Time a recipe's training on synthetic cells of its input size.

    Args:
        steps: batches per round.
        on_round: called after each round, for a progress bar.
    """
    import keras

    spec = InputSpec(height=recipe.side, width=recipe.side, kernel="halve-linear")
    pixels = np.stack([render_cell(np.random.default_rng(i), LABELS[i % 2], size=recipe.side) for i in range(DISTINCT_IMAGES)])
    onehot = np.eye(2, dtype=np.float32)[np.arange(DISTINCT_IMAGES) % 2]
    model = build(recipe.model, 2, recipe.side, dropout=recipe.dropout, seed=0)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss="categorical_crossentropy")
    shown = [EpochItem(i % DISTINCT_IMAGES) for i in range(steps * recipe.batch_size)]
    batch_indices = [i % DISTINCT_IMAGES for i in range(recipe.batch_size)]
    batch = to_float(pixels[batch_indices], spec), onehot[batch_indices]

    class Ready(keras.utils.PyDataset):
        def __len__(self) -> int:
            return steps

        def __getitem__(self, i: int) -> Any:
            return batch

    def images_a_second(batches: Any) -> float:
        started = time.perf_counter()
        model.fit(batches, epochs=1, shuffle=False, verbose=0)
        return steps * recipe.batch_size / (time.perf_counter() - started)

    augmented_batches = training_batches(pixels, onehot, shown, spec, recipe.augmentation, batch_size=recipe.batch_size, seed=0)
    ready_batches = Ready()
    images_a_second(ready_batches)  # the first fit compiles
    augmented, ready = [], []
    for _ in range(rounds):
        ready.append(images_a_second(ready_batches))
        augmented.append(images_a_second(augmented_batches))
        on_round()
    return Throughput(
        recipe=name,
        backend=f"{keras.backend.backend()}, keras {keras.__version__}",
        images_per_round=steps * recipe.batch_size,
        augmented=tuple(augmented),
        ready=tuple(ready),
    )
