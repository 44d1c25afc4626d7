"""How a model is converted: what a user of `leukolite convert` chooses."""

from dataclasses import dataclass
from pathlib import Path

from leukolite.manifest import CellPicture
from leukolite.noise import NoisePlace


@dataclass(frozen=True)
class ConversionSettings:
    """How a model is converted.

    Attributes:
        variants: keys of `VARIANTS`.
        auto: try those of `AUTO_ORDER` instead, until one passes the gate.
        sigmas: noise levels at which a bundle is measured, grey levels; 0 is added if missing.
        noise_at: where the noise of those levels is put, see `NOISE_PLACES`; the gate's and the calibration's is on the capture.
        calibration: images for the activations' ranges.
        seed: of the choice of images, of the noise and of fine-tuning.
        max_drop: points of accuracy that a variant may lose against the float model, at each of `GATE_SIGMAS`.
        max_recall_drop: points of any malignant class's recall.
        target_error: share of wrong verdicts outside the abstain band.
        abstains: put the band in force.
        qat_epochs: of fine-tuning, for int8-qat.
        other_pythons: Python interpreters whose TFLite runtimes are tried beside this one's LiteRT.
        dense_per_channel: a scale per unit in the weights of dense layers, which the Edge TPU's compiler does not know.
        allow_useless: write a bundle although labelled pictures speak against the model.
        cell: how the training pictures show a cell; None takes the published layout's, if it is one.
    """

    variants: tuple[str, ...] = ("int8",)
    auto: bool = False
    sigmas: tuple[float, ...] = (0.0,)
    noise_at: NoisePlace = "capture"
    calibration: int = 200
    seed: int = 0
    max_drop: float = 0.5
    max_recall_drop: float = 0.5
    target_error: float = 0.01
    abstains: bool = False
    qat_epochs: int = 1
    other_pythons: tuple[Path, ...] = ()
    dense_per_channel: bool = True
    allow_useless: bool = False
    cell: CellPicture | None = None
