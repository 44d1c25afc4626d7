from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict, open_classifier
from leukolite.evaluation import ImageVerdict, classify_at_noise, evaluate_files, latency_summary, metrics_by_sigma
from leukolite.images import read_rgb
from leukolite.noise import NOISE_PLACES, add_gaussian_noise, noise_rng
from leukolite.preprocess import InputSpec, crop_and_resize

CLASSES = Classes.of(["healthy", "blast"], ["blast"])
SIGMAS = (0.0, 5.0, 10.0)


def verdict(blast: float, *, abstains: bool = False, milliseconds: float = 0.0) -> Verdict:
    index = None if abstains else int(blast >= 0.5)
    label = "abstain" if index is None else CLASSES.labels[index]
    latency = Latency(capture=0.0, locate=0.0, preprocess=0.0, invoke=milliseconds)
    return Verdict(index, label, max(blast, 1 - blast), np.array([1 - blast, blast]), latency)


class KeepingClassifier:
    """Takes pictures of any size, keeps what it was shown, and calls the brighter half blasts."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def timed_shrink(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        return pixels, 0.0

    def classify(self, square: np.ndarray, *, capture_ms: float = 0.0, preprocess_ms: float = 0.0) -> Verdict:
        self.shown.append(square)
        return verdict(square.mean() / 255, milliseconds=capture_ms + preprocess_ms)


class ShrinkingClassifier(KeepingClassifier):
    """The same for a network's input."""

    def __init__(self, **spec: object) -> None:
        super().__init__()
        self.spec = InputSpec(**{"height": 224, "width": 224, "kernel": "halve-linear", **spec})

    def timed_shrink(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        return crop_and_resize(pixels, self.spec), 3.0


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, int]]:
    """A dark, an unreadable and a bright picture."""
    for name, level in (("a.png", 60), ("c.png", 200)):
        Image.fromarray(np.full((40, 40, 3), level, np.uint8)).save(tmp_path / name)
    (tmp_path / "b.png").write_text("not a picture")
    return [(tmp_path / "a.png", 0), (tmp_path / "b.png", 1), (tmp_path / "c.png", 1)]


def test_every_file_is_classified_at_every_level(files):
    classified, _ = evaluate_files(KeepingClassifier(), files, SIGMAS, seed=0)
    places = [(Path(item.source).name, item.index, item.sigma, item.truth) for item in classified]
    assert places == [(name, index, s, truth) for name, index, truth in (("a.png", 0, 0), ("c.png", 2, 1)) for s in SIGMAS]


def test_an_unreadable_file_is_listed_and_not_raised(files):
    _, unreadable = evaluate_files(KeepingClassifier(), files, SIGMAS, seed=0)
    assert [path.name for path, _ in unreadable] == ["b.png"]
    assert "b.png: not an image" in str(unreadable[0][1])


def test_progress_is_called_for_every_file_read_or_not(files):
    calls = []
    evaluate_files(KeepingClassifier(), files, SIGMAS, seed=0, on_image=lambda: calls.append(1))
    assert len(calls) == 3


def test_a_change_comes_before_the_noise(files):
    classifier = KeepingClassifier()
    evaluate_files(classifier, files[:1], (0.0, 5.0), seed=0, change=np.zeros_like)
    assert classifier.shown[0].max() == 0
    assert 0 < classifier.shown[1].max() < 40


def test_at_sigma_zero_the_capture_itself_is_classified(files):
    classifier = KeepingClassifier()
    evaluate_files(classifier, files[:1], (0.0,), seed=0)
    assert np.array_equal(classifier.shown[0], read_rgb(files[0][0]))


def test_a_files_noise_does_not_depend_on_what_was_classified_before(files, tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "small.png")
    first, second = KeepingClassifier(), KeepingClassifier()
    evaluate_files(first, files, SIGMAS, seed=3)
    evaluate_files(second, [(tmp_path / "small.png", 0), *files[1:]], SIGMAS[2:], seed=3)
    assert np.array_equal(first.shown[-1], second.shown[-1])


def test_two_copies_of_a_file_get_noise_of_their_own(files):
    classifier = KeepingClassifier()
    evaluate_files(classifier, [files[0], files[0]], (10.0,), seed=0)
    assert not np.array_equal(*classifier.shown)


def test_noise_is_added_at_the_captures_own_size(files):
    classifier = KeepingClassifier()
    evaluate_files(classifier, files, SIGMAS, seed=0)
    assert {pixels.shape for pixels in classifier.shown} == {(40, 40, 3)}
    assert classifier.shown[2].astype(float).std() == pytest.approx(10, rel=0.1)


def test_the_capture_time_reaches_every_verdict():
    pixels = np.zeros((8, 8, 3), np.uint8)
    classified = classify_at_noise(
        KeepingClassifier(), pixels, SIGMAS, seed=0, source="camera", index=4, truth=None, capture_ms=7
    )
    assert [(item.index, item.verdict.latency.total) for item in classified] == [(4, 7)] * 3


def at_noise(classifier: KeepingClassifier, pixels: np.ndarray, sigma: float, noise_at: str) -> ImageVerdict:
    (item,) = classify_at_noise(classifier, pixels, [sigma], seed=0, source="", index=2, truth=1, noise_at=noise_at)
    return item


GREY = np.full((450, 450, 3), 128, np.uint8)


