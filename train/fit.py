"""Training itself: dataset -> split -> augment -> fit -> evaluate -> run folder, written whole at the end."""

import csv
import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.bundle import Unit
from leukolite.errors import TrainingError
from leukolite.files import check_replaceable, new_folder
from leukolite.metrics import Metrics, measure, positive_label
from leukolite.preprocess import InputSpec
from leukolite.train import runs
from leukolite.train.augment import Augmentation, augment
from leukolite.train.datasets import Dataset, load_images
from leukolite.train.models import build, load_weights
from leukolite.train.plots import plot_confusion, plot_history
from leukolite.train.recipes import CROP_FRACTION, Recipe
from leukolite.train.runs import Run, split_record
from leukolite.train.splits import PARTS, Split, split_by_image

if TYPE_CHECKING:
    import keras

PLATEAU_PATIENCE, PLATEAU_FACTOR, LEAST_LEARNING_RATE = 5, 0.1, 1e-6  # Makem et al. 2025, Table 5

Progress = Callable[[str, int, int, Mapping[str, float]], None]
"""Told what goes on: stage ('images' or 'epoch N/M'), done, total, and the metrics so far."""


def no_progress(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
    """A `Progress` that shows nothing."""


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    unit: Unit,
    malignant: Sequence[str],
    seed: int,
    progress: Progress = no_progress,
) -> Run:
    """Train by a recipe and leave a run folder at `out`.

    Args:
        dataset: from `open_dataset`.
        unit: what one image shows.
        malignant: those of the dataset's labels that mean leukaemia.
        seed: of split, weights, order and augmentation.

    Raises:
        TrainingError: the weights do not fit.
        DatasetError: a class has too few images.
        LeukoliteError: `out` holds something that is not a run, or cannot be written.
    """
    import keras

    check_replaceable(out, runs.RUN)
    started = time.monotonic()
    spec = InputSpec(
        height=recipe.side, width=recipe.side, crop_fraction=recipe.crop_fraction or CROP_FRACTION.get(dataset.layout, 1.0)
    )
    total = len(dataset.samples)
    done = iter(range(1, total + 1))
    dataset, pixels = load_images(dataset, spec, lambda: progress("images", next(done), total, {}))
    split = split_by_image(dataset, recipe.split, seed)
    truth = np.array([sample.label for sample in dataset.samples])

    with new_folder(out, replace_if_holds=runs.RUN) as folder:
        model, history = _fit(recipe, spec, len(dataset.labels), pixels, truth, split, seed, progress)
        model.save(folder / runs.MODEL)
        best = [row[recipe.monitor] for row in history]
        metrics = {
            part: _measure(model, spec, pixels, truth, split.part(part), dataset.labels, malignant)
            for part in PARTS[1:]
            if split.part(part)
        }
        run = Run(
            schema_version=1,
            recipe=recipe,
            unit=unit,
            labels=list(dataset.labels),
            malignant=list(malignant),
            input=spec,
            dataset=dataset.layout,
            data=str(dataset.root),
            dataset_fingerprint=dataset.fingerprint(),
            unusable=len(dataset.unusable),
            split={part: dataset.counts(split.part(part)) for part in PARTS},
            seed=seed,
            versions=versions(),
            best_epoch=1 + int(np.argmin(best) if recipe.monitor == "val_loss" else np.argmax(best)),
            seconds=round(time.monotonic() - started, 1),
            metrics=metrics,
        )
        (folder / runs.RUN).write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / runs.SPLIT).write_text(split_record(dataset, split), encoding="utf-8")
        _write_history(folder / "history.csv", history)
        plot_history(history, folder / "history.png")
        judged = "test" if "test" in metrics else "validation"
        plot_confusion(metrics[judged], dataset.labels, f"{judged} part", folder / "confusion.png")
    keras.backend.clear_session()
    return run


def versions() -> dict[str, str]:
    """Python's and the libraries' versions, and the backend's name."""
    import keras

    backend = keras.backend.backend()
    packages = ["leukolite", "keras", "numpy", "opencv-python-headless", "pillow", backend]
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "backend": backend, **found}


def predict(model: "keras.Model", pixels: np.ndarray, spec: InputSpec, batch_size: int = 32) -> np.ndarray:
    """Probabilities of resized images: uint8 of shape (n, height, width, 3) in, float32 of shape (n, classes) out."""
    batches = [pixels[i : i + batch_size] for i in range(0, len(pixels), batch_size)]
    return np.concatenate([np.asarray(model.predict_on_batch(to_float(batch, spec))) for batch in batches])


