"""Training by a head alone: the network stays as its weights are, and its last dense layer is fitted on what it sees."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.preprocess import InputSpec
from leukolite.progress import OnProgress
from leukolite.train.features import load_features
from leukolite.train.heads import fit_head
from leukolite.train.models import HEAD, POOLED, build, load_weights
from leukolite.train.recipes import Head, Recipe

if TYPE_CHECKING:
    import keras


def fit(
    recipe: Recipe,
    head: Head,
    spec: InputSpec,
    pixels: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    classes: int,
    training: Sequence[int],
    *,
    seed: int,
    cache: Path | None,
    progress: OnProgress,
) -> tuple["keras.Model", list[dict[str, float]], int]:
    """Train by a recipe with a head.

    Args:
        pixels: uint8 RGB, shape (n, spec.height, spec.width, 3), of the whole data set, so that all its folds share the features.
        truth: class of each, int, shape (n,).
        groups: which images stay together, int, shape (n,).
        training: indices of the training part.
        cache: where features are kept; None: compute them.

    Returns:
        The float32 model; one row a strength, as of an epoch, its validation figures those of the cross-validation; and the
        number of the row that was chosen, from 1.

    Raises:
        TrainingError: the weights do not fit, or a class has too few groups.
        DatasetError: the cache cannot be written.
    """
    import keras

    model = build(recipe.model, classes, recipe.side, dropout=recipe.dropout, seed=seed)
    load_weights(model, recipe.weights, backbone=True)
    network = keras.Model(model.input, model.get_layer(POOLED).output)
    features = load_features(network, pixels, spec, head.views, cache, progress)
    chosen = list(training)
    fitted = fit_head(features[chosen], truth[chosen], groups[chosen], classes, head, seed)
    model.get_layer(HEAD).set_weights([fitted.kernel, fitted.bias])
    history = [
        {
            "epoch": k + 1,
            "strength": trial.strength,
            "loss": trial.training_loss,
            "accuracy": trial.training_accuracy,
            "val_loss": trial.loss,
            "val_accuracy": trial.accuracy,
        }
        for k, trial in enumerate(fitted.trials)
    ]
    return model, history, fitted.chosen + 1
