from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.class_folders import PARTS
from leukolite.errors import DatasetError
from leukolite.train.datasets import Dataset, Sample
from leukolite.train.splits import Split, k_folds, split_by_folders, split_by_group, split_from_hashes

PAPER = (0.7, 0.1, 0.2)


def dataset(*classes: int) -> Dataset:
    """A dataset of so many images a class, without files."""
    labels = [k for k, n in enumerate(classes) for _ in range(n)]
    samples = tuple(Sample(Path(f"{i}.png"), k, None, f"{i:064x}") for i, k in enumerate(labels))
    return Dataset(Path("data"), "folders", None, tuple(f"class {k}" for k in range(len(classes))), (), samples, ())


def alone(data: Dataset) -> np.ndarray:
    """Groups of one image each."""
    return np.arange(len(data.samples))


def sizes(data: Dataset, split: Split, label: int) -> tuple[int, ...]:
    return tuple(list(data.counts(split.part(name)).values())[label] for name in PARTS)


def everything(split: Split) -> list[int]:
    return sorted([*split.train, *split.validation, *split.test])


def expected_sizes(n: int) -> tuple[int, int, int]:
    """0.7 and 0.1 rounded down, in integers."""
    return n * 7 // 10, n // 10, n - n * 7 // 10 - n // 10


def test_fold_0_of_cnmc_is_split_as_in_the_paper():
    data = dataset(2397, 1130)
    split = split_by_group(data, alone(data), PAPER, seed=0)
    assert sizes(data, split, 0) == (1677, 239, 481)
    assert sizes(data, split, 1) == (791, 113, 226)


@pytest.mark.parametrize("classes", [(2397, 1130), (2418, 1163), (2457, 1096), (353, 689, 674, 563), (104, 104), (10, 11)])
def test_training_and_validation_are_rounded_down_and_the_test_part_has_the_rest(classes):
    data = dataset(*classes)
    split = split_by_group(data, alone(data), PAPER, seed=1)
    assert [sizes(data, split, k) for k in range(len(classes))] == [expected_sizes(n) for n in classes]


def test_without_a_test_part_the_rest_trains():
    data = dataset(59, 31)
    split = split_by_group(data, alone(data), (0.9, 0.1, 0.0), seed=0)
    assert [sizes(data, split, k) for k in range(2)] == [(54, 5, 0), (28, 3, 0)]


@given(st.lists(st.integers(10, 60), min_size=2, max_size=4), st.integers(0, 2**32))
def test_parts_are_disjoint_and_cover_the_dataset(classes, seed):
    data = dataset(*classes)
    split = split_by_group(data, alone(data), PAPER, seed)
    assert everything(split) == list(range(len(data.samples)))
    assert all(list(split.part(name)) == sorted(split.part(name)) for name in PARTS)


@given(st.lists(st.integers(40, 80), min_size=2, max_size=3), st.integers(1, 3), st.integers(0, 2**32))
def test_what_belongs_together_is_never_parted(classes, most, seed):
    data = dataset(*classes)
    n = len(data.samples)
    # groups may join images of two classes, as a patient may have both
    groups = np.random.default_rng(seed).permutation(n) // most
    split = split_by_group(data, groups, PAPER, seed)
    assert everything(split) == list(range(n))
    sides = [{int(groups[i]) for i in split.part(name)} for name in PARTS]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_pairs_of_copies_leave_the_counts_exact():
    data = dataset(353, 689)
    groups = alone(data)
    groups[1:80:2] = groups[0:80:2]  # 40 pairs, as Taleqani has them
    split = split_by_group(data, np.unique(groups, return_inverse=True)[1], PAPER, seed=3)
    assert [sizes(data, split, k) for k in range(2)] == [expected_sizes(n) for n in (353, 689)]


def test_subjects_are_kept_whole_and_the_parts_near_their_fractions():
    data = dataset(600, 300)
    subjects = np.array([i % 20 if i < 600 else 20 + i % 10 for i in range(900)])
    split = split_by_group(data, subjects, PAPER, seed=0)
    assert abs(len(split.train) / 900 - 0.7) < 0.05
    assert abs(len(split.test) / 900 - 0.2) < 0.05


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    data = dataset(50, 40)
    assert split_by_group(data, alone(data), PAPER, 7) == split_by_group(data, alone(data), PAPER, 7)
    assert split_by_group(data, alone(data), PAPER, 7) != split_by_group(data, alone(data), PAPER, 8)


@pytest.mark.parametrize("n", [1, 2])
def test_a_class_too_small_for_its_parts_is_refused_by_name_and_count(n):
    data = dataset(50, n)
    with pytest.raises(DatasetError, match=f"class class 1 has {n} image"):
        split_by_group(data, alone(data), PAPER, 0)


def test_a_class_of_one_image_many_times_is_refused():
    data = dataset(50, 50)
    groups = np.array([*range(50), *[50] * 50])
    with pytest.raises(DatasetError, match="too few groups"):
        split_by_group(data, groups, PAPER, 0)


@pytest.mark.parametrize("fractions", [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (0.9, 0.1), (0.7, 0.1, 0.1, 0.1)])
def test_fractions_that_do_not_add_up_are_a_programming_error(fractions):
    data = dataset(50, 50)
    with pytest.raises(ValueError, match="three fractions that add up to 1"):
        split_by_group(data, alone(data), fractions, 0)


