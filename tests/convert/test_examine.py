"""What is said of a model is held against labelled pictures: the way that fits is named, and no good model is refused."""

from pathlib import Path

import numpy as np
import pytest

from leukolite.classes import Classes
from leukolite.convert.examine import Feeding, check_probabilities, examine
from leukolite.convert.usefulness import UselessModelError
from leukolite.errors import ConversionError
from leukolite.network_input import CAFFE, NetworkInput, parse_values
from leukolite.progress import no_progress

CLASSES = Classes.of(("healthy", "blast"), ("blast",))
PATH = Path("net.keras")


def taking(values: str = "0..1", channels: str = "RGB") -> NetworkInput:
    mean, deviation = parse_values(values)
    return NetworkInput(channels=channels, mean=mean, deviation=deviation)


class RedModel:
    """Calls a picture a blast by how red it is: of 0.45 to 0.55 on the scale 0 to 1, after what it takes is undone.

    Fed otherwise it gets what no picture looks like, and mostly answers the same.
    """

    def __init__(self, takes: NetworkInput, *, sigmoid: bool = False, steepness: float = 60, last: str = "softmax") -> None:
        self.takes, self.sigmoid, self.steepness = takes, sigmoid, steepness
        self.activation = type("f", (), {"__name__": "sigmoid" if sigmoid else last})

    def predict_on_batch(self, values: np.ndarray) -> np.ndarray:
        place = self.takes.channels.index("R")
        red = values[..., place].mean(axis=(1, 2)) * self.takes.deviation[0] + self.takes.mean[0]
        blast = 1 / (1 + np.exp(-np.clip(self.steepness * (red - 0.5), -50, 50)))
        return blast[:, np.newaxis] if self.sigmoid else np.stack([1 - blast, blast], axis=1)


