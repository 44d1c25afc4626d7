"""A head on fixed features, and the features kept on disk."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from leukolite.errors import TrainingError
from leukolite.preprocess import InputSpec
from leukolite.progress import no_progress
from leukolite.train.features import load_features, view
from leukolite.train.heads import StrengthTrial, fit_head, most_regularised
from leukolite.train.recipes import RECIPES, Head, resolve

pytest.importorskip("sklearn")
WITH_KERAS = pytest.mark.skipif(find_spec("keras") is None, reason="needs Keras; pip install 'leukolite[train]'")
HEAD = Head(views=2, components=30, strengths=(0.01, 0.1, 1.0), folds=3)


def people(classes: int = 2, each: int = 6, cells: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of two views, truth and person: each class moves a feature of its own, the person another one."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(classes), each * cells)
    groups = np.repeat(np.arange(classes * each), cells)
    features = rng.normal(size=(len(truth), 2, 30))
    features[np.arange(len(truth)), :, truth] += 4
    features[:, :, 10] += 3 * rng.normal(size=classes * each)[groups][:, None]
    return features.astype(np.float32), truth, groups


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_tells_classes_of_people_that_it_never_saw(classes):
    fitted = fit_head(*people(classes), classes, HEAD, 0)
    features, truth, _ = people(classes, seed=1)
    logits = features[:, 0] @ fitted.kernel + fitted.bias
    assert (fitted.kernel.shape, fitted.bias.shape) == ((30, classes), (classes,))
    assert (logits.argmax(axis=1) == truth).mean() > 0.85


def test_the_dense_layer_is_scikit_learns_regression_on_standardised_features():
    from sklearn.linear_model import LogisticRegression

    features, truth, groups = people()
    head = Head(views=1, components=30, strengths=(0.1,), folds=3)
    fitted = fit_head(features[:, :1], truth, groups, 2, head, 0)
    rows = features[:, 0]
    scaled = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-3)
    expected = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky").fit(scaled, truth)
    logits = rows @ fitted.kernel + fitted.bias
    assert logits[:, 1] - logits[:, 0] == pytest.approx(expected.decision_function(scaled), abs=1e-3)


def test_the_same_seed_gives_the_same_head():
    first, second = (fit_head(*people(), 2, HEAD, 3) for _ in range(2))
    assert np.array_equal(first.kernel, second.kernel)
    assert first.trials == second.trials


def test_a_class_counts_as_much_as_another_however_few_its_images():
    features, truth, groups = people(cells=20)
    few = (truth == 0) | (np.arange(len(truth)) % 20 < 3)
    fitted = fit_head(features[few], truth[few], groups[few], 2, HEAD, 0)
    verdicts = (features[:, 0] @ fitted.kernel + fitted.bias).argmax(axis=1)
    assert abs((verdicts == truth)[truth == 0].mean() - (verdicts == truth)[truth == 1].mean()) < 0.15


def test_within_one_standard_error_over_people_the_most_regularised_is_taken():
    def trial(*losses: float) -> StrengthTrial:
        return StrengthTrial(1.0, losses, 0.9, 0.1, 0.9)

    best = trial(0.1, 0.5, 0.3)
    worse_for_all, worse_for_one = trial(0.2, 0.6, 0.41), trial(0.1, 0.5, 0.5)
    assert most_regularised([worse_for_all, best]) == 1
    assert most_regularised([worse_for_one, best]) == 0
    assert most_regularised([worse_for_all, worse_for_one, best, trial(0.1, 0.5, 0.31)]) == 1
    assert most_regularised([best]) == 0


def test_a_class_of_one_person_is_refused():
    features, truth, _ = people()
    with pytest.raises(TrainingError, match="a class has fewer than two in the training part"):
        fit_head(features, truth, truth.copy(), 2, HEAD, 0)


def test_the_eight_views_are_all_of_a_square():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    views = [view(pixels, k) for k in range(8)]
    assert np.array_equal(views[0], pixels)
    assert len({one.tobytes() for one in views}) == 8
    assert all(sorted(one.ravel()) == sorted(pixels.ravel()) for one in views)
    assert np.array_equal(view(pixels[0], 5), views[5][0])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"epochs": 3}, "recipe field epochs: Value error, expected 0, for a head is fitted"),
        ({"head.strengths": "0.1,0.01"}, "expected numbers above 0, each above the one before"),
        ({"head.views": 9}, "less than or equal to 8"),
        ({"head.depth": 3}, "the recipe has no field 'head.depth'"),
    ],
)
def test_a_recipe_with_a_head_is_checked(overrides, said):
    with pytest.raises(TrainingError, match=said):
        resolve(RECIPES["mobilenet_pooled"], overrides)
    assert resolve(RECIPES["mobilenet_pooled"], {"head.views": "4"}).head == Head(views=4)


def test_a_recipe_without_a_head_has_no_field_of_one():
    with pytest.raises(TrainingError, match=r"the recipe has no field 'head\.views'"):
        resolve(RECIPES["small_cnn"], {"head.views": 4})


@pytest.fixture
def network():
    return fresh_network()


def fresh_network():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = layers.Input((16, 16, 3))
    return keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(5, 3, strides=2)(image)))


@WITH_KERAS
def test_features_are_kept_for_the_same_pictures_and_network_only(network, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    spec = InputSpec(height=16, width=16)
    computed: list[int] = []

    def features(of: np.ndarray, views: int = 2) -> np.ndarray:
        return load_features(network, of, spec, views, tmp_path, lambda _, done, total: computed.append(done))

    first = features(pixels)
    assert (first.shape, first.dtype, computed) == ((20, 2, 5), np.float16, [16, 20])
    assert np.array_equal(first, load_features(network, pixels, spec, 2, None, no_progress))
    computed.clear()
    assert np.array_equal(features(pixels), first)
    assert computed == []
    again = fresh_network()  # of other names, since Keras counts
    assert again.layers[1].name != network.layers[1].name
    assert np.array_equal(load_features(again, pixels, spec, 2, tmp_path, lambda *_: computed.append(0)), first)
    assert computed == []
    for other in (pixels[::-1], pixels[:19]):
        assert features(other).shape[0] == len(other)
    features(pixels, 1)
    network.set_weights([weights + 1 for weights in network.get_weights()])
    assert not np.array_equal(features(pixels), first)
    assert len(list(tmp_path.iterdir())) == 5


@WITH_KERAS
@pytest.mark.parametrize("damage", ["features.npy", "cache.json"])
def test_damaged_features_are_computed_again(network, tmp_path, damage):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    spec = InputSpec(height=16, width=16)
    first = np.array(load_features(network, pixels, spec, 1, tmp_path, no_progress))
    file = next(tmp_path.iterdir()) / damage
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert np.array_equal(load_features(network, pixels, spec, 1, tmp_path, no_progress), first)
    assert json.loads(next(tmp_path.glob("*/cache.json")).read_text())["crc32"]
