from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.errors import DatasetError
from leukolite.synthetic import LABELS, render_cell
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.duplicates import group, near_duplicates, without_contradictions
from leukolite.train.fit import prepare
from leukolite.train.recipes import RECIPES, resolve
from leukolite.train.survey import survey

RECIPE = resolve(RECIPES["small_cnn"], {"side": 64})


def cells(count: int) -> list[np.ndarray]:
    return [render_cell(np.random.default_rng(i), LABELS[i % 2], size=96) for i in range(count)]


def saved_as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def changed(pixels: np.ndarray) -> np.ndarray:
    """Cropped, turned, mirrored, darkened and saved again."""
    return saved_as_jpeg(cv2.convertScaleAbs(np.rot90(pixels[2:-3, 4:-1], 1)[:, ::-1], alpha=0.9), 80)


def test_no_images_have_no_pairs():
    assert near_duplicates(np.empty((0, 8, 8, 3), np.uint8)) == []


def test_the_same_picture_saved_again_is_found_and_other_cells_are_not():
    pictures = cells(6)
    pictures += [pictures[2].copy(), saved_as_jpeg(pictures[4], 60)]
    pairs = near_duplicates(np.stack(pictures))
    assert pairs == [(2, 6), (4, 7)]


@pytest.mark.parametrize("symmetry", range(8))
def test_a_turned_or_mirrored_picture_is_found(symmetry):
    pictures = cells(6)
    pictures.append(np.rot90(pictures[3] if symmetry < 4 else pictures[3][::-1], symmetry % 4))
    assert near_duplicates(np.stack(pictures)) == [(3, 6)]


def test_each_picture_is_counted_for_a_progress_bar():
    done = []
    near_duplicates(np.stack(cells(5)), lambda: done.append(1))
    assert len(done) == 5


def test_a_flat_picture_is_no_error():
    assert near_duplicates(np.zeros((2, 32, 32, 3), np.uint8)) == []


def test_what_belongs_together_through_a_third_is_one_group():
    groups = group(5, [(0, 1), (1, 2)])
    assert groups[0] == groups[1] == groups[2]
    assert len({int(g) for g in groups}) == 3


def test_images_of_one_key_are_one_group_and_none_joins_nothing():
    groups = group(4, [], [["a", None, "a", None]])
    assert groups[0] == groups[2]
    assert len({int(g) for g in groups}) == 3


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_groups_are_numbered_from_zero_and_hold_every_pair(pairs):
    groups = group(20, pairs)
    assert groups.shape == (20,)
    assert set(groups.tolist()) == set(range(groups.max() + 1))
    assert all(groups[i] == groups[j] for i, j in pairs)


# copies in two classes


@pytest.fixture
def contradictory(tmp_path: Path) -> Path:
    """Ten cells of each class; changed copies of blasts 3 and 4 stand among the healthy ones, and 3 twice among its own."""
    for k, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        for i in range(10):
            pixels = render_cell(np.random.default_rng([k, i]), label, size=96)
            cv2.imwrite(str(tmp_path / label / f"{i:02}.png"), pixels)
    blasts = [cv2.imread(str(tmp_path / "blast" / f"{i:02}.png")) for i in range(10)]
    cv2.imwrite(str(tmp_path / "healthy" / "like-3.jpg"), changed(blasts[3]))
    cv2.imwrite(str(tmp_path / "healthy" / "like-4.png"), blasts[4][::-1])
    cv2.imwrite(str(tmp_path / "blast" / "again-3.bmp"), np.rot90(blasts[3]))
    cv2.imwrite(str(tmp_path / "blast" / "again-5.jpg"), changed(blasts[5]))
    return tmp_path


def skipped(dataset: Dataset) -> dict[str, str]:
    return {item.path.relative_to(dataset.root).as_posix(): item.reason for item in dataset.unusable}


ASIDE = {"blast/03.png", "blast/04.png", "blast/again-3.bmp", "healthy/like-3.jpg", "healthy/like-4.png"}


def test_copies_in_two_classes_are_set_aside_each_with_the_others_name_and_class(contradictory):
    prepared = prepare(open_dataset(contradictory), RECIPE)
    reasons = skipped(prepared.dataset)
    assert set(reasons) == ASIDE
    assert reasons["healthy/like-4.png"] == "copy of a picture in another class (blast/04.png in blast)"
    assert reasons["blast/04.png"] == "copy of a picture in another class (healthy/like-4.png in healthy)"
    assert "healthy/like-3.jpg" in reasons["blast/again-3.bmp"]
    assert len(prepared.pixels) == len(prepared.dataset.samples) == len(prepared.copies) == len(prepared.families) == 19


def test_copies_in_one_class_stay_and_share_a_group(contradictory):
    prepared = prepare(open_dataset(contradictory), RECIPE)
    names = [sample.path.name for sample in prepared.dataset.samples if sample.label == 0]
    assert prepared.copies[names.index("05.png")] == prepared.copies[names.index("again-5.jpg")]
    assert len(set(prepared.copies.tolist())) == 18


def test_a_survey_names_them_too(contradictory):
    found = survey(open_dataset(contradictory))
    assert {item.path.relative_to(contradictory).as_posix() for item in found.unusable} == ASIDE
    assert found.near_copies == (("blast/05.png", "blast/again-5.jpg"),)
    assert found.counts == {"blast": 9, "healthy": 10}


def test_a_class_of_which_nothing_is_left_is_refused_with_the_reason(tmp_path):
    for label, turns in (("a", 0), ("b", 1)):
        (tmp_path / label).mkdir()
        cv2.imwrite(str(tmp_path / label / "one.png"), np.rot90(cells(1)[0], turns))
    with pytest.raises(DatasetError, match=r"no usable image of class a, b .*copy of a picture in another class"):
        prepare(open_dataset(tmp_path), RECIPE)


def test_pairs_are_renumbered_without_what_was_set_aside(contradictory):
    dataset = open_dataset(contradictory)
    clear = without_contradictions(dataset, [(0, len(dataset.samples) - 1), (2, 3)])
    assert clear.kept == list(range(1, len(dataset.samples) - 1))
    assert clear.pairs == [(1, 2)]
    assert clear.copies[1] == clear.copies[2]
