"""Whether the stage has moved, on rendered fields and, where they are, on the real ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from leukolite.edge.field.motion import LEAST_SHIFT, LIKENESS, NOT_MOVED, StageMotion, detail, likeness
from leukolite.images import read_rgb
from leukolite.metrics import wilson_interval
from leukolite.synthetic import render_field


@pytest.fixture(scope="module")
def slide() -> np.ndarray:
    """A smear larger than the field of view."""
    return render_field(np.random.default_rng(3), width=960, height=720, blast_fraction=0.5).pixels


def field(slide: np.ndarray, x: int, y: int) -> np.ndarray:
    """What a 640x480 camera sees of it."""
    return slide[y : y + 480, x : x + 640]


def retaken(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same field again: other exposure, a little uneven light, noise of sigma 10."""
    light = pixels * rng.uniform(0.75, 1.25) + rng.uniform(-15, 15)
    light = light * (1 - rng.uniform(0, 0.2) * np.linspace(0, 1, pixels.shape[1])[:, None])
    return np.clip(np.rint(light + rng.normal(0, 10, pixels.shape)), 0, 255).astype(np.uint8)


def test_the_first_frame_passes(slide):
    assert StageMotion()(field(slide, 0, 0)) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_same_field_does_not_pass_again_whatever_the_light_and_noise(slide, seed):
    gate, rng = StageMotion(), np.random.default_rng(seed)
    assert gate(retaken(field(slide, 100, 100), rng)) is None
    assert [gate(retaken(field(slide, 100, 100), rng)) for _ in range(3)] == [NOT_MOVED] * 3


def test_a_trembling_stage_has_not_moved(slide):
    gate = StageMotion()
    gate(field(slide, 100, 100))
    assert [gate(field(slide, 100 + dx, 100 + dy)) for dx, dy in ((6, 0), (-6, 4), (0, -6))] == [NOT_MOVED] * 3


@pytest.mark.parametrize(("x", "y"), [(320, 120), (160, 240), (60, 220), (0, 0)])
def test_a_field_beside_it_passes(slide, x, y):
    gate = StageMotion()
    gate(field(slide, 160, 120))
    assert gate(field(slide, x, y)) is None


def test_slow_drift_adds_up_to_a_move(slide):
    gate = StageMotion()
    answers = [gate(field(slide, x, 0)) for x in range(0, 300, 8)]
    assert 3 <= answers.count(None) <= 10


def test_a_field_that_comes_back_counts_as_new_only_after_another_passed(slide):
    gate = StageMotion()
    answers = [gate(field(slide, x, 0)) for x in (0, 0, 300, 0)]
    assert answers == [None, NOT_MOVED, None, None]


def test_a_larger_least_shift_lets_fewer_overlapping_fields_pass(slide):
    passed = {}
    for least_shift in (0.05, 0.2):
        gate = StageMotion(least_shift)
        passed[least_shift] = [gate(field(slide, x, 0)) for x in range(0, 320, 16)].count(None)
    assert passed[0.2] < passed[0.05]


def test_after_forget_the_same_field_passes(slide):
    gate = StageMotion()
    gate(field(slide, 0, 0))
    gate.forget()
    assert gate(field(slide, 0, 0)) is None


def test_an_empty_field_is_never_called_the_same():
    """It has nothing to know it by; the quality gate is there for it."""
    gate, rng = StageMotion(), np.random.default_rng(0)
    blank = np.full((480, 640, 3), 220, np.uint8)
    assert [gate(retaken(blank, rng)) for _ in range(3)] == [None] * 3


def test_another_camera_resolution_is_another_field(slide):
    gate = StageMotion()
    gate(field(slide, 0, 0))
    assert gate(field(slide, 0, 0)[:300]) is None


@pytest.mark.parametrize("least_shift", [0, -0.1, 0.3, float("nan")])
def test_a_shift_that_cannot_be_looked_for_is_refused(least_shift):
    with pytest.raises(ValueError, match="at most"):
        StageMotion(least_shift)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (20, 20)])
def test_tiny_frames_pass(size):
    gate = StageMotion()
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert gate(pixels) is None


# the threshold was chosen on every third BCCD frame from the first; the figures are of the others and of other sets
SETS = {"BCCD": "BCCD/JPEGImages/*", "ALL-IDB1": "ALL_IDB1/im/*.jpg", "Taleqani": "taleqani/Original/*/*.jpg"}
IMAGES = int(os.environ.get("LEUKOLITE_MOTION_IMAGES", "6"))  # of each set; docs/evidence/recording.md has the figures of many


def pairs(images: list[Path], shift: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two looks through a window of two thirds of an image, `shift` of its width apart, each retaken."""
    rng = np.random.default_rng(0)
    for path in images:
        pixels = read_rgb(path)
        scale = min(1.0, 960 / pixels.shape[1])
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = pixels.shape[0] * 2 // 3, pixels.shape[1] * 2 // 3
        move = round(shift * max(height, width))
        x, y = (int(rng.integers(0, side // 3 - move)) for side in (pixels.shape[1], pixels.shape[0]))
        dx, dy = ((move, 0), (0, move))[int(rng.integers(2))]
        looks = (pixels[y : y + height, x : x + width], pixels[y + dy : y + dy + height, x + dx : x + dx + width])
        yield retaken(looks[0], rng), retaken(looks[1], rng)


@pytest.mark.parametrize("name", SETS)
def test_real_fields_are_told_apart_and_known_again(shared_data, name):
    found = [path for i, path in enumerate(sorted(shared_data.glob(SETS[name]))) if name != "BCCD" or i % 3]
    images = found[:: max(len(found) // IMAGES, 1)][:IMAGES]
    called_same = {}
    for shift in (0.0, 0.01, 0.02, 0.12, 0.2):
        answers = [likeness(detail(a), detail(b), LEAST_SHIFT) >= LIKENESS for a, b in pairs(images, shift)]
        called_same[shift] = sum(answers), len(answers)
    looks = [a for a, _ in pairs(images, 0.0)]
    others = [(looks[i], looks[i - 1]) for i in range(len(looks)) if looks[i].shape == looks[i - 1].shape]
    called_same["another image"] = sum(likeness(detail(a), detail(b), LEAST_SHIFT) >= LIKENESS for a, b in others), len(others)
    for shift, (same, n) in called_same.items():
        print(f"{name}, shift {shift}: {same} of {n} called the same, 95% {np.round(wilson_interval(same, n), 3)}")  # noqa: T201
    for shift in (0.0, 0.01, 0.02):
        assert called_same[shift][0] >= 0.8 * called_same[shift][1]  # some bright images are blown out by the retaking
    for shift in (0.12, 0.2, "another image"):
        assert called_same[shift][0] == 0