def pictures(n: int = 60, spread: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """Half of them redder than the others; their blue says nothing."""
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 2
    means = np.stack([0.45 + 0.1 * truth + rng.normal(0, spread, n), np.full(n, 0.4), rng.uniform(0.3, 0.7, n)], axis=1)
    noise = rng.normal(0, 0.02, (n, 8, 8, 3))
    return np.clip(np.rint(255 * (means[:, None, None] + noise)), 0, 255).astype(np.uint8), truth


def held(
    model: object, said: NetworkInput, *, n: int = 60, order: tuple[int, ...] = (0, 1), other=None, classes=CLASSES, **options
):
    pixels, truth = pictures(n)
    feeding = Feeding(said, "centre-square", order)
    crops = lambda crop, indices: pixels if crop == "centre-square" or other is None else other[crop]  # noqa: E731
    return examine(model, PATH, classes, feeding, pixels, truth, range(n), crops, progress=no_progress, **options)


WANTED = [
    ("0..1", "RGB"),
    ("-1..1", "RGB"),
    ("0..255", "RGB"),
    ("imagenet", "RGB"),
    ("0..1", "BGR"),
    ("imagenet", "BGR"),
    (CAFFE, "BGR"),
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_a_model_taken_as_it_wants_is_held_to_be_right(wanted):
    found = held(RedModel(taking(*wanted)), taking(*wanted))
    assert (found.positive, found.objections) == (None, ())
    assert "of 60 labelled pictures" in found.notes[0]
    assert found.notes[0].startswith(f"taken as {taking(*wanted)}; the centre square: right on ")


@pytest.mark.parametrize("wanted", WANTED, ids=str)
@pytest.mark.parametrize("said", [("0..1", "RGB"), ("0..255", "RGB"), ("-1..1", "BGR")], ids=str)
def test_a_model_taken_otherwise_is_refused_with_what_fits(wanted, said):
    if wanted == said:
        return
    with pytest.raises(UselessModelError, match=r"with .* it is right on ") as error:
        held(RedModel(taking(*wanted)), taking(*said), n=200)
    remedies = dict(error.value.remedies)
    assert remedies.get("values", said[0]) == wanted[0]
    assert remedies.get("channels", said[1]) == wanted[1]
    assert set(remedies) <= {"values", "channels"}


def test_the_mean_and_deviation_of_the_pictures_themselves_are_tried():
    truth = np.arange(80) % 4
    pixels = np.broadcast_to((100 + 10 * truth)[:, None, None, None], (80, 4, 4, 3)).astype(np.uint8)

    class Standardised:  # which of four grey levels a picture has, by how far it lies from the mean of all
        activation = type("f", (), {"__name__": "softmax"})

        def predict_on_batch(self, values: np.ndarray) -> np.ndarray:
            return np.eye(4)[np.clip(np.rint(values[:, 0, 0, 0] * 1.118 + 1.5), 0, 3).astype(int)]

    feeding, classes = Feeding(taking(), "centre-square", (0, 1, 2, 3)), Classes.of(("a", "b", "c", "d"), ("d",))
    with pytest.raises(UselessModelError, match=r"right on 100\.0%") as error:
        examine(Standardised(), PATH, classes, feeding, pixels, truth, range(80), lambda *_: pixels, progress=no_progress)
    assert error.value.remedies == (("values", "mean=0.451:std=0.044"),)


def test_labels_in_another_order_are_named_in_the_right_one():
    classes = Classes.of(("blast", "healthy"), ("blast",))
    pixels, truth = pictures()
    with pytest.raises(UselessModelError, match="with the labels in the order healthy, blast") as error:
        examine(
            RedModel(taking()), PATH, classes, Feeding(taking(), "centre-square", (0, 1)), pixels, 1 - truth, range(60),
            lambda *_: pixels, progress=no_progress,
        )  # fmt: skip
    assert error.value.remedies == (("labels", "healthy, blast"),)


@pytest.mark.parametrize(("said", "order"), [("0..255", (0, 1)), ("0..1", (1, 0)), ("0..255", (1, 0))])
def test_of_very_uneven_labels_what_fits_is_named_although_always_saying_the_commonest_is_right_more_often(said, order):
    pixels, truth = pictures(400)
    kept = np.concatenate((np.flatnonzero(truth == 0)[:190], np.flatnonzero(truth == 1)[:10]))
    pixels, truth = pixels[kept], truth[kept]
    with pytest.raises(UselessModelError, match=r"right on 9\d\.\d% of 200") as error:
        examine(
            RedModel(taking(), steepness=200), PATH, CLASSES, Feeding(taking(said), "centre-square", order), pixels, truth,
            range(200), lambda *_: pixels, progress=no_progress,
        )  # fmt: skip
    expected = {"values": "0..1"} if said != "0..1" else {}
    assert dict(error.value.remedies) == expected | ({"labels": "healthy, blast"} if order == (1, 0) else {})
    assert "just as well" not in str(error.value)


def test_two_of_many_labels_the_wrong_way_round_are_named():
    n, labels = 200, tuple(f"class {k}" for k in range(20))
    truth = np.arange(n) % len(labels)
    pixels = np.broadcast_to(truth[:, None, None, None], (n, 4, 4, 3)).astype(np.uint8)

    class Counts:  # right of every picture, by how bright it is
        activation = type("f", (), {"__name__": "softmax"})

        def predict_on_batch(self, values: np.ndarray) -> np.ndarray:
            return np.eye(len(labels))[np.clip(np.rint(values[:, 0, 0, 0] * 255), 0, 19).astype(int)]

    feeding, classes = Feeding(taking(), "centre-square", (0, 1, 3, 2, *range(4, 20))), Classes.of(labels, labels[5:7])
    with pytest.raises(UselessModelError, match=r"right on 90\.0% of 200.*right on 100\.0%") as error:
        examine(Counts(), PATH, classes, feeding, pixels, truth, range(n), lambda *_: pixels, progress=no_progress)
    assert error.value.remedies == (("labels", ", ".join(labels)),)


def test_values_and_order_may_both_be_wrong():
    model = RedModel(taking("0..255"))
    model.predict_on_batch = lambda values, ask=model.predict_on_batch: ask(values)[:, ::-1]
    with pytest.raises(UselessModelError) as error:
        held(model, taking())
    assert dict(error.value.remedies) == {"values": "0..255", "labels": "blast, healthy"}


def test_a_picture_seen_otherwise_is_named():
    pixels, _ = pictures()
    square = np.full_like(pixels, 100)
    square[::3] += 60  # what the centre shows says nothing
    truth = np.arange(60) % 2
    crops = {"centre-square": square, "stretch": pixels, "pad": square}
    with pytest.raises(UselessModelError, match="with the whole picture stretched it is right on") as error:
        examine(
            RedModel(taking()), PATH, CLASSES, Feeding(taking(), "centre-square", (0, 1)), square, truth, range(60),
            lambda crop, indices: crops[crop][indices], progress=no_progress,
        )  # fmt: skip
    assert error.value.remedies == (("crop", "stretch"),)


@pytest.mark.parametrize(("wrong", "says"), [(12, True), (2, False)])
def test_a_picture_that_is_seen_a_little_better_otherwise_is_a_note_by_all_pictures(wrong, says):
    pixels, truth = pictures(600, spread=0.005)
    square = pixels.copy()
    others = np.linspace(0, 598, wrong).astype(int)
    square[others] = pixels[others + 1]  # their centres show the other label
    crops = {"centre-square": square, "stretch": pixels, "pad": square}
    found = examine(
        RedModel(taking()), PATH, CLASSES, Feeding(taking(), "centre-square", (0, 1)), square, truth, range(300),
        lambda crop, indices: crops[crop][indices], progress=no_progress,
    )  # fmt: skip
    assert found.objections == ()
    assert found.suggested == ((("crop", "stretch"),) if says else ())


def test_a_model_that_nothing_fits_is_refused_and_the_error_says_so():
    model = RedModel(taking())
    model.predict_on_batch = lambda values: np.tile([[0.9, 0.1]], (len(values), 1))
    with pytest.raises(UselessModelError, match=r"recognises 0 of 30 pictures of blast; none of \d+ other ways") as error:
        held(model, taking())
    assert error.value.remedies == ()


def test_who_insists_gets_the_model_with_what_the_pictures_say_against_it():
    found = held(RedModel(taking("0..255")), taking(), insists=True)
    (objection,) = found.objections
    assert "recognises 0 of 30 pictures of blast; with values 0..255 it is right on" in objection
    assert str(PATH) not in objection


def test_a_weak_model_that_is_better_than_the_commonest_class_is_not_refused():
    pixels, truth = pictures(200, spread=0.09)
    found = examine(
        RedModel(taking()), PATH, CLASSES, Feeding(taking(), "centre-square", (0, 1)), pixels, truth, range(200),
        lambda *_: pixels, progress=no_progress,
    )  # fmt: skip
    assert found.objections == ()


def test_few_pictures_do_not_make_a_good_model_useless():
    assert held(RedModel(taking()), taking(), n=6).objections == ()


# one sigmoid


@pytest.mark.parametrize(("order", "positive"), [((0, 1), 1), ((1, 0), 0)])
def test_the_pictures_tell_what_one_sigmoid_means(order, positive):
    classes = Classes.of(tuple(CLASSES.labels[k] for k in order), ("blast",))
    pixels, truth = pictures()
    found = examine(
        RedModel(taking(), sigmoid=True), PATH, classes, Feeding(taking(), "centre-square", (0, 1)), pixels,
        truth if positive else 1 - truth, range(60), lambda *_: pixels, progress=no_progress,
    )  # fmt: skip
    assert found.positive == positive
    assert "its one sigmoid is the probability of blast: area under the ROC curve" in found.notes[1]


def test_a_sigmoid_said_to_mean_the_other_label_is_refused():
    with pytest.raises(UselessModelError, match="with its sigmoid as the probability of blast it is right on") as error:
        held(RedModel(taking(), sigmoid=True), taking(), positive="healthy", order=(1, 0))
    assert error.value.remedies == (("positive", "blast"),)


def test_a_sigmoid_fed_wrongly_is_refused_with_the_values_that_fit():
    with pytest.raises(UselessModelError) as error:
        held(RedModel(taking("imagenet"), sigmoid=True), taking("0..255"))
    assert ("values", "imagenet") in error.value.remedies


def test_a_sigmoid_of_which_the_pictures_do_not_tell_the_meaning_is_asked_for():
    model = RedModel(taking(), sigmoid=True)
    model.predict_on_batch = lambda values: np.random.default_rng(0).uniform(0.4, 0.6, (len(values), 1))
    with pytest.raises(ConversionError, match="do not tell which label") as error:
        held(model, taking())
    assert error.value.advice == "positive"
    assert not isinstance(error.value, UselessModelError)


# outputs


SATURATED = np.array([[0.999, 0.001], [0.001, 0.998], [1.0, 0.0]])


@pytest.mark.parametrize(
    ("outputs", "activation", "says"),
    [
        (SATURATED, "sigmoid", "found 2 sigmoids that know nothing of each other"),
        (SATURATED * 1.2 - 0.1, None, "found logits"),
        (np.array([[0.6, 0.7], [0.5, 0.5]]), None, "found 2 outputs (sums from 1.000 to 1.300"),
        (np.array([[3.0, -2.0], [0.5, 0.5]]), "linear", "found logits (-2 to 3 on the pictures)"),
        (np.array([[0.2, 0.8, 0.4]]), "sigmoid", "found 3 sigmoids"),
        (np.array([[np.nan, 0.5]]), "softmax", "gives no number on 1 of 1 pictures"),
        (np.array([[1.0], [1.0]]), "softmax", "softmax over one output"),
        (np.array([[0.3], [2.5]]), None, "found one output from 0.3 to 2.5"),
        (np.array([[0.3], [0.5]]), "linear", "found one output from 0.3 to 0.5"),
        (np.array([[-0.9], [0.5]]), "tanh", "found one output from -0.9 to 0.5"),
    ],
)
def test_outputs_that_are_no_probabilities_on_the_users_pictures_are_refused(outputs, activation, says):
    with pytest.raises(ConversionError, match=r"end it|weights are damaged") as error:
        check_probabilities(outputs, activation, PATH)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("outputs", "activation"),
    [(SATURATED, "softmax"), (SATURATED, None), (np.array([[0.2], [0.7]]), "sigmoid"), (np.array([[0.2], [0.7]]), None)],
)
def test_probabilities_are_taken(outputs, activation):
    check_probabilities(outputs, activation, PATH)
