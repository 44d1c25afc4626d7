"""The Keras side of a training: compile, fit with schedule and early stop, checkpoint each epoch, keep the best weights."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.errors import TrainingError
from leukolite.preprocess import InputSpec
from leukolite.progress import OnEpoch, OnProgress
from leukolite.train import checkpoint
from leukolite.train.batches import EpochItem, training_batches, validation_batches
from leukolite.train.models import ON_MOBILENET, build, load_weights
from leukolite.train.recipes import Recipe

if TYPE_CHECKING:
    import keras

PLATEAU_PATIENCE, PLATEAU_FACTOR, LEAST_LEARNING_RATE = 5, 0.1, 1e-6  # Makem et al. 2025, Table 5


def fit(
    recipe: Recipe,
    spec: InputSpec,
    pixels: np.ndarray,
    truth: np.ndarray,
    classes: int,
    shown: Sequence[EpochItem],
    validation: Sequence[int],
    *,
    seed: int,
    resume_folder: Path,
    settings: dict[str, Any],
    resume: bool,
    progress: OnProgress,
    on_epoch: OnEpoch,
) -> tuple["keras.Model", list[dict[str, float]], int]:
    """Train by a recipe.

    Args:
        pixels: uint8 RGB, shape (n, spec.height, spec.width, 3).
        truth: class of each, int, shape (n,).
        shown: what an epoch shows.
        validation: indices of the validation part.
        resume_folder: where checkpoints are kept.
        settings: what must not change between a stop and its resumption.
        resume: go on from the newest checkpoint.

    Returns:
        The float32 model at its best epoch, one row of metrics an epoch, and the number of the best one, from 1.

    Raises:
        TrainingError: the weights do not fit, there is nothing to resume, or the loss is no longer a number.
    """
    import keras

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    devices = _share_batches(recipe.batch_size)
    model = build(recipe.model, classes, recipe.side, dropout=recipe.dropout, seed=seed)
    history: list[dict[str, float]] = []
    state, best = None, None
    if resume:
        state, trained, best = checkpoint.load(resume_folder, settings)
        history = list(state.history)
    else:
        load_weights(model, recipe.weights, backbone=recipe.model in ON_MOBILENET)
        trained = _in_precision(recipe, model, classes, seed)
        optimizer = keras.optimizers.Adam(recipe.learning_rate)
        trained.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    onehot = np.eye(classes, dtype=np.float32)[truth]
    first = 0 if state is None else state.epochs
    batches = training_batches(
        pixels,
        onehot,
        shown,
        spec,
        recipe.augmentation,
        batch_size=recipe.batch_size,
        seed=seed,
        first_epoch=first,
        devices=devices,
    )
    kept = _keepers(recipe)
    keep = {"folder": resume_folder, "settings": settings, "state": state, "best": best}
    callbacks = [*kept, _reporter(recipe, len(batches), history, progress, on_epoch, seed), _checkpointer(kept, history, keep)]
    if first < recipe.epochs and not (state is not None and _has_stopped(recipe, state)):
        trained.fit(
            batches,
            validation_data=validation_batches(
                pixels, onehot, validation, spec, batch_size=2 * recipe.batch_size, devices=devices
            ),
            initial_epoch=first,
            epochs=recipe.epochs,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    elif best is not None:
        trained.set_weights(best)
    if not all(math.isfinite(row["loss"]) for row in history):
        checkpoint.discard(resume_folder)
        raise TrainingError("the loss left the numbers (NaN or infinity); lower the learning rate", advice="learning-rate")
    model.set_weights(trained.get_weights())
    monitored = [row[recipe.monitor] for row in history]
    return model, history, 1 + int(np.argmin(monitored) if recipe.monitor == "val_loss" else np.argmax(monitored))


def _share_batches(batch_size: int) -> int:
    """Have Keras share each batch among the accelerators that its backend sees; how many there are.

    Keras' DataParallel knows JAX's devices; under another backend Keras lists none, and one device trains.

    Raises:
        TrainingError: the batch cannot be shared evenly.
    """
    import keras

    if keras.backend.backend() != "jax" or (devices := len(keras.distribution.list_devices())) < 2:
        return 1
    if batch_size % devices:
        raise TrainingError(
            f"{devices} devices cannot share a batch of {batch_size} evenly; expected a multiple of {devices}",
            advice="batch-size",
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return devices


def _in_precision(recipe: Recipe, model: "keras.Model", classes: int, seed: int) -> "keras.Model":
    """`model`, or its like of the same weights that computes in the recipe's precision."""
    import keras

    if recipe.precision == "float32":
        return model
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(recipe.precision)
    try:
        other = build(recipe.model, classes, recipe.side, dropout=recipe.dropout, seed=seed)
    finally:
        keras.config.set_dtype_policy(previous)
    other.set_weights(model.get_weights())
    return other


def _has_stopped(recipe: Recipe, state: checkpoint.State) -> bool:
    waited = state.counted.get("EarlyStopping", {}).get("wait", 0)
    return recipe.early_stop is not None and waited >= recipe.early_stop


def _keepers(recipe: Recipe) -> list[Any]:
    """Keras' callbacks that decide: best weights and early stop, schedule, NaN."""
    import keras

    def learning_rate(epoch: int, rate: float) -> float:
        if recipe.schedule == "cosine":
            return recipe.learning_rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        return rate

    patience = recipe.early_stop or recipe.epochs
    chosen: list[Any] = [
        keras.callbacks.EarlyStopping(monitor=recipe.monitor, mode="auto", patience=patience, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    if recipe.schedule == "plateau":
        plateau = keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss", factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE, min_lr=LEAST_LEARNING_RATE
        )
        return [*chosen, plateau]
    return [*chosen, keras.callbacks.LearningRateScheduler(learning_rate)]


def _reporter(
    recipe: Recipe, steps: int, history: list[dict[str, float]], progress: OnProgress, on_epoch: OnEpoch, seed: int
) -> Any:
    import keras

    class Report(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.stage = f"epoch {epoch + 1}/{recipe.epochs}"
            self.rate = float(np.asarray(self.model.optimizer.learning_rate))
            # dropout, too, depends on seed and epoch alone, so that a resumed training draws what it would have drawn
            for k, layer in enumerate(self.model.layers):
                if hasattr(layer, "seed_generator"):
                    layer.seed_generator.state.assign(np.array([seed + 7919 * k, epoch], dtype=np.uint32))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            progress(self.stage, batch + 1, steps)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            measured = {name: float(value) for name, value in (logs or {}).items() if name != "learning_rate"}
            history.append({"epoch": epoch + 1, "learning_rate": self.rate, **measured})
            on_epoch(self.stage, history[-1])

    return Report()


def _checkpointer(kept: list[Any], history: list[dict[str, float]], keep: dict[str, Any]) -> Any:
    import keras

    class Checkpoint(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            if keep["state"] is not None:  # after the callbacks before this one have set themselves back
                checkpoint.restore_counts(kept, keep["state"].counted)
                kept[0].best_weights = keep["best"]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            state = checkpoint.State(keep["settings"], epoch + 1, history, checkpoint.counted_by(kept))
            checkpoint.save(keep["folder"], state, self.model, kept[0].best_weights)

    return Checkpoint()
