"""What a user says of a model, held against the user's labelled pictures: values, channels, picture and labels.

A model that is fed wrongly answers all the same, and its converted file answers alike: no comparison of the two shows it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from leukolite.classes import Classes
from leukolite.convert.fold import last_activation
from leukolite.convert.usefulness import (
    CHANCE,
    LEAST_GAIN,
    NOTED_CHANCE,
    NOTED_GAIN,
    UselessModelError,
    best_order,
    chance_of_gain,
    positive_of_sigmoid,
)
from leukolite.errors import ConversionError
from leukolite.metrics import confusion_matrix
from leukolite.network_input import CAFFE, NAMED, Channels, NetworkInput, Triple, parse_values
from leukolite.preprocess import CROPS, Crop
from leukolite.progress import OnProgress, no_progress
from leukolite.usefulness import INFORMED, accuracy_of, informedness, uselessness
from leukolite.wording import percent

if TYPE_CHECKING:
    import keras

BATCH = 32  # pictures at a time through the model
SAMPLE = 300  # pictures, in turns of the classes, on which other ways to feed a model are tried
MOST_ORDERS = math.factorial(8)  # of more labels the best order is found from their pairs, not among all orders
_OWN_COSTS = 3  # changes: the pictures' own mean and deviation only stand near to those of the training pictures
_CHANGE_COSTS = 0.01  # of accuracy: of ways that do equally well the one nearest to what was said is named

Pictures = Callable[[Crop, Sequence[int]], np.ndarray]  # those of some indices as the network would see them, as `pixels`


@dataclass(frozen=True)
class Feeding:
    """One way to take a model.

    Attributes:
        order: index of the label that each output means; of one sigmoid: those of 1 - p and p.
    """

    wanted: NetworkInput
    crop: Crop
    order: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.wanted}; {CROPS[self.crop]}"


@dataclass(frozen=True)
class Examination:
    """What the pictures say of a model.

    Attributes:
        positive: index of the label that its one sigmoid is the probability of; None where it has an output a label.
        notes: lines for the user: how it was taken, and what is worth knowing.
        suggestion: what fits a little better, in words; empty: nothing does.
        suggested: the same, as `UselessModelError.remedies`.
        objections: what the pictures say against it; the conversion was insisted on.
    """

    positive: int | None
    notes: tuple[str, ...]
    objections: tuple[str, ...]
    suggestion: str = ""
    suggested: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Tried:
    """A feeding's verdicts on the sample.

    Attributes:
        changes: how many things are otherwise than was said.
    """

    feeding: Feeding
    verdicts: np.ndarray
    confusion: np.ndarray
    changes: int = 0

    @property
    def accuracy(self) -> float:
        return accuracy_of(self.confusion)

    @property
    def worth(self) -> float:
        """By which the best is chosen."""
        return self.accuracy - _CHANGE_COSTS * self.changes


def examine(
    model: "keras.Model",
    path: Path,
    classes: Classes,
    said: Feeding,
    pixels: np.ndarray,
    truth: np.ndarray,
    sample: Sequence[int],
    pictures: Pictures,
    *,
    positive: str | None = None,
    insists: bool = False,
    progress: OnProgress,
) -> Examination:
    """Hold what was said of a model against labelled pictures, and against the other ways to take it.

    Args:
        model: of one input and one output, as it was saved.
        path: of its file, for errors.
        said: what the user says; of one sigmoid, `order` is that of `positive`.
        pixels: all pictures as `said` has them, uint8 RGB, shape (n, height, width, 3).
        truth: index of each one's label, shape (n,).
        sample: indices of the pictures on which other ways are tried.
        pictures: makes some of the pictures as another crop has them.
        positive: label that one sigmoid is the probability of; None: the pictures tell.
        insists: the model is taken although the pictures speak against it.

    Raises:
        ConversionError: its outputs are no probabilities on these pictures, or they do not tell what its one sigmoid means.
        UselessModelError: it is of no use as it is taken, or another way is clearly right.
    """
    probabilities = predict(model, said.wanted, pixels, progress)
    check_probabilities(probabilities, last_activation(model), path)
    one = probabilities.shape[1] == 1
    is_open = one and positive is None  # which label it means
    told, area = None, 0.5
    if is_open:
        told, area = positive_of_sigmoid(probabilities[:, 0], truth)
        said = Feeding(said.wanted, said.crop, (1, 0) if told == 0 else (0, 1))
    labels, chosen, n = len(classes), list(sample), len(truth)
    full = _try(said, probabilities, truth, labels)
    base = _try(said, probabilities[chosen], truth[chosen], labels)
    of_sample = lambda crop: pixels[chosen] if crop == said.crop else pictures(crop, chosen)  # noqa: E731
    tried = _others(model, base, truth[chosen], of_sample, labels, is_open, progress)

    def rank(other: _Tried) -> tuple[bool, float]:
        return uselessness(other.confusion, classes) is None, other.worth

    best = max(tried, key=rank)
    equals = [_words(said, other.feeding, classes, one) for other in tried if other is not best and rank(other) >= rank(best)]
    gain, chance = best.accuracy - base.accuracy, _chance(base, best, truth[chosen], len(tried))
    if len(chosen) < n and gain >= NOTED_GAIN and (gain < LEAST_GAIN or chance >= CHANCE):  # the sample hints: all tell more
        chosen, base = list(range(n)), full
        crop, wanted, order = best.feeding.crop, best.feeding.wanted, best.feeding.order
        seen = pixels if crop == said.crop else pictures(crop, chosen)
        best = replace(
            _try(Feeding(wanted, crop, order), predict(model, wanted, seen, progress), truth, labels), changes=best.changes
        )
        gain, chance = best.accuracy - base.accuracy, _chance(base, best, truth, len(tried))
    useless, is_useful = uselessness(full.confusion, classes), uselessness(best.confusion, classes) is None
    fits = is_useful and gain >= LEAST_GAIN and chance < CHANCE
    if useless:  # then few pictures, or those of one label, are enough to name what is of use and much better in every label
        least = min(_chance(base, best, truth[chosen], len(tried), label) for label in np.unique(truth[chosen])) * labels
        is_likely = informedness(best.confusion) - informedness(base.confusion) >= 8 * LEAST_GAIN
        is_likely = is_likely and min(chance, least) < CHANCE * len(tried)
        fits = is_useful and (fits or is_likely) and informedness(best.confusion) >= INFORMED
    as_said = f"{path}: as it was taken ({said}) it {useless or f'is right on {percent(full.accuracy)} of {n} labelled pictures'}"
    share = f"right on {percent(best.accuracy)} of {len(chosen)} of them (as taken: {percent(base.accuracy)})"
    remedies = _remedies(said, best.feeding, classes, one)
    fitting = tuple((what, value) for _, what, value in remedies)
    taken = " and ".join(words for words, _, _ in remedies)
    as_well = f", just as well with {' or with '.join(equals[:2])}" if equals else ""
    objection = None
    if is_open and told is None and (insists or not fits):
        raise ConversionError(
            f"{path}: has one sigmoid, and {n} labelled pictures do not tell which label it is the probability of (area under the"
            f" ROC curve of {classes.labels[1]}: {area:.2f})",
            advice="positive",
        )
    if fits:
        objection = f"{as_said}; with {taken} it is {share}{as_well}"
    elif useless:
        objection = f"{as_said}; none of {len(tried)} other ways to take it is clearly right (the best, {taken}, is {share})"
    if objection is not None and not insists:
        raise UselessModelError(objection, fitting if fits else ())
    notes = [f"taken as {said}: right on {percent(full.accuracy)} of {n} labelled pictures"]
    if is_open:
        label, of_label = classes.labels[said.order[1]], max(area, 1 - area)
        notes.append(f"its one sigmoid is the probability of {label}: area under the ROC curve {of_label:.3f}")
    objections = () if objection is None else (objection.removeprefix(f"{path}: "),)
    found = Examination(said.order[1] if one else None, tuple(notes), objections)
    if objection is None and gain >= NOTED_GAIN and chance < NOTED_CHANCE * len(tried):
        more = f"right on {percent(best.accuracy)} of {len(chosen)} labelled pictures (as taken: {percent(base.accuracy)})"
        suggestion = f"with {taken} it would be {more}, a little more"
        return replace(found, suggestion=suggestion, suggested=fitting)
    return found


def predict(model: "keras.Model", wanted: NetworkInput, pixels: np.ndarray, progress: OnProgress) -> np.ndarray:
    """The model's outputs, float64, shape (n, outputs), of uint8 RGB of shape (n, height, width, 3)."""
    outputs = []
    for start in range(0, len(pixels), BATCH):
        outputs.append(np.asarray(model.predict_on_batch(wanted.of_levels(pixels[start : start + BATCH])), np.float64))
        progress("float model", min(start + BATCH, len(pixels)), len(pixels))
    return np.concatenate(outputs)


