"""A runtime that hangs, as an accelerator whose USB cable is loose, must not hang the session: it is given up and made anew."""

import threading
import weakref
from dataclasses import dataclass

import numpy as np

from leukolite.bundle import Bundle
from leukolite.classifier import Classifier, open_classifier
from leukolite.errors import LeukoliteError
from leukolite.runtime import Runtime


class RuntimeStuck(LeukoliteError):
    """The runtime gave no answer in time; it must not be asked again."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long an answer may take, and how many runtimes may be given up before the session is."""

    answer_s: float = 30.0
    times: int = 3


class _Exchange:
    """Where a question and its answer change hands; two locks, each released by the other side."""

    def __init__(self) -> None:
        self.asked, self.answered = threading.Lock(), threading.Lock()
        self.asked.acquire()
        self.answered.acquire()
        self.batch: np.ndarray | None = None
        self.answer: np.ndarray | BaseException | None = None

    def dismiss(self) -> None:
        """Let the worker end: a `batch` of None."""
        self.batch = None
        if self.asked.locked():
            self.asked.release()


class WatchedRuntime:
    """A runtime whose answers must come in time: it computes in a thread of its own, which is left behind if it hangs.

    Costs about 10 microseconds an answer.
    """

    def __init__(self, runtime: Runtime, answer_s: float) -> None:
        self.watched = runtime
        self.name, self.version, self.threads, self.delegate = runtime.name, runtime.version, runtime.threads, runtime.delegate
        self.input, self.output = runtime.input, runtime.output
        self._answer_s, self._stuck, self._exchange = answer_s, False, _Exchange()
        threading.Thread(target=_work, args=(runtime, self._exchange), name=f"runtime {runtime.name}", daemon=True).start()
        weakref.finalize(self, self._exchange.dismiss)

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`.

        Raises:
            RuntimeStuck: there was no answer in time, now or before.
        """
        exchange = self._exchange
        if not self._stuck:
            exchange.batch = batch
            self._stuck = True  # until it has answered: an interrupt while waiting must not leave an old answer to be taken
            exchange.asked.release()
            self._stuck = not exchange.answered.acquire(timeout=self._answer_s)
        if self._stuck:
            raise RuntimeStuck(f"{self.name} {self.version} gave no answer within {self._answer_s:g} s")
        answer = exchange.answer
        if isinstance(answer, BaseException):
            raise answer
        assert answer is not None
        return answer


def open_watched_classifier(
    bundle: Bundle, *, runtime: str = "litert", threads: int = 1, allow_cpu: bool = False, answer_s: float
) -> Classifier:
    """`open_judge` with a runtime whose answers must come within `answer_s`, its golden ones among them.

    Raises:
        RuntimeUnavailable, BundleError: as `open_judge`.
        RuntimeStuck: a golden output did not come in time.
    """

    def watch(inner: Runtime) -> Runtime:
        return WatchedRuntime(inner, answer_s)

    return open_classifier(bundle, runtime=runtime, threads=threads, allow_cpu=allow_cpu, guard=watch)


def _work(runtime: Runtime, exchange: _Exchange) -> None:
    while True:
        exchange.asked.acquire()
        batch = exchange.batch
        if batch is None:
            return
        try:
            exchange.answer = runtime.invoke(batch)
        except BaseException as error:  # noqa: BLE001  # raised where the answer was asked for
            exchange.answer = error
        exchange.answered.release()
