"""No subject, copy or near-copy ever stands on two sides of a split, and a planted leak is refused."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from leukolite.class_folders import PARTS
from leukolite.errors import DatasetError, TrainingError
from leukolite.preprocess import InputSpec
from leukolite.synthetic import render_cell
from leukolite.train.datasets import Dataset, Sample, open_dataset
from leukolite.train.fit import Prepared, SplitPlan, make_splits, prepare
from leukolite.train.recipes import RECIPES, resolve
from leukolite.train.runs import load_split, split_record
from leukolite.train.splits import Split, k_folds, split_by_group, split_from_hashes

RECIPE = resolve(RECIPES["small_cnn"], {"side": 32, "split": (0.6, 0.2, 0.2)})


def cnmc_like(images_of: dict[str, int], labels: dict[str, int]) -> Dataset:
    """Samples named after subjects, without files."""
    samples = [
        Sample(Path(f"/data/{subject}_{i}.bmp"), labels[subject], subject, f"{subject}-{i}".encode().hex().zfill(64))
        for subject, n in images_of.items()
        for i in range(n)
    ]
    return Dataset(Path("/data"), "c-nmc", "cell", ("all", "hem"), ("all",), tuple(samples), ())


@pytest.fixture
def subjects() -> Dataset:
    rng = np.random.default_rng(5)
    images_of = {f"{k}": int(rng.integers(20, 150)) for k in range(19)} | {f"H{k}": int(rng.integers(20, 150)) for k in range(9)}
    return cnmc_like(images_of, {name: int(name.startswith("H")) for name in images_of})


def families(dataset: Dataset) -> np.ndarray:
    return np.unique([sample.subject for sample in dataset.samples], return_inverse=True)[1]


def subjects_of(dataset: Dataset, indices: tuple[int, ...]) -> set[str | None]:
    return {dataset.samples[i].subject for i in indices}


def test_no_subject_crosses_a_split_by_subject(subjects: Dataset) -> None:
    for seed in range(5):
        split = split_by_group(subjects, families(subjects), (0.7, 0.1, 0.2), seed)
        seen = [subjects_of(subjects, split.part(name)) for name in PARTS]
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]
        assert sum(len(split.part(name)) for name in PARTS) == len(subjects.samples)


def test_a_split_by_subject_comes_near_its_fractions(subjects: Dataset) -> None:
    split = split_by_group(subjects, families(subjects), (0.7, 0.1, 0.2), 0)
    n = len(subjects.samples)
    assert len(split.train) / n == pytest.approx(0.7, abs=0.08)
    assert len(split.test) / n == pytest.approx(0.2, abs=0.08)


def test_folds_cover_everything_once_and_no_subject_crosses(subjects: Dataset) -> None:
    splits = k_folds(subjects, families(subjects), 3, 0)
    tests = [i for split in splits for i in split.test]
    assert sorted(tests) == list(range(len(subjects.samples)))
    for split in splits:
        assert not subjects_of(subjects, split.test) & subjects_of(subjects, split.train + split.validation)
        assert not subjects_of(subjects, split.train) & subjects_of(subjects, split.validation)


def test_more_folds_than_subjects_are_refused(subjects: Dataset) -> None:
    with pytest.raises(DatasetError, match="hem has fewer groups"):
        k_folds(subjects, families(subjects), 10, 0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A folder of cells in which every fourth has a copy, recompressed, under another name."""
    root = tmp_path_factory.mktemp("planted")
    for k, label in enumerate(("blast", "healthy")):
        (root / label).mkdir()
        for i in range(20):
            pixels = render_cell(np.random.default_rng([k, i]), label, size=64)
            cv2.imwrite(str(root / label / f"{i:02}.png"), pixels)
            if i % 4 == 0:
                cv2.imwrite(str(root / label / f"{i:02}-again.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return prepare(open_dataset(root), RECIPE)


def part_of(prepared: Prepared, split: Split) -> dict[str, str]:
    return {prepared.dataset.samples[i].path.name: name for name in PARTS for i in split.part(name)}


def test_a_planted_near_copy_never_crosses(planted: Prepared) -> None:
    for seed in range(6):
        (split,) = make_splits(planted, RECIPE, "image", seed).splits
        named = {
            f"{planted.dataset.samples[i].path.relative_to(planted.dataset.root)}": name
            for name in PARTS
            for i in split.part(name)
        }
        for name, part in named.items():
            if "-again" in name:
                assert named[name.replace("-again.jpg", ".png")] == part


def test_a_planted_leak_is_refused(planted: Prepared, tmp_path: Path) -> None:
    (split,) = make_splits(planted, RECIPE, "image", 0).splits
    record = json.loads(split_record(planted.dataset, split, planted.copies))
    leaked = next(entry for entry in record["train"] if "-again" in entry["path"])
    record["train"].remove(leaked)
    record["test"].append(leaked)
    (tmp_path / "split.json").write_text(json.dumps(record))
    with pytest.raises(TrainingError, match="the split leaks"):
        load_split(tmp_path / "split.json")


def test_a_subject_on_two_sides_is_refused_where_none_is_claimed(subjects: Dataset, tmp_path: Path) -> None:
    groups = np.arange(len(subjects.samples))
    split = split_by_group(subjects, groups, (0.7, 0.1, 0.2), 0)
    (tmp_path / "split.json").write_text(split_record(subjects, split, groups))
    load_split(tmp_path / "split.json")
    with pytest.raises(TrainingError, match="have one subject"):
        load_split(tmp_path / "split.json", by_subject=True)


def test_a_saved_split_is_repeated_on_moved_files(planted: Prepared, tmp_path: Path) -> None:
    (split,) = make_splits(planted, RECIPE, "image", 3).splits
    (tmp_path / "split.json").write_text(split_record(planted.dataset, split, planted.copies))
    assert make_splits(planted, RECIPE, str(tmp_path / "split.json"), 99) == SplitPlan((split,), "image")


def test_a_repeated_split_by_subject_still_claims_to_be_one(subjects: Dataset, tmp_path: Path) -> None:
    alone = np.arange(len(subjects.samples))
    prepared = Prepared(subjects, InputSpec(height=8, width=8), np.zeros((len(alone), 8, 8, 3), np.uint8), alone, alone)
    for by, groups in (("subject", families(subjects)), ("image", alone)):
        split = split_by_group(subjects, groups, (0.7, 0.1, 0.2), 0)
        (tmp_path / f"{by}.json").write_text(split_record(subjects, split, alone))
        assert make_splits(prepared, RECIPE, str(tmp_path / f"{by}.json"), 0).by == by


def test_images_that_a_saved_split_does_not_name_are_counted(planted: Prepared, tmp_path: Path) -> None:
    (split,) = make_splits(planted, RECIPE, "image", 3).splits
    fewer = replace(split, train=split.train[2:])
    (tmp_path / "split.json").write_text(split_record(planted.dataset, fewer, planted.copies))
    assert make_splits(planted, RECIPE, str(tmp_path / "split.json"), 0).left_out == 2


def test_a_saved_split_of_other_images_is_refused(planted: Prepared) -> None:
    with pytest.raises(DatasetError, match="1 image of the saved split"):
        split_from_hashes(planted.dataset, planted.copies, {"train": {"0" * 64}, "validation": set(), "test": set()})


@pytest.mark.parametrize("split_by", ["subject", "kfold:1", "kfold:x", "no/such/run"])
def test_an_impossible_split_is_one_clear_error(planted: Prepared, split_by: str) -> None:
    with pytest.raises(TrainingError):
        make_splits(planted, RECIPE, split_by, 0)


def test_copies_that_a_saved_split_puts_on_two_sides_are_moved_to_training(planted: Prepared) -> None:
    samples = planted.dataset.samples
    parts = {"train": set(), "validation": set(), "test": set()}
    for sample in samples:
        parts["test" if "-again" in sample.path.name else "validation" if "01" in sample.path.name else "train"].add(
            sample.sha256
        )
    split, moved = split_from_hashes(planted.dataset, planted.copies, parts)
    assert moved == 10
    assert split.test == ()
    assert len(split.train) + len(split.validation) == len(samples)
