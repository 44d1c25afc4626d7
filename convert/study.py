"""What the number of calibration images costs: accuracy of int8 at 16, 64, 128, 256 and 512 of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from leukolite.convert.converted import gate_levels
from leukolite.convert.images import calibration_images
from leukolite.convert.inputs import open_inputs
from leukolite.convert.parity import ask_runtime
from leukolite.convert.quantise import to_tflite
from leukolite.convert.settings import ConversionSettings
from leukolite.convert.source import ConversionSource
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError
from leukolite.manifest import Calibration, GateLevel
from leukolite.progress import OnProgress

STUDY_COUNTS = (16, 64, 128, 256, 512)


@dataclass(frozen=True)
class StudyRow:
    """int8 after `calibration`, beside the float model on the validation part at each of the gate's noise levels."""

    calibration: Calibration
    levels: tuple[GateLevel, ...]


def study_calibration(
    source: ConversionSource, *, seed: int, progress: OnProgress, counts: Sequence[int] = STUDY_COUNTS
) -> list[StudyRow]:
    """Convert a model to int8 with more and more calibration images; the fewer are always among the more.

    Counts beyond the training part are left out, but for the first of them, which becomes all of it.

    Args:
        seed: of the choice of images and of the noise.

    Raises:
        DatasetError: the images are gone or changed.
        ConversionError: the model cannot be converted.
    """
    rows: list[StudyRow] = []
    with open_inputs(source, ConversionSettings(seed=seed), progress) as inputs:
        for count in counts:
            if rows and rows[-1].calibration.count >= len(source.split["train"]):
                break
            pixels, calibration = calibration_images(source, count, seed, progress)
            progress(f"int8, {calibration.count} images", 0, 0)  # 100 or more
            content = to_tflite(source.model, VARIANTS["int8"], source.spec, pixels)
            answers = ask_runtime(content, inputs.validation, source.spec, progress)
            if answers.outputs is None:
                raise ConversionError(f"LiteRT does not run the int8 model: {answers.refusal}")
            rows.append(StudyRow(calibration, tuple(gate_levels(inputs, answers.outputs))))
    return rows
