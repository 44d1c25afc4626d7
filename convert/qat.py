"""int8 after fine-tuning with simulated quantisation (quantisation-aware training), in a process of its own."""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from leukolite.convert.child import ChildFailed, run_child
from leukolite.errors import ConversionError
from leukolite.preprocess import InputSpec
from leukolite.progress import OnProgress
from leukolite.train.augment import Augmentation
from leukolite.train.runs import MODEL

JOB, PIXELS, TRUTH, TFLITE = "job.json", "pixels.npy", "truth.npy", "model.tflite"
LEARNING_RATE = 1e-5  # of Adam; a hundredth of what the recipes train with
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Job(BaseModel):
    """What is to be fine-tuned, and how; the fields are those of a `Recipe`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: InputSpec
    augmentation: Augmentation
    balance: str
    batch_size: int
    epochs: int
    learning_rate: float = LEARNING_RATE
    seed: int


def fine_tune(job: Job, run: Path, pixels: np.ndarray, truth: np.ndarray, progress: OnProgress) -> bytes:
    """Fine-tune a run's model and convert it.

    Args:
        run: folder of the run's float model.
        pixels: the training part's images, uint8 RGB, shape (n, job.spec.height, job.spec.width, 3).
        truth: class of each, int, shape (n,).

    Returns:
        The .tflite file, full integer.

    Raises:
        ConversionError: the network has a layer that quantisation-aware training does not know, or the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="leukolite-qat-") as name:
        folder = Path(name)
        (folder / JOB).write_text(job.model_dump_json(), encoding="utf-8")
        shutil.copy(run / MODEL, folder / MODEL)
        np.save(folder / PIXELS, pixels)
        np.save(folder / TRUTH, truth)
        progress("fine-tuning", 0, 0)
        try:
            run_child([sys.executable, "-m", "leukolite.convert.qat_child", name], progress, environment=ENVIRONMENT)
        except ChildFailed as error:
            raise ConversionError(f"int8-qat: the fine-tuning failed: {error}") from error
        return (folder / TFLITE).read_bytes()
