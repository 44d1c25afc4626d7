"""Training batches: uint8 images in memory, augmented differently each epoch, by seed, epoch and image."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leukolite.preprocess import InputSpec
from leukolite.train.augment import Augmentation, augment
from leukolite.train.balance import desaturate


@dataclass(frozen=True)
class EpochItem:
    """One image of an epoch.

    Attributes:
        index: of its pixels.
        is_copy: it is the desaturated copy that balances the classes.
    """

    index: int
    is_copy: bool = False


def to_float(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Grey levels to network values, float32 of the same shape."""
    return pixels.astype(np.float32) * np.float32(spec.scale) + np.float32(spec.offset)


def variant(pixels: np.ndarray, shown: EpochItem, augmentation: Augmentation, *, seed: int, epoch: int) -> np.ndarray:
    """What the network sees of an image in an epoch; uint8 RGB of the same shape.

    Args:
        pixels: all images, uint8, shape (n, height, width, 3).
    """
    image = desaturate(pixels[shown.index]) if shown.is_copy else pixels[shown.index]
    return augment(image, augmentation, np.random.default_rng([seed, epoch, shown.index, int(shown.is_copy)]))


def training_batches(
    pixels: np.ndarray,
    onehot: np.ndarray,
    shown: Sequence[EpochItem],
    spec: InputSpec,
    augmentation: Augmentation,
    *,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    devices: int = 1,
) -> Any:
    """A Keras dataset that shuffles and augments.

    Args:
        onehot: float32, shape (n, classes).
        first_epoch: where a resumed training goes on, from 0.
        devices: that share each batch; an epoch leaves out what cannot be shared evenly, other images each time.
    """

    def load(batch: Sequence[EpochItem], epoch: int) -> tuple[np.ndarray, np.ndarray]:
        images = np.stack([variant(pixels, one, augmentation, seed=seed, epoch=epoch) for one in batch])
        return to_float(images, spec), onehot[[one.index for one in batch]]

    def order(epoch: int) -> list[EpochItem]:
        return [shown[i] for i in np.random.default_rng([seed, epoch]).permutation(len(shown))[: _shared(len(shown), devices)]]

    return _dataset(order, load, batch_size, first_epoch)


def validation_batches(
    pixels: np.ndarray, onehot: np.ndarray, indices: Sequence[int], spec: InputSpec, *, batch_size: int = 32, devices: int = 1
) -> Any:
    """A Keras dataset of images as they are, in order, but for the last few that `devices` cannot share evenly."""

    def load(batch: Sequence[int], epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return to_float(pixels[list(batch)], spec), onehot[list(batch)]

    return _dataset(lambda epoch: list(indices[: _shared(len(indices), devices)]), load, batch_size, 0)


def _shared(n: int, devices: int) -> int:
    return n // devices * devices


def _dataset(order: Callable[[int], list[Any]], load: Callable[[Any, int], Any], batch_size: int, first_epoch: int) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=max(1, len(os.sched_getaffinity(0)) - 1))  # threads; Keras keeps their order
            self.epoch = first_epoch
            self.items = order(first_epoch)

        def __len__(self) -> int:
            return math.ceil(len(self.items) / batch_size)

        def __getitem__(self, i: int) -> Any:
            return load(self.items[i * batch_size : (i + 1) * batch_size], self.epoch)

        def on_epoch_end(self) -> None:
            self.epoch += 1
            self.items = order(self.epoch)

    return Batches()
