"""Decoded images on disk: the same pixels as decoding gives, never stale, never damaged."""

import shutil

import numpy as np
import pytest
from PIL import Image

from leukolite.advice import ADVICE
from leukolite.errors import DatasetError
from leukolite.preprocess import InputSpec
from leukolite.train import cache
from leukolite.train.cache import load_cached
from leukolite.train.datasets import load_images, open_dataset

SPEC = InputSpec(height=16, width=16)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / "data" / label / f"{i}.png")
    (tmp_path / "data" / "cats" / "bad.png").write_text("no image")
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch):
    """How many images were decoded."""
    calls: list[None] = []

    def counting(dataset, spec, on_image):
        calls.extend([None] * len(dataset.samples))
        return load_images(dataset, spec, on_image)

    monkeypatch.setattr(cache, "load_images", counting)
    return calls


def same(one, other):
    return one[0] == other[0] and np.array_equal(one[1], other[1])


def test_the_second_time_nothing_is_decoded_and_pixels_and_unusable_files_are_the_same(data, tmp_path, decoded):
    first = load_cached(open_dataset(data), SPEC, tmp_path / "cache")
    assert len(decoded) == 7
    second = load_cached(open_dataset(data), SPEC, tmp_path / "cache")
    assert len(decoded) == 7
    assert same(first, second)
    assert same(first, load_images(open_dataset(data), SPEC))
    assert [item.path.name for item in second[0].unusable] == ["bad.png"]


def test_files_that_moved_are_not_decoded_again(data, tmp_path, decoded):
    load_cached(open_dataset(data), SPEC, tmp_path / "cache")
    shutil.move(data, tmp_path / "elsewhere")
    dataset, _ = load_cached(open_dataset(tmp_path / "elsewhere"), SPEC, tmp_path / "cache")
    assert len(decoded) == 7
    assert all(sample.path.is_file() for sample in dataset.samples)


@pytest.mark.parametrize("change", ["an image", "the crop"])
def test_what_changed_is_decoded_again(data, tmp_path, decoded, change):
    load_cached(open_dataset(data), SPEC, tmp_path / "cache")
    spec = SPEC.model_copy(update={"crop_fraction": 0.5}) if change == "the crop" else SPEC
    if change == "an image":
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(data / "dogs" / "0.png")
    assert same(load_cached(open_dataset(data), spec, tmp_path / "cache"), load_images(open_dataset(data), spec))
    assert len(decoded) == 14


@pytest.mark.parametrize("harm", ["a flipped byte", "cut short", "emptied", "no record"])
def test_a_damaged_entry_is_decoded_again(data, tmp_path, decoded, harm):
    whole = load_cached(open_dataset(data), SPEC, tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").glob("*/pixels.npy")
    content = bytearray(pixels.read_bytes())
    content[-1] ^= 1
    if harm == "no record":
        (pixels.parent / "cache.json").unlink()
    else:
        pixels.write_bytes({"a flipped byte": content, "cut short": content[:-100], "emptied": b""}[harm])
    assert same(load_cached(open_dataset(data), SPEC, tmp_path / "cache"), whole)
    assert len(decoded) == 14


def test_two_trainings_that_decode_at_once_both_go_on(data, tmp_path, monkeypatch):
    def meanwhile(dataset, spec, on_image):
        if not any((tmp_path / "cache").glob("*/pixels.npy")):
            monkeypatch.setattr(cache, "load_images", load_images)
            load_cached(dataset, spec, tmp_path / "cache")  # the other one is first
        return load_images(dataset, spec, on_image)

    monkeypatch.setattr(cache, "load_images", meanwhile)
    assert same(load_cached(open_dataset(data), SPEC, tmp_path / "cache"), load_images(open_dataset(data), SPEC))


def test_no_cache_writes_nothing(data, tmp_path):
    load_cached(open_dataset(data), SPEC, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_place_that_cannot_be_written_is_one_clear_line(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file is a file, not a folder\); choose another place$") as caught:
        load_cached(open_dataset(data), SPEC, tmp_path / "file" / "cache")
    assert ADVICE[caught.value.advice or ""] == "give one with --cache DIR, or --cache none to decode each time"


def test_the_entry_unused_for_longest_goes_first(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 10_000)  # two entries of six 16x16 images
    place, specs = tmp_path / "cache", [SPEC.model_copy(update={"crop_fraction": f}) for f in (0.5, 0.6, 0.7)]
    for spec in specs:
        load_cached(open_dataset(data), spec, place)
        names = {path.name for path in place.iterdir()}
    kept = {cache._key(open_dataset(data), spec) for spec in specs[1:]}
    assert names == kept