def check_probabilities(outputs: np.ndarray, activation: str | None, path: Path) -> None:
    """Raises: ConversionError, where outputs on the user's pictures are no probabilities.

    Args:
        outputs: shape (n, outputs).
        activation: name of the function that gives them; None: unknown.
    """
    n = outputs.shape[1]
    if not np.isfinite(outputs).all():
        bad = int((~np.isfinite(outputs)).any(axis=1).sum())
        raise ConversionError(
            f"{path}: gives no number on {bad} of {len(outputs)} pictures; its weights are damaged, or it overflows"
        )
    low, high = float(outputs.min()), float(outputs.max())
    if n == 1:
        if activation == "softmax":
            raise ConversionError(
                f"{path}: ends in a softmax over one output, which is always 1; end it in a sigmoid, train and save it again"
            )
        if low < -1e-4 or high > 1 + 1e-4 or activation == "linear":
            raise ConversionError(
                f"{path}: expected a probability, found one output from {low:.3g} to {high:.3g} on the pictures; end it in a"
                " sigmoid and save it again"
            )
        return
    sums = outputs.sum(axis=1)
    if low >= -1e-4 and high <= 1 + 1e-4 and (activation == "sigmoid" or not np.allclose(sums, 1, atol=1e-2)):
        what = f"{n} sigmoids that know nothing of each other" if activation == "sigmoid" else f"{n} outputs"
        raise ConversionError(
            f"{path}: expected probabilities that add up to 1, found {what} (sums from {sums.min():.3f} to {sums.max():.3f} on"
            " the pictures); end it in a softmax, train and save it again"
        )
    if not np.allclose(sums, 1, atol=1e-2) or low < -1e-4:
        raise ConversionError(
            f"{path}: expected probabilities that add up to 1, found logits ({low:.3g} to {high:.3g} on the pictures); end it in"
            " a softmax and save it again"
        )


