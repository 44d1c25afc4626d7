"""Pictures of a run: its history and its confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leukolite.metrics import Metrics
from leukolite.wording import drawn


def plot_history(history: list[dict[str, float]], path: Path, step: str = "epoch") -> None:
    """Loss and accuracy of training and validation over the epochs, or whatever one `step` is, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [row[name] for row in history], label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in history], label="validation")
        axes.set(xlabel=step, ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def plot_confusion(metrics: Metrics, labels: Sequence[str], title: str, path: Path) -> None:
    """A confusion matrix with its counts, as a PNG."""
    from matplotlib.figure import Figure

    matrix = np.array(metrics.confusion)
    figure = Figure(figsize=(1.6 + 0.9 * len(labels), 1.3 + 0.8 * len(labels)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        axes.text(column, row, str(count), ha="center", va="center", color="white" if count > matrix.max() / 2 else "black")
    axes.set(xticks=range(len(labels)), yticks=range(len(labels)), xlabel="verdict", ylabel="truth", title=drawn(title))
    axes.set_xticklabels(list(map(drawn, labels)), rotation=30, ha="right")
    axes.set_yticklabels(list(map(drawn, labels)))
    figure.savefig(path, dpi=120)