# folds


def fold_tests(splits: Sequence[Split]) -> Counter:
    return Counter(i for split in splits for i in split.test)


def test_the_test_parts_of_the_folds_cover_the_dataset_once():
    data = dataset(40, 25)
    splits = k_folds(data, alone(data), 5, seed=0)
    assert len(splits) == 5
    assert fold_tests(splits) == Counter(range(65))
    assert all(everything(split) == list(range(65)) for split in splits)


def test_no_group_crosses_a_fold():
    data = dataset(60, 60)
    groups = np.arange(120) // 4
    for split in k_folds(data, groups, 3, seed=0):
        assert not {int(groups[i]) for i in split.test} & {int(groups[i]) for i in (*split.train, *split.validation)}
        assert not {int(groups[i]) for i in split.train} & {int(groups[i]) for i in split.validation}


def test_more_folds_than_groups_are_refused():
    data = dataset(60, 60)
    groups = np.array([*range(60), *(60 + np.arange(60) % 2)])
    with pytest.raises(DatasetError, match="class class 1 has fewer groups of images than 3 folds"):
        k_folds(data, groups, 3, seed=0)


# a split by folders


def parted(data: Dataset, *sizes: int) -> Dataset:
    """The first images of each class train, the next validate, the rest test."""
    seen = Counter[int]()
    samples = []
    for sample in data.samples:
        place = seen[sample.label]
        seen[sample.label] += 1
        part = PARTS[0] if place < sizes[0] else PARTS[1] if place < sizes[0] + sizes[1] else PARTS[2]
        samples.append(replace(sample, part=part))
    return replace(data, samples=tuple(samples))


def test_folders_are_the_split_that_they_make():
    data = parted(dataset(30, 20), 10, 5)
    split, moved = split_by_folders(data, alone(data), PAPER, 0)
    assert (split.train, split.validation, split.test, moved) == (*data.parts.values(), 0)


def test_without_a_folder_that_validates_a_share_of_training_does():
    data = parted(dataset(40, 24), 16, 0)
    split, _ = split_by_folders(data, alone(data), PAPER, 0)
    assert split.test == data.parts["test"]
    assert sorted((*split.train, *split.validation)) == list(data.parts["train"])
    assert [sizes(data, split, k)[1] for k in range(2)] == [2, 2]


def test_copies_on_two_sides_of_a_split_by_folders_all_train():
    data = parted(dataset(30, 20), 10, 5)
    groups = alone(data)
    groups[data.parts["test"][0]] = groups[data.parts["validation"][0]]
    split, moved = split_by_folders(data, groups, PAPER, 0)
    assert moved == 2
    assert {data.parts["test"][0], data.parts["validation"][0]} <= set(split.train)


def test_folders_without_a_training_part_are_refused():
    data = parted(dataset(30, 20), 0, 5)
    with pytest.raises(DatasetError, match="no training part, there is only validation and test"):
        split_by_folders(data, alone(data), PAPER, 0)
    with pytest.raises(DatasetError, match="no training part, there is no train, validation or test"):
        split_by_folders(dataset(30, 20), alone(data), PAPER, 0)


def test_a_class_that_no_folder_trains_is_refused():
    data = parted(dataset(30, 20), 10, 5)
    data = replace(data, samples=tuple(s for s in data.samples if s.part != "train" or s.label == 0))
    with pytest.raises(DatasetError, match="class class 1 has no image in the training part"):
        split_by_folders(data, alone(data), PAPER, 0)


# a saved split


def saved(data: Dataset, split: Split) -> dict[str, set[str]]:
    return {name: {data.samples[i].sha256 for i in split.part(name)} for name in PARTS}


def test_a_saved_split_comes_back_whatever_the_order_of_the_files():
    data = dataset(30, 20)
    split = split_by_group(data, alone(data), PAPER, 0)
    shuffled = Dataset(data.root, data.layout, None, data.labels, (), data.samples[::-1], ())
    again, moved = split_from_hashes(shuffled, alone(data), saved(data, split))
    assert moved == 0
    assert saved(shuffled, again) == saved(data, split)


def test_images_that_a_saved_split_does_not_name_are_left_out():
    data = dataset(30, 20)
    parts = saved(data, split_by_group(data, alone(data), PAPER, 0))
    dropped = parts["train"].pop()
    again, _ = split_from_hashes(data, alone(data), parts)
    assert dropped not in {data.samples[i].sha256 for i in everything(again)}
    assert len(everything(again)) == 49


def test_what_a_saved_split_parts_although_it_belongs_together_all_trains():
    data = dataset(30, 20)
    split = split_by_group(data, alone(data), PAPER, 0)
    groups = alone(data)
    groups[split.test[0]] = groups[split.train[0]]
    again, moved = split_from_hashes(data, groups, saved(data, split))
    assert moved == 1
    assert set(again.train) == {*split.train, split.test[0]}
    assert everything(again) == everything(split)


def test_a_saved_split_of_images_that_are_not_here_is_refused_with_their_number():
    data = dataset(30, 20)
    parts = saved(data, split_by_group(data, alone(data), PAPER, 0))
    parts["test"] |= {"f" * 64, "e" * 64}
    with pytest.raises(DatasetError, match="not in this folder: 2 images of the saved split"):
        split_from_hashes(data, alone(data), parts)
