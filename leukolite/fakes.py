"""A runtime without a model, to try a session, a sink or a camera where no model or accelerator is at hand."""

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from leukolite.manifest import TensorFormat
from leukolite.runtime import RuntimeInfo, Tensor

Answer = Sequence[float] | Callable[[np.ndarray], Sequence[float] | np.ndarray]


class FakeRuntime:
    """A `Runtime` whose answers are given, or computed by a function.

    Args:
        answer: the probabilities of every input, or a function from the input to them.
        classes: how many there are.
        side: height and width of the input, pixels; it is uint8 RGB, shape (1, side, side, 3).
        name: what it calls itself.
        hangs_at: calls, from 0, that give no answer until `let_go` is set, as an accelerator whose cable is loose.
        longest_hang_s: seconds after which it answers all the same.

    Attributes:
        calls: how often it was asked.
        let_go: set it to end a hang.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        classes: int = 2,
        side: int = 8,
        name: str = "fake",
        hangs_at: Iterable[int] = (),
        longest_hang_s: float = 30.0,
    ) -> None:
        self.info = RuntimeInfo(name=name, version="1", threads=1)
        self.input = Tensor((1, side, side, 3), TensorFormat(dtype="uint8", scale=1 / 255))
        self.output = Tensor((1, classes), TensorFormat(dtype="float32"))
        self.calls, self.let_go = 0, threading.Event()
        self._answer, self._hangs_at, self._longest_hang_s = answer, frozenset(hangs_at), longest_hang_s

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`.

        Raises:
            ValueError: the input, or the answer to it, is of another shape or type than was promised.
        """
        self.input.check(batch)
        self.calls += 1
        if self.calls - 1 in self._hangs_at:
            self.let_go.wait(self._longest_hang_s)
        answer = np.array(self._answer(batch) if callable(self._answer) else self._answer, np.float32)
        if answer.shape != self.output.shape[1:]:
            raise ValueError(f"expected an answer of {self.output.shape[1]} probabilities, found shape {answer.shape}")
        return answer
