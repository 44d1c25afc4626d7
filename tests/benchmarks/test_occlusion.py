import numpy as np
import pytest

from leukolite.benchmarks.occlusion import OCCLUSIONS, cover_background, cover_border, cover_scale_bar, occlusion_map
from leukolite.classes import Classes
from leukolite.classifier import Classifier
from leukolite.manifest import TensorFormat
from leukolite.preprocess import InputSpec
from leukolite.runtime import RuntimeInfo, Tensor
from leukolite.synthetic import render_cell


class Corner:
    """A runtime that looks at the top left corner alone: the darker, the more it is of class 0."""

    info = RuntimeInfo(name="corner", version="1", threads=1)
    input = Tensor((1, 32, 32, 3), TensorFormat(dtype="uint8", scale=1 / 255))
    output = Tensor((1, 2), TensorFormat(dtype="float32"))

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        light = batch[0, :8, :8].mean() / 255
        return np.array([1 - light, light], np.float32)


@pytest.fixture
def smear() -> np.ndarray:
    return render_cell(np.random.default_rng(0), "blast", size=200)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


@pytest.mark.parametrize("cover", OCCLUSIONS.values(), ids=OCCLUSIONS)
def test_a_cover_keeps_shape_type_and_the_picture_given(smear, cover):
    before = smear.copy()
    covered = cover(smear)
    assert (covered.shape, covered.dtype) == (smear.shape, np.uint8)
    assert np.array_equal(smear, before)
    assert changed(before, covered).any()


def test_the_scale_bar_is_in_the_bottom_right_corner(smear):
    where = changed(smear, cover_scale_bar(smear))
    assert where[180:, 175:].mean() > 0.9
    assert not where[:170].any()
    assert not where[:, :165].any()


def test_the_border_is_a_tenth_of_each_side(smear):
    where = changed(smear, cover_border(smear))
    assert not where[20:180, 20:180].any()
    assert where[:20].mean() > 0.9
    assert where[:, 180:].mean() > 0.9


def test_without_background_the_cell_is_left(smear):
    where = changed(smear, cover_background(smear))
    assert not where[80:120, 80:120].any()
    assert where[:20].mean() > 0.7


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (640, 480)])
@pytest.mark.parametrize("cover", OCCLUSIONS.values(), ids=OCCLUSIONS)
def test_a_cover_takes_pictures_of_any_shape(cover, shape):
    assert cover(np.full((*shape, 3), 200, np.uint8)).shape == (*shape, 3)


def test_the_map_is_bright_where_the_class_depends_on_the_picture_and_flat_elsewhere():
    classifier = Classifier(Corner(), Classes.of(("dark", "light")), InputSpec(height=32, width=32))
    picture = np.full((32, 32, 3), 250, np.uint8)
    picture[:8, :8] = 0
    heat = occlusion_map(classifier, picture, 0)
    assert heat.shape == (32, 32)
    assert heat[:6, :6].min() > 0
    assert np.abs(heat[12:, 12:]).max() == 0
    assert np.allclose(occlusion_map(classifier, picture, 1), -heat, atol=1e-6), (
        "what speaks for one class speaks against the other"
    )