def to_float(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Grey levels to network values, float32 of the same shape."""
    return pixels.astype(np.float32) * np.float32(spec.scale) + np.float32(spec.offset)


def _measure(
    model: "keras.Model",
    spec: InputSpec,
    pixels: np.ndarray,
    truth: np.ndarray,
    indices: Sequence[int],
    labels: Sequence[str],
    malignant: Sequence[str],
) -> Metrics:
    chosen = list(indices)
    probabilities = predict(model, pixels[chosen], spec)
    verdicts = [int(k) for k in probabilities.argmax(axis=1)]
    return measure([int(k) for k in truth[chosen]], verdicts, probabilities, labels, positive_label(labels, malignant))


def _fit(
    recipe: Recipe,
    spec: InputSpec,
    classes: int,
    pixels: np.ndarray,
    truth: np.ndarray,
    split: Split,
    seed: int,
    progress: Progress,
) -> tuple["keras.Model", list[dict[str, float]]]:
    """The trained float32 model at its best epoch, and one row of metrics an epoch."""
    import keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    model = build(recipe.model, classes, recipe.side, dropout=recipe.dropout, seed=seed)
    load_weights(model, recipe.weights, backbone=recipe.model == "mobilenet_m")
    trained = model
    if recipe.precision != "float32":
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(recipe.precision)
        trained = build(recipe.model, classes, recipe.side, dropout=recipe.dropout, seed=seed)
        keras.config.set_dtype_policy(previous)
        trained.set_weights(model.get_weights())
    trained.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss="categorical_crossentropy", metrics=["accuracy"])
    onehot = np.eye(classes, dtype=np.float32)[truth]
    batches = _batches(pixels, onehot, split.train, spec, recipe.augmentation, recipe.batch_size, seed)
    validation = _batches(pixels, onehot, split.validation, spec, None, 32, seed)
    history: list[dict[str, float]] = []
    trained.fit(
        batches,
        validation_data=validation,
        epochs=recipe.epochs,
        shuffle=False,
        verbose=0,
        callbacks=_callbacks(recipe, len(batches), history, progress),
    )
    if trained is not model:
        model.set_weights(trained.get_weights())
    if not all(math.isfinite(row["loss"]) for row in history):
        raise TrainingError("the loss left the numbers (NaN or infinity); lower the learning rate: --set learning_rate=1e-4")
    return model, history


def _callbacks(recipe: Recipe, steps: int, history: list[dict[str, float]], progress: Progress) -> list[Any]:
    import keras

    def learning_rate(epoch: int, rate: float) -> float:
        if recipe.schedule == "cosine":
            return recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        return rate

    class Report(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.stage = f"epoch {epoch + 1}/{recipe.epochs}"

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            progress(self.stage, batch + 1, steps, {})

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            rate = float(np.asarray(self.model.optimizer.learning_rate))
            history.append({"epoch": epoch + 1, "learning_rate": rate, **{name: float(v) for name, v in (logs or {}).items()}})
            progress(self.stage, steps, steps, history[-1])

    patience = recipe.early_stop or recipe.epochs
    chosen: list[Any] = [
        Report(),
        keras.callbacks.EarlyStopping(monitor=recipe.monitor, mode="auto", patience=patience, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    if recipe.schedule == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss", factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_lr=LEAST_LEARNING_RATE
            )
        )
    else:
        chosen.append(keras.callbacks.LearningRateScheduler(learning_rate))
    return chosen


def _batches(
    pixels: np.ndarray,
    onehot: np.ndarray,
    indices: Sequence[int],
    spec: InputSpec,
    augmentation: Augmentation | None,
    batch_size: int,
    seed: int,
) -> Any:
    """A Keras dataset over uint8 images; order and augmentation depend on seed, epoch and image alone."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.epoch = 0
            self.order = np.array(indices)
            self._shuffle()

        def __len__(self) -> int:
            return math.ceil(len(self.order) / batch_size)

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = self.order[i * batch_size : (i + 1) * batch_size]
            images = pixels[chosen]
            if augmentation is not None:
                for k, image in zip(chosen, images, strict=True):
                    image[:] = augment(image, augmentation, np.random.default_rng([seed, self.epoch, int(k)]))
            return to_float(images, spec), onehot[chosen]

        def on_epoch_end(self) -> None:
            self.epoch += 1
            self._shuffle()

        def _shuffle(self) -> None:
            if augmentation is not None:
                self.order = np.random.default_rng([seed, self.epoch]).permutation(np.array(indices))

    return Batches()


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
