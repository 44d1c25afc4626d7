"""An evaluation as pictures: accuracy over noise, confusion matrices, ROC curves, reliability."""

from pathlib import Path

import numpy as np

from leukolite.benchmarks.evaluate import Evaluation
from leukolite.errors import LeukoliteError
from leukolite.evaluation import ImageVerdict
from leukolite.files import new_folder
from leukolite.noise import NOISE_PLACES
from leukolite.train.plots import plot_confusion
from leukolite.wording import count, drawn

RELIABILITY_BINS = 15  # as in the expected calibration error


def write_pictures(evaluation: Evaluation, out: Path, *, force: bool = False) -> None:
    """Write PNGs into a new folder `out`: noise, roc, reliability, and a confusion matrix a noise level.

    Args:
        force: replace pictures that are there.

    Raises:
        LeukoliteError: there is no verdict to draw, or the folder cannot be written.
    """
    if not any(row.n for row in evaluation.results):
        raise LeukoliteError(f"{evaluation.name} abstained on all of {count(evaluation.n, 'image')}: there is nothing to draw")
    with new_folder(out, replace_if_holds="noise.png", force=force) as folder:
        _noise(evaluation, folder / "noise.png")
        first = evaluation.results[0].sigma
        verdicts = [item for item in evaluation.verdicts if item.sigma == first]
        _roc(evaluation, verdicts, folder / "roc.png")
        _reliability(evaluation, verdicts, folder / "reliability.png")
        for row in evaluation.results:
            title = f"{evaluation.name}, sigma {row.sigma:g}"
            plot_confusion(row, evaluation.classifier.classes.labels, title, folder / f"confusion-sigma-{row.sigma:g}.png")


def _noise(evaluation: Evaluation, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in evaluation.results if row.accuracy is not None and row.accuracy_interval is not None]
    sigmas, where = [row.sigma for row in rows], NOISE_PLACES[evaluation.noise_at]
    low, high = np.array([row.accuracy_interval for row in rows], dtype=float).T
    axes.fill_between(sigmas, 100 * low, 100 * high, alpha=0.25, label="95% interval")
    axes.plot(sigmas, [100 * (row.accuracy or 0) for row in rows], marker="o", label="accuracy")
    axes.plot(sigmas, [100 * (row.recall or 0) for row in rows], marker="s", linestyle="--", label="recall")
    axes.set(
        xlabel=f"sigma of the Gaussian noise {where}, grey levels", ylabel="%", title=drawn(f"{evaluation.name}, n {rows[0].n}")
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _roc(evaluation: Evaluation, verdicts: list[ImageVerdict], path: Path) -> None:
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    truth, probabilities = _arrays(verdicts)
    positive = evaluation.results[0].positive
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    for k, row in enumerate(evaluation.results[0].classes):
        if (positive is None or row.label == positive) and row.auc is not None:
            false_alarms, hits, _ = roc_curve(truth == k, probabilities[:, k])
            axes.plot(false_alarms, hits, label=drawn(f"{row.label}, AUC {row.auc:.3f}"))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.set(xlabel="1 - specificity", ylabel="recall", title=drawn(f"{evaluation.name}, sigma {verdicts[0].sigma:g}"))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def _reliability(evaluation: Evaluation, verdicts: list[ImageVerdict], path: Path) -> None:
    from matplotlib.figure import Figure
    from sklearn.calibration import calibration_curve

    truth, probabilities = _arrays(verdicts)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    rate, mean = calibration_curve(correct, np.clip(confidence, 0, 1), n_bins=RELIABILITY_BINS)
    figure = Figure(figsize=(4.6, 5), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot(mean, rate, marker="o")
    ece = evaluation.results[0].ece
    axes.set(ylabel="share that is right", title=drawn(f"{evaluation.name}: ECE {100 * (ece or 0):.1f}%"))
    below.hist(confidence, bins=RELIABILITY_BINS, range=(0, 1))
    below.set(xlabel="confidence", ylabel="images")
    for one in (axes, below):
        one.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _arrays(verdicts: list[ImageVerdict]) -> tuple[np.ndarray, np.ndarray]:
    known = [item for item in verdicts if item.truth is not None]
    return np.array([item.truth for item in known]), np.stack([item.verdict.probabilities for item in known])
