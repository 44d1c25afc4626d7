from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict, open_classifier
from leukolite.evaluation import ImageVerdict, classify_at_noise, evaluate_files, latency_summary, metrics_by_sigma
from leukolite.images import read_rgb

CLASSES = Classes.of(["healthy", "blast"], ["blast"])
SIGMAS = (0.0, 5.0, 10.0)


def verdict(blast: float, *, abstains: bool = False, milliseconds: float = 0.0) -> Verdict:
    index = None if abstains else int(blast >= 0.5)
    label = "abstain" if index is None else CLASSES.labels[index]
    latency = Latency(capture=0.0, locate=0.0, preprocess=0.0, invoke=milliseconds)
    return Verdict(index, label, max(blast, 1 - blast), np.array([1 - blast, blast]), latency)


class KeepingClassifier:
    """Keeps what it was shown, and calls the brighter half blasts."""

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def __call__(self, pixels: np.ndarray, *, capture_ms: float = 0.0) -> Verdict:
        self.shown.append(pixels)
        return verdict(pixels.mean() / 255, milliseconds=capture_ms)


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
