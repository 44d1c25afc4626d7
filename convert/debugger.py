"""What int8 costs each layer: its error in steps of its own scale, by TFLite's QuantizationDebugger.

The debugger runs every operator twice on the same int8 inputs, in int8 and in float, and compares the two, so an error is
the layer's own and not its predecessors'. Rounding alone gives an RMSE of 1/sqrt(12) = 0.289 steps.

Source: TensorFlow Lite, "Inspecting Quantization Errors with Quantization Debugger".
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukolite.convert.images import calibration_images, read_inputs
from leukolite.convert.quantise import make_converter, pick_calibration
from leukolite.convert.source import source_of_run
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError, first_line
from leukolite.preprocess import InputSpec
from leukolite.progress import OnProgress
from leukolite.quiet import quiet
from leukolite.wording import drawn

if TYPE_CHECKING:
    import keras

HEALTHY_RMSE = 1 / math.sqrt(12)  # of an even spread over one step: rounding and nothing else
SUSPECT_RMSE = 0.7  # TFLite's guide to the quantisation debugger


@dataclass(frozen=True)
class LayerError:
    """One int8 operator beside its float twin, over all images.

    Attributes:
        position: its place in the order of execution, from 0.
        operator: as in TFLite's schema, 'CONV_2D'.
        tensor: its output's name in the file.
        scale: of the output, real value a step.
        rmse_steps: root of the mean squared difference, in steps.
        mean_error_steps: mean of float less int8, in steps: how far the layer is shifted.
        snr_db: mean squared float output over mean squared difference, decibels; None where nothing differs or all is zero.
    """

    position: int
    operator: str
    tensor: str
    scale: float
    zero_point: int
    elements: int
    rmse_steps: float
    mean_error_steps: float
    snr_db: float | None

    @property
    def layer(self) -> str:
        """The Keras layer in `tensor`: 'model/layer/op;...' without model and operation."""
        parts = self.tensor.split(";")[0].split("/")
        return parts[1] if len(parts) > 1 else parts[0]

    @property
    def is_suspect(self) -> bool:
        """Its error is more than rounding explains."""
        return self.rmse_steps > SUSPECT_RMSE


@dataclass(frozen=True)
class Inspection:
    """The layers of one network, largest error first.

    Attributes:
        images: how many the errors are measured on; of `part`, other images than the calibration's.
    """

    layers: tuple[LayerError, ...]
    images: int
    calibration_images: int
    part: str
    seed: int

    @property
    def suspects(self) -> tuple[LayerError, ...]:
        return tuple(layer for layer in self.layers if layer.is_suspect)


def inspect_run(folder: Path, *, data: Path | None, calibration: int, images: int, seed: int, progress: OnProgress) -> Inspection:
    """Measure the layers of a finished run, calibrated as `leukolite convert` would.

    Args:
        data: where the run's images are now; None: where they were when it was trained.
        calibration: images for the activations' ranges, from the training part.
        images: images to measure on, from the validation part: the test part stays untouched.
        seed: of the choice of images.

    Raises:
        TrainingError: the folder is not a finished run.
        DatasetError: the images are gone or changed.
        ConversionError: the model cannot be quantised.
    """
    source = source_of_run(folder, data)
    calibrating, _ = calibration_images(source, calibration, seed, progress)
    validation = source.split["validation"]
    chosen = pick_calibration([entry.label for entry in validation], images, seed)
    measuring, _ = read_inputs(source, [validation[i] for i in chosen], progress)
    layers = inspect(source.model, calibrating, measuring, source.spec, progress)
    return Inspection(layers, len(measuring), len(calibrating), "validation", seed)


def inspect(
    model: "keras.Model", calibration: np.ndarray, images: np.ndarray, spec: InputSpec, progress: OnProgress
) -> tuple[LayerError, ...]:
    """Each operator's error, largest first.

    Args:
        calibration: uint8 RGB, shape (n, spec.height, spec.width, 3), for the ranges.
        images: of the same shape, to measure on.

    Raises:
        ConversionError: the converter or the debugger refuses the model.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # an Exception and no more

    values = (np.arange(256) * spec.scale + spec.offset).astype(np.float32)

    def dataset() -> Iterator[list[np.ndarray]]:
        for i, image in enumerate(images):
            progress("layers", i, len(images))
            yield [values[image][np.newaxis]]

    tools = tf.lite.experimental
    options = tools.QuantizationDebugOptions(layer_direct_compare_metrics={"mean_square": _mean_square}, fully_quantize=True)
    progress("quantising", 0, 0)
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf.lite.Interpreter's, which the debugger needs, is deprecated
            made = tools.QuantizationDebugger(
                converter=make_converter(model, VARIANTS["int8"], spec, calibration), debug_options=options
            )
            # a second one on the first one's file: given a converter it forgets to keep all tensors (TF 2.21), and the
            # float outputs that are compared would be whatever has been written over them
            debugger = tools.QuantizationDebugger(
                quant_debug_model_content=made.quant_model, debug_dataset=dataset, debug_options=options
            )
            debugger.run()
            rows = _rows(debugger)
    except (ConverterError, ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
        raise ConversionError(f"TFLite's quantisation debugger refuses the model ({first_line(error)})") from error
    layers = [_layer_error(i, row) for i, row in enumerate(rows)]
    return tuple(sorted(layers, key=lambda layer: -layer.rmse_steps))


def plot_layers(inspection: Inspection, title: str) -> bytes:
    """RMSE and signal-to-noise ratio of each layer in the order of execution, as a PNG."""
    import io

    from matplotlib.figure import Figure

    layers = sorted(inspection.layers, key=lambda layer: layer.position)
    figure = Figure(figsize=(max(6.0, 0.3 * len(layers) + 2), 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    places = range(len(layers))
    above.bar(places, [layer.rmse_steps for layer in layers], color=["C3" if layer.is_suspect else "C0" for layer in layers])
    above.axhline(HEALTHY_RMSE, color="C2", label=f"rounding alone, {HEALTHY_RMSE:.3f}")
    above.axhline(SUSPECT_RMSE, color="C3", linestyle="--", label=f"suspect, {SUSPECT_RMSE}")
    above.set(ylabel="RMSE, steps", title=drawn(title))
    above.legend()
    below.plot(places, [math.nan if layer.snr_db is None else layer.snr_db for layer in layers], "o-")
    below.set(ylabel="SNR, dB")
    below.set_xticks(places, [layer.layer for layer in layers], rotation=90)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120)
    return buffer.getvalue()


def _mean_square(floats: np.ndarray, _integers: np.ndarray, _scale: float, _zero_point: int) -> float:
    return float(np.square(floats, dtype=np.float64).mean())


def _rows(debugger: Any) -> list[dict[str, str]]:
    """What the debugger would write as CSV, in the order of execution."""
    import csv
    import io

    buffer = io.StringIO()
    debugger.layer_statistics_dump(buffer)
    return list(csv.DictReader(io.StringIO(buffer.getvalue())))


def _layer_error(position: int, row: dict[str, str]) -> LayerError:
    scale, power, noise = float(row["scale"]), float(row["mean_square"]), float(row["mean_squared_error"])
    return LayerError(
        position=position,
        operator=row["op_name"],
        tensor=row["tensor_name"],
        scale=scale,
        zero_point=int(row["zero_point"]),
        elements=round(float(row["num_elements"])),
        rmse_steps=math.sqrt(noise) / scale,
        mean_error_steps=float(row["mean_error"]) / scale,
        snr_db=10 * math.log10(power / noise) if power > 0 and noise > 0 else None,
    )