@pytest.mark.parametrize("noise_at", NOISE_PLACES)
def test_sigma_zero_changes_nothing_wherever_the_noise_is_put(noise_at):
    classifier = ShrinkingClassifier()
    pixels = np.random.default_rng(0).integers(0, 256, (450, 500, 3), np.uint8)
    assert at_noise(classifier, pixels, 0, noise_at).effective_sigma == 0
    assert np.array_equal(classifier.shown[0], crop_and_resize(pixels, classifier.spec))


def test_noise_at_the_input_is_added_to_the_networks_picture():
    classifier = ShrinkingClassifier()
    at_noise(classifier, GREY, 10, "input")
    assert np.array_equal(classifier.shown[0], add_gaussian_noise(GREY[:224, :224], 10, noise_rng(0, 2, 10)))


@pytest.mark.parametrize("sigma", [2, 10, 30])
def test_capture_and_input_agree_on_a_picture_of_the_networks_size(sigma):
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    at_capture, at_input = ShrinkingClassifier(), ShrinkingClassifier()
    both = at_noise(at_capture, pixels, sigma, "capture"), at_noise(at_input, pixels, sigma, "input")
    assert np.array_equal(at_capture.shown[0], at_input.shown[0])
    assert both[0].effective_sigma == both[1].effective_sigma > 0


@pytest.mark.parametrize("sigma", [2, 10, 20])
def test_noise_at_the_input_reaches_the_network_whole_and_is_less_where_it_is_clipped(sigma):
    assert at_noise(ShrinkingClassifier(), GREY, sigma, "input").effective_sigma == pytest.approx(sigma, rel=0.03)
    dark = at_noise(ShrinkingClassifier(), np.zeros_like(GREY), sigma, "input")
    assert dark.effective_sigma == pytest.approx(0.584 * sigma, rel=0.05)  # of a half normal: sqrt(1/2 - 1/(2 pi))


@pytest.mark.parametrize(
    ("side", "kernel", "crop_fraction", "reached"),
    [
        (448, "area", 1, 5),  # a mean of four
        (448, "halve-linear", 1, 5),
        (450, "area", 0.9, 4.5),  # as the shipped bundle of C-NMC
        (450, "halve-linear", 0.9, 6.7),
    ],
)
def test_noise_on_a_capture_reaches_the_network_as_its_resize_leaves_it(side, kernel, crop_fraction, reached):
    classifier = ShrinkingClassifier(kernel=kernel, crop_fraction=crop_fraction)
    assert at_noise(classifier, GREY[:side, :side], 10, "capture").effective_sigma == pytest.approx(reached, rel=0.02)


def test_the_time_of_the_shrink_is_in_the_verdict_wherever_the_noise_is_put():
    assert [at_noise(ShrinkingClassifier(), GREY, 10, place).verdict.latency.total for place in NOISE_PLACES] == [3, 3]


def test_the_effective_sigma_of_a_level_is_pooled_over_its_pictures():
    items = [replace(classified(10, 1, 0.9), effective_sigma=reached) for reached in (3.0, 4.0, None)]
    (row,) = metrics_by_sigma(items, CLASSES)
    assert row.effective_sigma == pytest.approx(12.5**0.5)
    assert metrics_by_sigma([classified(10, 1, 0.9)], CLASSES)[0].effective_sigma is None


def test_a_real_bundle_is_measured_on_real_files(bundle, tmp_path):
    files = []
    for truth, colour in enumerate([(200, 120, 80), (80, 120, 200)]):
        files.append((tmp_path / f"{truth}.png", truth))
        Image.fromarray(np.full((40, 48, 3), colour, np.uint8)).save(files[-1][0])
    classified, _ = evaluate_files(open_classifier(bundle), files, (0.0, 10.0), seed=0)
    assert [(row.sigma, row.n, row.accuracy) for row in metrics_by_sigma(classified, CLASSES)] == [(0, 2, 1), (10, 2, 1)]


def classified(sigma: float, truth: int | None, blast: float, **arguments: bool) -> ImageVerdict:
    return ImageVerdict("a.png", 0, sigma, truth, verdict(blast, **arguments))


def test_each_level_is_measured_on_its_own():
    rows = metrics_by_sigma([classified(0, 1, 0.9), classified(5, 1, 0.1), classified(0, 0, 0.2)], CLASSES)
    assert [(row.sigma, row.n, row.accuracy, row.positive) for row in rows] == [(0, 2, 1.0, "blast"), (5, 1, 0.0, "blast")]


def test_unknown_truths_are_left_out():
    rows = metrics_by_sigma([classified(0, 1, 0.9), classified(0, None, 0.1), classified(5, None, 0.9)], CLASSES)
    assert [(row.sigma, row.n, row.correct) for row in rows] == [(0, 1, 1)]


def test_abstentions_are_counted():
    [row] = metrics_by_sigma([classified(0, 1, 0.9), classified(0, 1, 0.5, abstains=True)], CLASSES)
    assert (row.n, row.abstained) == (1, 1)


def test_latency_percentiles_are_of_each_stage():
    verdicts = [verdict(0.5, milliseconds=time) for time in range(101)]
    summary = latency_summary(verdicts)
    assert list(summary) == ["capture", "locate", "preprocess", "invoke", "total"]
    assert summary["total"] == {"p50": 50, "p90": 90, "p99": 99, "mean": 50}
    assert summary["capture"]["p99"] == 0


def test_no_verdicts_have_no_latency():
    assert latency_summary([]) == {}
