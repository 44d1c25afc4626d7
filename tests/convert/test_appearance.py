"""The ranges of training pictures, fitted; and added to bundles made before the quality gates without a conversion."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import unsealed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leukolite.appearance import measure
from leukolite.bundle import Bundle
from leukolite.convert.appearance import LEAST_SAMPLE, SAMPLE, add_appearance, fit_ranges, sampled
from leukolite.convert.card import model_card
from leukolite.errors import DatasetError
from leukolite.files import write_file
from leukolite.manifest import RANGES, AppearanceRanges
from leukolite.synthetic import LABELS, render_cell
from leukolite.train.datasets import open_dataset

STATS = [measure(render_cell(np.random.default_rng(i), LABELS[i % 2], size=224)) for i in range(60)]


def test_the_ranges_hold_nearly_all_that_they_were_made_of():
    found = fit_ranges(STATS)
    assert isinstance(found, AppearanceRanges)
    assert found.images == len(STATS)
    for name in RANGES:
        low, high = getattr(found, name)
        inside = [(low is None or getattr(one, name) >= low) and (high is None or getattr(one, name) <= high) for one in STATS]
        assert all(inside), name


def test_no_margin_reaches_where_swapped_pictures_lie():
    found = fit_ranges(STATS)
    assert found is not None
    assert max(one.red_over_blue for one in STATS) < 0
    assert found.red_over_blue[1] is not None
    assert found.red_over_blue[1] <= 0


def test_too_few_pictures_do_not_tell_what_is_usual():
    assert fit_ranges(STATS[: LEAST_SAMPLE - 1]) is None


@given(st.integers(0, 5000), st.integers(0, 100))
def test_a_sample_is_in_order_without_doubles_and_the_same_for_the_same_seed(count, seed):
    chosen = sampled(count, seed)
    assert chosen == sorted(set(chosen)) == sampled(count, seed)
    assert len(chosen) == min(count, SAMPLE)
    assert all(0 <= i < count for i in chosen)


# a bundle of before


@pytest.fixture
def old(tiny_bundle, tmp_path) -> Path:
    return unsealed(shutil.copytree(tiny_bundle, tmp_path / "old"))


@pytest.fixture
def more_cells(tmp_path) -> Path:
    folder = tmp_path / "more"
    for k, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            Image.fromarray(render_cell(np.random.default_rng([9, k, i]), label, size=64)).save(folder / label / f"{i}.png")
    (folder / "synthetic.json").write_text("{}")
    return folder


def seen_by(path: Path, folder: Path) -> None:
    """Let the bundle have been trained with a folder's pictures."""
    manifest = Bundle.load(path).manifest
    assert manifest.training is not None
    seen = sorted(sample.sha256[:12] for sample in open_dataset(folder).samples)
    changed = manifest.model_copy(update={"training": manifest.training.model_copy(update={"seen": seen})})
    write_file(path / "manifest.json", changed.model_dump_json(indent=1), force=True)


def test_few_training_pictures_leave_a_bundle_without_ranges(tiny_bundle):
    assert Bundle.load(tiny_bundle).manifest.appearance is None


def test_the_ranges_of_the_seen_pictures_go_into_manifest_and_card_and_nothing_else_changes(old, more_cells):
    seen_by(old, more_cells)
    before, kept = Bundle.load(old), {name: (old / name).read_bytes() for name in ("model.tflite", "labels.txt", "golden.npz")}
    script = [sys.executable, "-m", "leukolite.convert.appearance", str(old), str(more_cells)]
    subprocess.run(script, check=True, capture_output=True)
    after = Bundle.load(old)
    assert after.manifest.appearance is not None
    assert after.manifest.appearance.images == 60
    assert after.manifest.model_copy(update={"appearance": None}) == before.manifest
    assert (old / "README.md").read_text() == model_card(after.manifest, len(after.model))
    assert "What is not classified" in (old / "README.md").read_text()
    assert {name: (old / name).read_bytes() for name in kept} == kept


def test_pictures_that_the_model_never_saw_give_no_ranges(old, more_cells):
    before = (old / "manifest.json").read_bytes()
    with pytest.raises(DatasetError, match="holds 0 of the pictures that tiny was trained with, 50 are needed"):
        add_appearance(old, more_cells)
    assert (old / "manifest.json").read_bytes() == before
