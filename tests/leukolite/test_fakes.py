"""The runtime that ships for those without a model."""

import threading

import numpy as np
import pytest

from leukolite.classes import Classes
from leukolite.classifier import Classifier
from leukolite.edge.host.watchdog import RuntimeStuck, WatchedRuntime
from leukolite.fakes import FakeRuntime
from leukolite.preprocess import InputSpec

PICTURE = np.zeros((1, 8, 8, 3), np.uint8)


def test_a_fixed_answer_is_given_to_every_picture():
    runtime = FakeRuntime((0.25, 0.5, 0.25), classes=3)
    assert [runtime.invoke(PICTURE + k).tolist() for k in range(2)] == [[0.25, 0.5, 0.25]] * 2
    assert runtime.calls == 2


def test_an_answer_may_be_computed_from_the_picture():
    runtime = FakeRuntime(lambda batch: (batch.max() / 255, 1 - batch.max() / 255))
    assert runtime.invoke(PICTURE + 51).tolist() == pytest.approx([0.2, 0.8])


def test_it_classifies_with_the_classes_of_a_model():
    classifier = Classifier(FakeRuntime((0.1, 0.9)), Classes.of(("healthy", "blast"), ("blast",)), InputSpec(height=8, width=8))
    verdict = classifier.classify(classifier.shrink(np.zeros((480, 640, 3), np.uint8)))
    assert (verdict.label, verdict.probability) == ("blast", pytest.approx(0.9))


def test_it_hangs_on_the_calls_that_are_named_until_it_is_let_go():
    runtime = FakeRuntime((0.5, 0.5), hangs_at=[1])
    watched = WatchedRuntime(runtime, answer_s=0.05)
    watched.invoke(PICTURE)
    with pytest.raises(RuntimeStuck):
        watched.invoke(PICTURE)
    runtime.let_go.set()


def test_it_does_not_hang_for_ever():
    FakeRuntime((0.5, 0.5), hangs_at=[0], longest_hang_s=0.01).invoke(PICTURE)


def test_an_answer_of_other_classes_is_a_programming_error():
    with pytest.raises(ValueError, match=r"expected an answer of 2 probabilities, found shape \(3,\)"):
        FakeRuntime((0.2, 0.3, 0.5)).invoke(PICTURE)


def test_two_fakes_share_nothing():
    runtimes = [FakeRuntime((0.5, 0.5)) for _ in range(2)]
    threads = [threading.Thread(target=runtime.invoke, args=(PICTURE,)) for runtime in runtimes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [runtime.calls for runtime in runtimes] == [1, 1]