def _try(feeding: Feeding, probabilities: np.ndarray, truth: np.ndarray, labels: int) -> _Tried:
    verdicts = np.array(feeding.order)[_both(probabilities).argmax(axis=1)]
    return _Tried(feeding, verdicts, confusion_matrix(truth, verdicts, labels))


def _both(probabilities: np.ndarray) -> np.ndarray:
    """One sigmoid as 1 - p and p; anything else as it is."""
    return np.concatenate((1 - probabilities, probabilities), axis=1) if probabilities.shape[1] == 1 else probabilities


def _others(
    model: "keras.Model",
    base: _Tried,
    truth: np.ndarray,
    pictures: Callable[[Crop], np.ndarray],
    labels: int,
    is_order_free: bool,
    progress: OnProgress,
) -> list[_Tried]:
    """The other ways on the sample: values and channels, then what of the picture is seen; with the labels as said, and as suits
    best."""
    said = base.feeding
    square = pictures(said.crop)
    own = _own_values(square)
    values = dict.fromkeys(((said.wanted.mean, said.wanted.deviation), *NAMED.values(), parse_values(CAFFE), own))
    named = [
        NetworkInput(channels=channels, mean=mean, deviation=deviation)
        for mean, deviation in values
        for channels in get_args(Channels)
    ]

    def orders(feeding: Feeding, probabilities: np.ndarray) -> Iterator[_Tried]:
        wanted, crop = feeding.wanted, feeding.crop
        values = 0 if wanted.values == said.wanted.values else _OWN_COSTS if (wanted.mean, wanted.deviation) == own else 1
        changes = values + (wanted.channels != said.wanted.channels) + (crop != said.crop)
        best = best_order(confusion_matrix(truth, _both(probabilities).argmax(axis=1), labels))
        for order in dict.fromkeys((said.order, best)):
            one = _try(Feeding(wanted, crop, order), probabilities, truth, labels)
            if one.feeding != said:
                yield replace(one, changes=changes + (order != said.order and not is_order_free))

    tried: list[_Tried] = []
    for k, wanted in enumerate(named):
        progress("other ways to feed it", k, len(named))
        tried += orders(Feeding(wanted, said.crop, said.order), predict(model, wanted, square, no_progress))  # counted above
    best = max([base, *tried], key=lambda one: one.worth).feeding.wanted
    for crop in CROPS:
        if crop == said.crop or np.array_equal(picture := pictures(crop), square):
            continue
        for wanted in dict.fromkeys((said.wanted, best)):
            tried += orders(Feeding(wanted, crop, said.order), predict(model, wanted, picture, no_progress))
    return tried


