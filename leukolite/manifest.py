"""What a bundle's manifest.json says: the schema of a deployed model, field by field."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from leukolite.classes import Classes, Label, check_labels, taken_meaning
from leukolite.copies import HASH_CHARACTERS
from leukolite.decision import Decision
from leukolite.frozen import Frozen
from leukolite.metrics import Metrics
from leukolite.network_input import NetworkInput
from leukolite.noise import NoisePlace
from leukolite.preprocess import InputSpec

# 3: network_input, objections, crops, seen_hashes; 2: variant, calibration, gate, runtimes, compiled; 1: first
SCHEMA, READABLE = 3, (1, 2, 3)
TARGET_PATTERN = r"^(edgetpu|ethos-u(55|65|85)-\d+)$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_PICTURE_HASH = re.compile(rf"[A-Za-z0-9+/]{{{HASH_CHARACTERS}}}")
PictureHash = Annotated[str, StringConstraints(pattern=rf"^{_PICTURE_HASH.pattern}$")]
Unit = Literal["cell", "field"]


class TensorFormat(Frozen):
    """A tensor's type and, for integers, real value = (integer - zero_point) * scale."""

    dtype: Literal["uint8", "int8", "int16", "float32"]
    scale: float = Field(default=1.0, gt=0)
    zero_point: int = 0


class GoldenSpec(Frozen):
    """Whose outputs golden.npz holds, and how far (in probability) each runtime's may lie from them."""

    runtime: str
    tolerance: dict[str, Annotated[float, Field(ge=0, le=0.5)]]


def name_and_network(name: str | None, network: str) -> str:
    """Of a recipe: 'mobilenet_m_robust (network mobilenet_m)'; the network alone where the name was not recorded."""
    return network if name is None else f"{name} (network {network})"


def _all_ids(values: object) -> object:
    """One error for a list of thousands. Raises: ValueError, at the first that is no text."""
    if isinstance(values, list | tuple) and (wrong := [value for value in values if not isinstance(value, str)][:1]):
        raise ValueError(f"expected texts, found {wrong[0]!r:.80}")
    return values


def _all_hashes(values: object) -> object:
    """The same for perceptual hashes."""
    if isinstance(values, list | tuple):
        wrong = [value for value in values if not (isinstance(value, str) and _PICTURE_HASH.fullmatch(value))][:1]
        if wrong:
            raise ValueError(f"expected perceptual hashes, found {wrong[0]!r:.80}")
    return values


SeenIds = Annotated[list[str], BeforeValidator(_all_ids)]
SeenHashes = Annotated[list[PictureHash], BeforeValidator(_all_hashes)]


class Training(Frozen):
    """Where the model comes from."""

    recipe: dict[str, object] = Field(description="the resolved recipe, every field; its `name` since bundles record it")
    dataset: str = Field(description="the layout's name")
    dataset_fingerprint: Sha256
    split_by: str = Field(
        default="image", description="what was kept together: image, subject, folds, leave-one-subject-out, or a saved split"
    )
    split: dict[str, dict[str, int]] = Field(description="images per part and class")
    seed: int
    versions: dict[str, str]
    seen: SeenIds = Field(description="first 12 hex digits of the SHA-256 of each image used to fit or to choose it")
    seen_pictures: SeenIds = Field(default=[], description="the same of their pixels, `preprocess.picture_id`")
    seen_hashes: SeenHashes = Field(default=[], description="their `copies.perceptual_hashes`, which copies share")
    seen_people: SeenIds = Field(
        default=[], description="`people.hashed_person` of whose blood they are, the dataset's fingerprint as salt, where known"
    )

    @property
    def recipe_title(self) -> str:
        """The recipe's name, where it is recorded, and its network's."""
        name = self.recipe.get("name")
        return name_and_network(None if name is None else str(name), str(self.recipe.get("model", "unknown")))


class NoiseMetrics(Metrics):
    """Metrics at one noise level."""

    sigma: float
    effective_sigma: float | None = Field(
        default=None, description="of the noise that reached the network, measured on its pictures; None in older records"
    )


class Measurement(Frozen):
    """How well this model did on images that training never saw."""

    part: str
    noise_seed: int
    noise_at: NoisePlace = "capture"
    runtime: str
    float_agreement: float = Field(description="share of these images (sigma 0) with the float model's verdict")
    results: list[NoiseMetrics]


class Calibration(Frozen):
    """The training images that set the ranges of the activations."""

    count: int
    seed: int
    sigmas: list[float] = Field(description="noise on them, grey levels, in equal parts within each class")
    classes: dict[str, int] = Field(description="images per class")


class FineTuning(Frozen):
    """Training steps with simulated quantisation, on the training part, towards the float model's probabilities."""

    images: int
    epochs: int
    learning_rate: float = Field(description="of Adam at the start; it falls linearly to 0")
    seed: int


class BandFit(Frozen):
    """The smallest abstain band with at most `target_error` wrong verdicts outside it, on the images that fitted it."""

    target_error: float = Field(description="share of the verdicts outside the band")
    band: tuple[float, float] | None = Field(description="None: none is needed, or none leaves half the images a verdict")
    n: int
    abstained: int
    errors_before: int
    errors_outside: int
    in_force: bool = Field(description="it is the decision's")


