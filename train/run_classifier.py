"""The float model of a run as a runtime, so that it is measured by the same code as a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.classifier import Classifier
from leukolite.manifest import TensorFormat
from leukolite.runtime import RuntimeInfo, Tensor
from leukolite.train.runs import load_model, load_run

if TYPE_CHECKING:
    import keras


class KerasRuntime:
    """A Keras model behind the `Runtime` protocol; batches of one, float32."""

    def __init__(self, model: "keras.Model") -> None:
        import keras

        self._model = model
        # a thread for the record: how many really compute is the backend's own choice
        self.info = RuntimeInfo(name=f"keras-{keras.backend.backend()}", version=keras.__version__, threads=1)
        self.input = Tensor((1, *model.input_shape[1:]), TensorFormat(dtype="float32"))
        self.output = Tensor((1, *model.output_shape[1:]), TensorFormat(dtype="float32"))

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`."""
        self.input.check(batch)  # Keras would take another type without a word
        return np.asarray(self._model.predict_on_batch(batch)[0])


def open_run_classifier(folder: Path) -> Classifier:
    """A finished run's float model, ready to classify; no threshold, no abstention.

    Raises:
        TrainingError: the folder is not a finished run, or damaged.
    """
    run = load_run(folder)
    return Classifier(KerasRuntime(load_model(folder)), run.classes, run.input)