def _own_values(pixels: np.ndarray) -> tuple[Triple, Triple]:
    """Mean and deviation of the pictures themselves, as networks are often trained, of levels from 0 to 1 to three digits."""
    levels = pixels.reshape(-1, 3)
    r, g, b = np.round(levels.mean(axis=0) / 255, 3).tolist()
    of_r, of_g, of_b = np.maximum(np.round(levels.std(axis=0) / 255, 3), 0.001).tolist()  # flat pictures have none
    return (r, g, b), (of_r, of_g, of_b)


def _chance(base: _Tried, other: _Tried, truth: np.ndarray, ways: int, label: int | None = None) -> float:
    """How likely the best of so many ways gains as much by chance, on all pictures or those of one label.

    Orders of as many labels are ways too.
    """
    rows = np.ones(len(truth), bool) if label is None else truth == label
    labels, moved = len(base.confusion), sum(a != b for a, b in zip(other.feeding.order, base.feeding.order, strict=True))
    orders = min(math.perm(labels, moved), MOST_ORDERS)
    return min(1.0, ways * orders * chance_of_gain((base.verdicts == truth)[rows], (other.verdicts == truth)[rows]))


def _words(said: Feeding, other: Feeding, classes: Classes, one: bool) -> str:
    """What differs, in words."""
    return " and ".join(text for text, _, _ in _remedies(said, other, classes, one))


def _remedies(said: Feeding, other: Feeding, classes: Classes, one: bool) -> list[tuple[str, str, str]]:
    """What differs, as (words, what it is, its value)."""
    found = []
    if other.wanted.values != said.wanted.values:
        found.append((f"values {other.wanted.values}", "values", other.wanted.values))
    if other.wanted.channels != said.wanted.channels:
        found.append((f"channels {', '.join(other.wanted.channels)}", "channels", other.wanted.channels))
    if other.crop != said.crop:
        found.append((CROPS[other.crop], "crop", other.crop))
    if other.order != said.order:
        if one:
            label = classes.labels[other.order[1]]
            found.append((f"its sigmoid as the probability of {label}", "positive", label))
        else:
            labels = ", ".join(classes.labels[k] for k in other.order)
            found.append((f"the labels in the order {labels}", "labels", labels))
    return found