class Fitted(Frozen):
    """What the decision's temperature, threshold and band rest on: the quantised model's outputs, at sigma 0."""

    part: str
    n: int
    ece_before: float | None = Field(description="expected calibration error on these images at temperature 1")
    ece_after: float | None = Field(description="the same at the fitted temperature; it flatters, see `judged_ece`")
    judged_ece: tuple[float | None, float | None] = Field(description="before and after on the measured part")
    band: BandFit | None = Field(description="None: too few images")


class GateLevel(Frozen):
    """The float model beside this one on the same images at one noise level."""

    sigma: float
    n: int
    float_accuracy: float
    accuracy: float
    float_recall: dict[str, float] = Field(description="of each malignant class that has images")
    recall: dict[str, float]
    flips: int


class ConversionGate(Frozen):
    """What quantisation was allowed to cost, and what it cost. Every image has a verdict here: no abstention."""

    part: str
    max_drop: float = Field(description="points of accuracy")
    max_recall_drop: float = Field(description="points of any malignant class's recall")
    levels: list[GateLevel]


class RuntimeCheck(Frozen):
    """Whether a runtime runs this model, as tried when the bundle was made, and how far from the float Keras model."""

    name: str
    version: str | None
    outcome: Literal["proved", "refused", "untried"]
    reason: str = ""
    n: int = Field(default=0, description="verdicts compared with the float model's, at the gate's noise levels")
    flips: int | None = None
    max_difference: float | None = Field(default=None, description="of a probability")
    mean_difference: float | None = None


VariantName = Literal["float32", "float16", "dynamic-range", "int8", "int8-qat", "int16x8"]


class CellPicture(Frozen):
    """How the training pictures of a model that classifies cells show one, so that a field's cells can be cut out like them."""

    window: float = Field(gt=1, le=20, description="side of a training picture, in diameters of a red cell")
    background: Literal["kept", "black"] = Field(description="around the cell: as photographed, or black")


class CompiledModel(Frozen):
    """The model for an accelerator, beside the one that runs anywhere."""

    target: Annotated[str, StringConstraints(pattern=TARGET_PATTERN)] = Field(
        description="edgetpu, or an Ethos-U as ethos-u55-256"
    )
    file: Annotated[str, StringConstraints(pattern=r"^model_[a-z0-9-]+\.tflite$")] | None = Field(
        description="in the bundle; None: not compiled"
    )
    sha256: Sha256 | None
    compiler: str | None = Field(description="name and version; None: not at hand")
    on_target: int | None = Field(default=None, description="operators that the accelerator computes")
    on_cpu: dict[str, int] = Field(default={}, description="operator and reason -> how many are left to the CPU")
    estimates: dict[str, float] = Field(default={}, description="the compiler's, by name and unit; not measured")


Range = tuple[float | None, float | None]  # lowest and highest; None: open on that side
RANGES = ("lit", "light", "blown", "stain", "red_over_blue", "focus")  # of `Appearance`


class AppearanceRanges(Frozen):
    """Within what the training pictures lay, widened; a picture beyond is none that the model was trained for.

    What the numbers are is said in `leukolite.appearance.ImageStats`.
    """

    images: int = Field(description="training pictures looked at")
    percentiles: tuple[float, float] = Field(description="of their numbers: the ranges before they were widened")
    margin: float = Field(description="by how much at the least, of the distance between median and percentile")
    lit: Range
    light: Range
    blown: Range
    stain: Range
    red_over_blue: Range
    focus: Range


class Manifest(Frozen):
    """All that is to be known of a model; see the module's docstring and docs/reference/bundle.md."""

    schema_version: Literal[1, 2, 3]
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    unit: Unit
    labels: Annotated[list[Label], Field(min_length=2, max_length=1000)]
    malignant: list[Label]
    input: InputSpec
    input_tensor: TensorFormat
    output_tensor: TensorFormat
    decision: Decision
    model_sha256: Sha256
    golden: GoldenSpec
    training: Training | None
    measured: Measurement | None
    variant: VariantName = "int8"
    calibration: Calibration | None = None
    fine_tuning: FineTuning | None = None
    fitted: Fitted | None = None
    gate: ConversionGate | None = None
    runtimes: list[RuntimeCheck] = Field(default=[])
    compiled: list[CompiledModel] = Field(default=[])
    cell: CellPicture | None = None
    appearance: AppearanceRanges | None = None
    network_input: NetworkInput | None = Field(
        default=None,
        description="what a network that leukolite did not train takes, behind the step that the conversion put first",
    )
    objections: list[str] = Field(default=[], description="what labelled images said against it when it was made, insisted on")

    @model_validator(mode="after")
    def _labels_are_consistent(self) -> "Manifest":
        check_labels(self.labels, self.malignant)
        if taken := taken_meaning(self.labels):
            raise ValueError(f"{taken}; rename the class and convert again")
        if self.decision.threshold is not None and (len(self.labels), len(self.malignant)) != (2, 1):
            raise ValueError("a threshold is for two labels, one of them malignant; here nothing would come of it")
        return self

    @property
    def classes(self) -> Classes:
        """Labels and malignant ones together."""
        return Classes.of(self.labels, self.malignant)
