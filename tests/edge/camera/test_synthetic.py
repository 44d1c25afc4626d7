"""The synthetic microscope camera."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from leukolite.edge.camera.source import Frame, Gap
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.synthetic import LABELS


def shots(count: int, *, unit="cell", labels: Sequence[str] = LABELS, seed: int = 0) -> list[Frame | Gap]:
    return list(itertools.islice(SyntheticCamera(unit, labels, seed).frames(), count))


@pytest.mark.parametrize("unit", ["cell", "field"])
def test_the_same_seed_gives_the_same_frames_and_truths(unit):
    first, second = shots(2, unit=unit, seed=5), shots(2, unit=unit, seed=5)
    assert [frame.truth for frame in first] == [frame.truth for frame in second]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_other_frames():
    assert not np.array_equal(shots(1, seed=1)[0].pixels, shots(1, seed=2)[0].pixels)


def test_both_truths_come_about_equally_often():
    truths = [frame.truth for frame in shots(200)]
    assert set(truths) == set(LABELS)
    assert 70 <= truths.count(LABELS[0]) <= 130  # within 4 standard deviations of a half


def test_frames_are_rgb_bytes_numbered_from_zero():
    frames = shots(3)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert {(frame.pixels.dtype.name, frame.pixels.shape) for frame in frames} == {("uint8", (256, 256, 3))}


def test_a_field_camera_shows_whole_fields():
    assert shots(1, unit="field")[0].pixels.shape == (480, 640, 3)


def test_the_camera_tells_no_truth_to_a_model_of_other_classes():
    camera = SyntheticCamera("cell", ("Benign", "Early"), 0)
    assert camera.truths == ()
    assert next(camera.frames()).truth is None


def test_the_capture_time_is_the_clock_around_rendering():
    ticks = itertools.count(0, 3_000_000)
    frame = next(SyntheticCamera("cell", LABELS, 0, clock=lambda: next(ticks)).frames())
    assert (frame.capture_ms, frame.captured_at) == (3.0, 3_000_000)


def test_a_camera_with_a_rate_is_live_and_waits_for_each_frame_s_time():
    slept: list[float] = []
    camera = SyntheticCamera("cell", LABELS, 0, rate=50, clock=lambda: 0, sleep=slept.append)
    assert camera.live
    assert not SyntheticCamera("cell", LABELS, 0).live
    list(itertools.islice(camera.frames(), 3))
    assert slept == pytest.approx([0.02, 0.04])


@pytest.mark.parametrize("rate", [None, 50])
def test_a_rate_changes_no_picture(rate):
    (frame,) = itertools.islice(SyntheticCamera("cell", LABELS, 3, rate).frames(), 1)
    assert np.array_equal(frame.pixels, shots(1, seed=3)[0].pixels)
