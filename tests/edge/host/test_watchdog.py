import gc
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import Colour

from leukolite.bundle import Bundle
from leukolite.edge.host.watchdog import RuntimeStuck, WatchedRuntime, open_watched_classifier
from leukolite.runtime import TfliteRuntime
from leukolite.shipped import find_bundle

RED = np.full((1, 8, 8, 3), (200, 0, 0), np.uint8)
BLUE = np.full((1, 8, 8, 3), (0, 0, 200), np.uint8)


def test_answers_and_facts_are_those_of_the_watched_runtime():
    inner = Colour()
    watched = WatchedRuntime(inner, 5)
    for batch in (RED, BLUE, RED):
        np.testing.assert_array_equal(watched.invoke(batch), inner.invoke(batch))
    facts = ("info", "input", "output")
    assert [getattr(watched, fact) for fact in facts] == [getattr(inner, fact) for fact in facts]


def test_an_error_of_the_runtime_comes_through_and_the_next_answer_too(monkeypatch):
    inner = Colour()
    watched = WatchedRuntime(inner, 5)
    with monkeypatch.context() as patch:
        patch.setattr(inner, "invoke", lambda batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched.invoke(RED)
    assert watched.invoke(RED).argmax() == 0


def test_a_runtime_that_hung_once_is_never_asked_again():
    inner = Colour(hangs_at=[0])
    watched = WatchedRuntime(inner, 0.05)
    with pytest.raises(RuntimeStuck, match=r"colour 1 gave no answer within 0\.05 s"):
        watched.invoke(RED)
    inner.let_go.set()
    time.sleep(0.05)  # its late answer, to the red picture, lies there now
    with pytest.raises(RuntimeStuck):
        watched.invoke(BLUE)
    assert inner.calls == 1


def test_an_answer_that_nobody_waited_for_is_never_taken(monkeypatch):
    watched = WatchedRuntime(Colour(), 5)

    class Interrupted:
        def acquire(self, timeout: float) -> bool:
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    monkeypatch.setattr(watched._exchange, "answered", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        watched.invoke(RED)
    with pytest.raises(RuntimeStuck):
        watched.invoke(BLUE)


def test_its_thread_ends_with_it():
    before = set(threading.enumerate())
    watched = WatchedRuntime(Colour(), 5)
    watched.invoke(RED)
    (thread,) = (one for one in set(threading.enumerate()) - before if one.name == "runtime colour")
    del watched
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(find_bundle(Path("synthetic-cells")))


def test_a_bundle_is_classified_by_a_watched_runtime(bundle):
    classifier = open_watched_classifier(bundle, answer_s=30)
    assert isinstance(classifier.runtime, WatchedRuntime)
    assert classifier(bundle.golden.frames[0]).probabilities == pytest.approx(bundle.golden.outputs[0], abs=0.1)


def test_a_golden_output_that_does_not_come_is_an_error_at_the_start(bundle, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(TfliteRuntime, "invoke", lambda self, batch: let_go.wait(30))
    with pytest.raises(RuntimeStuck, match=r"litert .* gave no answer"):
        open_watched_classifier(bundle, answer_s=0.05)
    let_go.set()
