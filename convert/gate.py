"""What a conversion may cost: accuracy and the malignant classes' recall, held against the float model's on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite.classes import Classes
from leukolite.manifest import ConversionGate, GateLevel

GATE_SIGMAS = (0.0, 10.0)
ANY_MALIGNANT = "any malignant"  # a malignant image called by any malignant label


@dataclass(frozen=True)
class Flip:
    """An image on which the converted model's verdict is not the float model's."""

    path: Path
    sigma: float
    truth: str
    float_label: str
    float_probability: float
    label: str
    probability: float


def gate_level(sigma: float, truth: np.ndarray, floats: np.ndarray, outputs: np.ndarray, classes: Classes) -> GateLevel:
    """Both models at one noise level; the verdict of an image is its top class, without threshold or abstention.

    Args:
        truth: class indices, shape (n,).
        floats: the float model's probabilities, shape (n, classes).
        outputs: the converted model's, of the same shape.
    """
    verdicts, float_verdicts = outputs.argmax(axis=1), floats.argmax(axis=1)
    return GateLevel(
        sigma=sigma,
        n=len(truth),
        float_accuracy=float((float_verdicts == truth).mean()),
        accuracy=float((verdicts == truth).mean()),
        float_recall=malignant_recall(truth, float_verdicts, classes),
        recall=malignant_recall(truth, verdicts, classes),
        flips=int((verdicts != float_verdicts).sum()),
    )


def malignant_recall(truth: np.ndarray, verdicts: np.ndarray, classes: Classes) -> dict[str, float]:
    """Recall of each malignant class that has images and, of several, of `ANY_MALIGNANT`."""
    indices = classes.malignant_indices
    recall = {classes.labels[k]: float((verdicts[truth == k] == k).mean()) for k in indices if (truth == k).any()}
    if len(recall) > 1:
        recall[ANY_MALIGNANT] = float(np.isin(verdicts[np.isin(truth, indices)], indices).mean())
    return recall


def failures(gate: ConversionGate) -> list[str]:
    """Each limit that is exceeded, in words; none: the model passes."""
    found = []
    for level in gate.levels:
        drop = 100 * (level.float_accuracy - level.accuracy)
        if drop > gate.max_drop + 1e-9:
            found.append(f"accuracy drops {drop:.1f} points at sigma {level.sigma:g} (at most {gate.max_drop:g})")
        for label, recall in level.recall.items():
            drop = 100 * (level.float_recall[label] - recall)
            if drop > gate.max_recall_drop + 1e-9:
                found.append(
                    f"recall of {label} drops {drop:.1f} points at sigma {level.sigma:g} (at most {gate.max_recall_drop:g})"
                )
    return found


def find_flips(
    names: Sequence[Path],
    sigmas: Sequence[float],
    truth: np.ndarray,
    floats: np.ndarray,
    outputs: np.ndarray,
    labels: Sequence[str],
) -> list[Flip]:
    """Every verdict that is not the float model's.

    Args:
        floats: shape (sigmas, n, classes); `outputs` likewise.
    """
    found = []
    for level, sigma in enumerate(sigmas):
        was, now = floats[level].argmax(axis=1), outputs[level].argmax(axis=1)
        for i in map(int, np.flatnonzero(was != now)):
            found.append(
                Flip(
                    path=names[i],
                    sigma=sigma,
                    truth=labels[truth[i]],
                    float_label=labels[was[i]],
                    float_probability=float(floats[level, i, was[i]]),
                    label=labels[now[i]],
                    probability=float(outputs[level, i, now[i]]),
                )
            )
    return found
