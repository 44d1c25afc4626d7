from pathlib import Path

import numpy as np
import pytest

from leukolite.classes import Classes
from leukolite.convert.gate import ANY_MALIGNANT, failures, find_flips, gate_level, malignant_recall
from leukolite.manifest import ConversionGate, GateLevel

LABELS = ("benign", "early", "pre")
CLASSES = Classes.of(LABELS, ("early", "pre"))


def sure_of(*verdicts: int) -> np.ndarray:
    """Probabilities whose top classes these are."""
    return np.eye(3)[list(verdicts)] * 0.8 + 0.1


def gate(*levels: GateLevel, drop: float = 0.5, recall: float = 0.5) -> ConversionGate:
    return ConversionGate(part="validation", max_drop=drop, max_recall_drop=recall, levels=list(levels))


def level(truth: list[int], floats: list[int], now: list[int], sigma: float = 0.0) -> GateLevel:
    return gate_level(sigma, np.array(truth), sure_of(*floats), sure_of(*now), CLASSES)


def test_a_model_that_says_the_same_passes():
    same = [0, 1, 2, 2]
    assert failures(gate(level([0, 1, 2, 1], same, same), drop=0, recall=0)) == []


def test_a_lost_benign_image_fails_by_accuracy_alone():
    found = failures(gate(level([0, 0, 1, 2], [0, 0, 1, 2], [0, 1, 1, 2])))
    assert found == ["accuracy drops 25.0 points at sigma 0 (at most 0.5)"]


def test_a_malignant_image_called_benign_fails_even_where_accuracy_is_made_up_for():
    found = failures(gate(level([0, 1, 1, 2], [1, 1, 1, 2], [0, 0, 1, 2], sigma=10)))
    assert found == [
        "recall of early drops 50.0 points at sigma 10 (at most 0.5)",
        "recall of any malignant drops 33.3 points at sigma 10 (at most 0.5)",
    ]


def test_one_malignant_class_for_another_is_no_lost_malignant_image():
    recall = malignant_recall(np.array([1, 1, 2, 0]), np.array([2, 1, 2, 0]), CLASSES)
    assert recall == {"early": 0.5, "pre": 1.0, ANY_MALIGNANT: 1.0}


def test_a_malignant_class_without_images_has_no_recall():
    assert malignant_recall(np.array([0, 1]), np.array([0, 1]), CLASSES) == {"early": 1.0}


@pytest.mark.parametrize("noisy_first", [True, False])
def test_every_noise_level_must_pass(noisy_first):
    good, bad = level([0, 1], [0, 1], [0, 1]), level([0, 1], [0, 1], [0, 0], sigma=10)
    assert any("sigma 10" in line for line in failures(gate(*((bad, good) if noisy_first else (good, bad)))))


def test_what_is_allowed_passes_exactly():
    losing = level([0] * 4, [0] * 4, [0, 0, 0, 1])
    assert failures(gate(losing, drop=25)) == []
    assert failures(gate(losing, drop=24.9)) != []


def test_a_better_model_passes():
    assert failures(gate(level([0, 1], [1, 0], [0, 1]), drop=0, recall=0)) == []


def test_flips_are_named_with_both_verdicts_at_their_noise_level():
    floats, now = (np.stack([sure_of(*rows) for rows in levels]) for levels in (([0, 1], [0, 1]), ([0, 1], [2, 1])))
    names = [Path("a.png"), Path("b.png")]
    (flip,) = find_flips(names, (0.0, 10.0), np.array([0, 1]), floats, now, LABELS)
    assert (flip.path, flip.sigma, flip.truth, flip.float_label, flip.label) == (Path("a.png"), 10.0, "benign", "benign", "pre")
    assert flip.probability == pytest.approx(0.9)
