"""What the number of calibration images costs: accuracy of int8 at 16, 64, 128, 256 and 512 of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.bundle import Calibration, GateLevel
from leukolite.convert.child import Progress
from leukolite.convert.images import calibration_images
from leukolite.convert.parity import ask_runtime
from leukolite.convert.quantise import to_tflite
from leukolite.convert.trained import Settings, measure_gate, open_trained
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError

STUDY_COUNTS = (16, 64, 128, 256, 512)


@dataclass(frozen=True)
class StudyRow:
    """int8 after `calibration`, beside the float model on the validation part at each of the gate's noise levels."""

    calibration: Calibration
    levels: tuple[GateLevel, ...]


def study_calibration(
    folder: Path, *, data: Path | None, settings: Settings, progress: Progress, counts: Sequence[int] = STUDY_COUNTS
) -> list[StudyRow]:
    """Convert a run to int8 with more and more calibration images; the fewer are always among the more.

    Counts beyond the training part are left out, but for the first of them, which becomes all of it.

    Raises:
        TrainingError: the folder is not a finished run.
        DatasetError: the images are gone or changed.
        ConversionError: the model cannot be converted.
    """
    rows: list[StudyRow] = []
    with open_trained(folder, data, settings, progress) as trained:
        run, entries = trained.run, trained.split["train"]
        for count in counts:
            if rows and rows[-1].calibration.count >= len(entries):
                break
            pixels, calibration = calibration_images(trained.root, entries, count, run, settings.seed, progress)
            progress(f"int8, {calibration.count} images", 0, 0)
            content = to_tflite(trained.model, VARIANTS["int8"], run.input, pixels)
            answers = ask_runtime(content, trained.validation, run.input, progress)
            if answers.outputs is None:
                raise ConversionError(f"LiteRT does not run the int8 model: {answers.refusal}")
            rows.append(StudyRow(calibration, tuple(measure_gate(trained, answers.outputs).levels)))
    return rows
