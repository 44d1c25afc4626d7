"""One variant of a float model: its .tflite file, and what it loses beside the float model."""

from dataclasses import dataclass

import numpy as np

from leukolite.convert.gate import gate_level
from leukolite.convert.images import read_inputs
from leukolite.convert.inputs import ConversionInputs
from leukolite.convert.qat import Job, fine_tune
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import Variant
from leukolite.errors import ConversionError
from leukolite.manifest import Calibration, ConversionGate, FineTuning, GateLevel


@dataclass(frozen=True)
class ConvertedModel:
    """A .tflite file, and the record of the images that calibrated or fine-tuned it."""

    content: bytes
    calibration: Calibration | None = None
    fine_tuning: FineTuning | None = None


def convert_model(inputs: ConversionInputs, variant: Variant) -> ConvertedModel:
    """Convert a source's model to a variant.

    Raises:
        ConversionError: it cannot be made.
    """
    if variant.is_trained:
        return _fine_tuned(inputs, variant)
    source = inputs.source
    if not variant.is_calibrated:
        return ConvertedModel(to_tflite(source.model, variant, source.spec))
    pixels, calibration = inputs.calibration
    inputs.progress(variant.name, 0, 0)
    per_channel = inputs.settings.dense_per_channel
    return ConvertedModel(to_tflite(source.model, variant, source.spec, pixels, dense_per_channel=per_channel), calibration)


def gate_levels(inputs: ConversionInputs, outputs: np.ndarray) -> list[GateLevel]:
    """The float model beside a converted one on the validation part, at each noise level.

    Args:
        outputs: the converted model's probabilities, shape (sigmas, n, classes).
    """
    source, images = inputs.source, inputs.validation
    return [
        gate_level(sigma, images.truth, inputs.floats[k], outputs[k], source.classes) for k, sigma in enumerate(images.sigmas)
    ]


def measure_gate(inputs: ConversionInputs, outputs: np.ndarray) -> ConversionGate:
    """The same, beside what the settings allow to be lost."""
    settings = inputs.settings
    return ConversionGate(
        part="validation",
        max_drop=settings.max_drop,
        max_recall_drop=settings.max_recall_drop,
        levels=gate_levels(inputs, outputs),
    )


def _fine_tuned(inputs: ConversionInputs, variant: Variant) -> ConvertedModel:
    source, tuning = inputs.source, inputs.source.fine_tuning
    if tuning is None:
        raise ConversionError(f"{variant.name} fine-tunes a run of `leukolite train`, not a model that it did not train")
    pixels, truth = read_inputs(source, source.split["train"], inputs.progress)
    job = Job(
        spec=source.spec,
        augmentation=tuning.augmentation,
        balance=tuning.balance,
        batch_size=tuning.batch_size,
        epochs=inputs.settings.qat_epochs,
        seed=inputs.settings.seed,
    )
    content = fine_tune(job, tuning.run, pixels, truth, inputs.progress)
    record = FineTuning(images=len(truth), epochs=job.epochs, learning_rate=job.learning_rate, seed=job.seed)
    return ConvertedModel(content, fine_tuning=record)
