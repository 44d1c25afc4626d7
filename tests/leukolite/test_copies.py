"""A picture's copies are known again, whatever was done to them; other pictures are not taken for it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukolite.copies import HASH_CHARACTERS, SIDE, detail, find_copies, perceptual_hashes
from leukolite.synthetic import render_cell

OTHERS = 20


def cell(seed: int, side: int = 160) -> np.ndarray:
    return render_cell(np.random.default_rng(seed), ("blast", "healthy")[seed % 2], size=side)


def cut_out(seed: int, ground: int = 0) -> np.ndarray:
    """A round cell on one colour, as C-NMC's are on black: the outlines of all of them are alike."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (160, 160)).astype(np.float32), (0, 0), 6)
    pixels = np.stack([level + 25 * texture / texture.std() for level in (110, 60, 130)], axis=-1)
    y, x = np.mgrid[:160, :160]
    pixels[np.hypot(x - 80, y - 80) > 50 + seed % 3] = ground
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def saved_as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def turned(pixels: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of the square."""
    return np.ascontiguousarray(np.rot90(pixels if symmetry < 4 else pixels[:, ::-1], symmetry % 4))


def lit(pixels: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    return np.clip(np.rint(pixels * contrast + brightness), 0, 255).astype(np.uint8)


def known(copy: np.ndarray, original: np.ndarray) -> bool:
    return find_copies(np.stack([detail(copy)]), perceptual_hashes(np.stack([detail(original)]))) == [(0, 0)]


CHANGES = {
    "saved as JPEG of quality 95": lambda p: saved_as_jpeg(p, 95),
    "saved as JPEG of quality 60": lambda p: saved_as_jpeg(p, 60),
    "brighter by a tenth": lambda p: lit(p, 1.1, 0),
    "darker": lambda p: lit(p, 0.75, 0),
    "brighter by 10 levels": lambda p: lit(p, 1, 10),
    "of less contrast": lambda p: lit(p, 0.8, 20),
    "grey": lambda p: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., np.newaxis], 3, axis=2),
    "smaller": lambda p: cv2.resize(p, (96, 96), interpolation=cv2.INTER_AREA),
    "larger": lambda p: cv2.resize(p, (300, 300), interpolation=cv2.INTER_CUBIC),
    "cropped by 2% a side": lambda p: p[3:-3, 3:-3],
    "cropped by 5% a side": lambda p: p[8:-8, 8:-8],
    "cropped on the left": lambda p: p[4:-4, 8:],
    "cropped at a corner": lambda p: p[8:, 8:],
    "cropped on one side and stretched": lambda p: cv2.resize(p[:, 8:], (160, 160)),
    "blurred": lambda p: cv2.GaussianBlur(p, (0, 0), 1),
    "turned, cropped, saved and brightened": lambda p: lit(saved_as_jpeg(turned(p[5:-3, 2:-6], 5), 75), 1.08, 4),
    "turned by 180 degrees and darkened": lambda p: lit(turned(p, 2), 0.8, 0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("picture", [cell, cut_out], ids=["photographed", "cut out"])
def test_a_changed_copy_is_known_and_so_is_the_original_by_the_copy(picture, change):
    for seed in range(6):
        original = picture(seed)
        assert known(change(original), original)
        assert known(original, change(original))


@pytest.mark.parametrize("symmetry", range(8))
@pytest.mark.parametrize("picture", [cell, cut_out], ids=["photographed", "cut out"])
def test_a_picture_is_known_in_each_of_the_eight_symmetries(picture, symmetry):
    assert all(known(turned(picture(seed), symmetry), picture(seed)) for seed in range(6))


@pytest.mark.parametrize("ground", [0, 30, 255], ids=["black", "brightened black", "white"])
def test_round_cells_on_one_ground_are_not_each_others_copies(ground):
    details = np.stack([detail(cut_out(seed, ground)) for seed in range(OTHERS)])
    assert find_copies(details, perceptual_hashes(details)) == [(i, i) for i in range(OTHERS)]


def test_other_cells_are_no_copies():
    details = np.stack([detail(cell(seed)) for seed in range(3 * OTHERS)])
    assert find_copies(details, perceptual_hashes(details)) == [(i, i) for i in range(3 * OTHERS)]


@pytest.mark.parametrize("pixels", [np.full((40, 40, 3), level, np.uint8) for level in (0, 128, 255)], ids=[0, 128, 255])
def test_a_flat_picture_has_no_hash_and_is_no_copy(pixels):
    details = np.stack([detail(pixels)])
    assert perceptual_hashes(details) == [""]
    assert find_copies(details, ["", *perceptual_hashes(np.stack([detail(cell(0))]))]) == []


def test_nothing_has_no_copies():
    assert perceptual_hashes(np.empty((0, SIDE, SIDE), np.float32)) == []
    assert find_copies(np.empty((0, SIDE, SIDE), np.float32), ["A" * HASH_CHARACTERS]) == []
    assert find_copies(np.stack([detail(cell(0))]), []) == []


def test_a_hash_is_text_of_one_length():
    (text,) = perceptual_hashes(np.stack([detail(cell(0))]))
    assert len(text) == HASH_CHARACTERS
    assert text.isascii()


@given(shape=st.tuples(st.integers(8, 90), st.integers(8, 90)), seed=st.integers(0, 99))
def test_a_picture_of_any_shape_has_a_detail_and_is_its_own_copy(shape, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert detail(pixels).shape == (SIDE, SIDE)
    assert np.isfinite(detail(pixels)).all()
    assert known(pixels, pixels)


@settings(max_examples=25)
@given(first=st.integers(0, 7), second=st.integers(0, 7), seed=st.integers(0, 30), darker=st.floats(0.7, 1))
def test_the_symmetry_of_either_picture_does_not_matter(first, second, seed, darker):
    pixels = cell(seed, 96)
    assert known(turned(lit(pixels, darker, 0), first), turned(pixels, second))
    assert not known(turned(cell(seed + 1, 96), first), turned(pixels, second))


@settings(max_examples=25)
@given(st.tuples(*[st.integers(0, 8)] * 4), st.integers(0, 30))
def test_a_crop_of_up_to_a_twentieth_a_side_is_known(sides, seed):
    pixels = cell(seed)
    left, top, right, bottom = sides
    assert known(pixels[top : 160 - bottom, left : 160 - right], pixels)


@settings(max_examples=10)
@given(st.permutations(range(8)))
def test_the_order_of_the_pictures_does_not_matter(order):
    pictures = [cell(seed, 96) for seed in range(5)]
    pictures += [turned(pictures[1], 3), lit(pictures[2], 0.8, 0), pictures[4][3:, 3:]]
    details = np.stack([detail(picture) for picture in pictures])

    def pairs(at: list[int]) -> set[tuple[int, int]]:
        chosen = details[at]
        return {(at[i], at[j]) for i, j in find_copies(chosen, perceptual_hashes(chosen), both_ways=True)}

    def joined(found: set[tuple[int, int]]) -> set[tuple[int, ...]]:
        return {tuple(sorted(pair)) for pair in found if pair[0] != pair[1]}

    assert joined(pairs(list(order))) == joined(pairs(list(range(8)))) == {(1, 5), (2, 6), (4, 7)}
