"""What a deployed model is: a folder, or the same files in one zip, that holds all a device needs and nothing else.

    model.tflite    the network
    manifest.json   what it expects, what it answers, where it comes from, how well it did
    labels.txt      the labels, one a line
    golden.npz      `frames`, the `inputs` they must become and the `outputs` they must give

`Bundle.load` proves that the files belong together; `leukolite.classifier.open_judge` goes on to prove the tensors and the
golden outputs on the runtime at hand.
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from leukolite.decision import Decision
from leukolite.errors import BundleError
from leukolite.files import new_folder
from leukolite.metrics import Metrics
from leukolite.preprocess import InputSpec

SCHEMA, READABLE = 2, (1, 2)  # 2: variant, calibration, fine_tuning, fitted, gate, runtimes, compiled; 1: first
MODEL, MANIFEST, LABELS, GOLDEN, CARD = "model.tflite", "manifest.json", "labels.txt", "golden.npz", "README.md"
MAX_FILE_BYTES = 256_000_000
TARGET_PATTERN = r"^(edgetpu|ethos-u(55|65|85)-\d+)$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"

_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # RuntimeError: encrypted, or an unknown compression

# one line, whatever counts as a line's end: labels.txt has one label a line
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Unit = Literal["cell", "field"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorFormat(_Part):
    """A tensor's type and, for integers, real value = (integer - zero_point) * scale."""

    dtype: Literal["uint8", "int8", "int16", "float32"]
    scale: float = Field(default=1.0, gt=0)
    zero_point: int = 0


class GoldenSpec(_Part):
    """Whose outputs golden.npz holds, and how far (in probability) each runtime's may lie from them."""

    runtime: str
    tolerance: dict[str, Annotated[float, Field(ge=0, le=0.5)]]


def name_and_network(name: str | None, network: str) -> str:
    """Of a recipe: 'mobilenet_m_robust (network mobilenet_m)'; the network alone where the name was not recorded."""
    return network if name is None else f"{name} (network {network})"


class Training(_Part):
    """Where the model comes from."""

    recipe: dict[str, object] = Field(description="the resolved recipe, every field; its `name` since bundles record it")
    dataset: str = Field(description="the layout's name")
    dataset_fingerprint: Sha256
    split_by: str = Field(default="image", description="what was kept together: image, subject, kfold:N, or a saved split")
    split: dict[str, dict[str, int]] = Field(description="images a part and class")
    seed: int
    versions: dict[str, str]
    seen: list[str] = Field(description="first 12 hex digits of the SHA-256 of each image used to fit or to choose it")
    seen_pictures: list[str] = Field(default=[], description="the same of their pixels, `preprocess.picture_id`")

    @property
    def recipe_title(self) -> str:
        """The recipe's name, where it is recorded, and its network's."""
        name = self.recipe.get("name")
        return name_and_network(None if name is None else str(name), str(self.recipe.get("model", "unknown")))


class NoiseMetrics(Metrics):
    """Metrics at one noise level."""

    sigma: float


class Measurement(_Part):
    """How well this model did on images that training never saw."""

    part: str
    noise_seed: int
    runtime: str
    float_agreement: float = Field(description="share of these images (sigma 0) with the float model's verdict")
    results: list[NoiseMetrics]


class Calibration(_Part):
    """The training images that set the ranges of the activations."""

    count: int
    seed: int
    sigmas: list[float] = Field(description="noise on them, grey levels, in equal parts within each class")
    classes: dict[str, int] = Field(description="images a class")


class FineTuning(_Part):
    """Training steps with simulated quantisation, on the training part, towards the float model's probabilities."""

    images: int
    epochs: int
    learning_rate: float = Field(description="of Adam at the start; it falls linearly to 0")
    seed: int


class BandFit(_Part):
    """The smallest abstain band with at most `target_error` wrong verdicts outside it, on the images that fitted it."""

    target_error: float = Field(description="share of the verdicts outside the band")
    band: tuple[float, float] | None = Field(description="None: none is needed, or none leaves half the images a verdict")
    n: int
    abstained: int
    errors_before: int
    errors_outside: int
    in_force: bool = Field(description="it is the decision's")


class Fitted(_Part):
    """What the decision's temperature, threshold and band rest on: the quantised model's outputs, at sigma 0."""

    part: str
    n: int
    ece_before: float | None = Field(description="expected calibration error on these images at temperature 1")
    ece_after: float | None = Field(description="the same at the fitted temperature; it flatters, see `judged_ece`")
    judged_ece: tuple[float | None, float | None] = Field(description="before and after on the measured part")
    band: BandFit | None = Field(description="None: too few images")


class GateLevel(_Part):
    """The float model beside this one on the same images at one noise level."""

    sigma: float
    n: int
    float_accuracy: float
    accuracy: float
    float_recall: dict[str, float] = Field(description="of each malignant class that has images")
    recall: dict[str, float]
    flips: int


class ConversionGate(_Part):
    """What quantisation was allowed to cost, and what it cost. Every image has a verdict here: no abstention."""

    part: str
    max_drop: float = Field(description="points of accuracy")
    max_recall_drop: float = Field(description="points of any malignant class's recall")
    levels: list[GateLevel]


class RuntimeCheck(_Part):
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


class CellPicture(_Part):
    """How the training pictures of a model that judges cells show one, so that a field's cells can be cut out like them."""

    window: float = Field(gt=1, le=20, description="side of a training picture, in diameters of a red cell")
    background: Literal["kept", "black"] = Field(description="around the cell: as photographed, or black")


class CompiledModel(_Part):
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


class AppearanceRanges(_Part):
    """Within what the training pictures lay, widened; a picture beyond is none that the model was trained for.

    What the numbers are is said in `leukolite.appearance.Look`.
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


class Manifest(_Part):
    """All that is to be known of a model; see the module's docstring and docs/bundle.md."""

    schema_version: Literal[1, 2]
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
    runtimes: list[RuntimeCheck] = []
    compiled: list[CompiledModel] = []
    cell: CellPicture | None = None
    appearance: AppearanceRanges | None = None

    @model_validator(mode="after")
    def _labels_are_consistent(self) -> "Manifest":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be distinct, found {self.labels}")
        if unknown := [label for label in self.malignant if label not in self.labels]:
            raise ValueError(f"malignant names {unknown}, which are not among the labels {self.labels}")
        if self.decision.threshold is not None and (len(self.labels), len(self.malignant)) != (2, 1):
            raise ValueError("a threshold is for two labels, one of them malignant; here it would be passed over in silence")
        return self


@dataclass(frozen=True)
class Golden:
    """Synthetic captures and what must become of them.

    Attributes:
        frames: uint8 RGB, shape (n, height, width, 3), at a capture's resolution.
        inputs: what preprocessing makes of them, shape (n, input height, input width, 3), of the input tensor's type.
        outputs: float32 probabilities of the reference runtime, shape (n, classes), before any temperature.
    """

    frames: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=self.frames, inputs=self.inputs, outputs=self.outputs)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "Golden":
        """Raises: ValueError, KeyError, OSError or one of `_DAMAGED_ZIP` on anything but three plain arrays."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # it checks each array's sum before NumPy reads the array
            files = [io.BytesIO(archive.read(f"{name}.npy")) for name in ("frames", "inputs", "outputs")]
        return Golden(*(np.lib.format.read_array(file, allow_pickle=False) for file in files))


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were proved to belong together."""

    path: Path
    manifest: Manifest
    model: bytes
    golden: Golden
    compiled: dict[str, bytes] = field(default_factory=dict)

    def model_for(self, target: str) -> bytes:
        """The model compiled for an accelerator, else the one that runs anywhere."""
        return self.compiled.get(target, self.model)

    @staticmethod
    def load(path: Path) -> "Bundle":
        """Read a bundle and check its schema, hash, labels and golden arrays.

        Args:
            path: the bundle's folder, or its zip file.

        Raises:
            BundleError: names the field, what was expected and what was found.
        """
        manifest_bytes = _member(path, MANIFEST)
        manifest = _parse_manifest(path, manifest_bytes)
        model = _member(path, MODEL)
        found = hashlib.sha256(model).hexdigest()
        if found != manifest.model_sha256:
            raise BundleError(
                f"{path}: {MODEL} does not match its manifest (sha256 {found[:12]}, expected {manifest.model_sha256[:12]});"
                " copy the bundle again"
            )
        _check_labels(path, _member(path, LABELS), manifest)
        return Bundle(path, manifest, model, _parse_golden(path, _member(path, GOLDEN), manifest), _compiled(path, manifest))


def write_bundle(
    path: Path, manifest: Manifest, model: bytes, golden: Golden, card: str, compiled: Mapping[str, bytes] | None = None
) -> None:
    """Write a bundle's folder whole or not at all; an older bundle at `path` is replaced.

    Args:
        compiled: target -> model, of those that the manifest gives a file.

    Raises:
        LeukoliteError: `path` holds something that is not a bundle, or cannot be written.
    """
    with new_folder(path, replace_if_holds=MANIFEST) as folder:
        (folder / MODEL).write_bytes(model)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / LABELS).write_text("".join(f"{label}\n" for label in manifest.labels), encoding="utf-8")
        (folder / GOLDEN).write_bytes(golden.to_bytes())
        (folder / CARD).write_text(card, encoding="utf-8")
        for one in manifest.compiled:
            if one.file is not None:
                (folder / one.file).write_bytes((compiled or {})[one.target])


def _compiled(path: Path, manifest: Manifest) -> dict[str, bytes]:
    found = {}
    for one in manifest.compiled:
        if one.file is None:
            continue
        found[one.target] = _member(path, one.file)
        if hashlib.sha256(found[one.target]).hexdigest() != one.sha256:
            raise BundleError(f"{path}: {one.file} does not match its manifest; copy the bundle again")
    return found


def _member(path: Path, name: str) -> bytes:
    try:
        if path.is_dir():
            file = path / name
            if not file.is_file():
                raise BundleError(f"{path}: {name} is missing; expected a bundle with {MODEL}, {MANIFEST}, {LABELS}, {GOLDEN}")
            if file.stat().st_size > MAX_FILE_BYTES:
                raise BundleError(f"{file}: larger than {MAX_FILE_BYTES // 1_000_000} MB; this is not one of leukolite's bundles")
            return file.read_bytes()
        if not path.exists():
            raise BundleError(f"{path}: no such bundle; expected a folder or zip with {MODEL}, {MANIFEST}, {LABELS}, {GOLDEN}")
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if info.file_size > MAX_FILE_BYTES:
                raise BundleError(f"{path}: {name} is larger than {MAX_FILE_BYTES // 1_000_000} MB")
            return archive.read(info)
    except KeyError as error:
        raise BundleError(f"{path}: the archive has no {name} at its top; zip the files of a bundle, not its folder") from error
    except _DAMAGED_ZIP as error:
        raise BundleError(f"{path}: neither a bundle folder nor a whole zip file ({error})") from error
    except OSError as error:
        raise BundleError(f"{path}: {name} cannot be read ({error.strerror or error})") from error


def _parse_manifest(path: Path, data: bytes) -> Manifest:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise BundleError(f"{path}: {MANIFEST} is not JSON ({error}); copy the bundle again") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version not in READABLE or type(version) is not int:
        known = " or ".join(map(str, READABLE))
        raise BundleError(f"{path}: {MANIFEST} schema_version: expected {known}, found {version!r}; convert the run again")
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        shown = repr(first.get("input"))[:80]
        raise BundleError(f"{path}: {MANIFEST} {where}: {first['msg']}, found {shown}") from error


def _check_labels(path: Path, data: bytes, manifest: Manifest) -> None:
    lines = data.decode("utf-8", errors="replace").splitlines()
    if lines != manifest.labels:
        raise BundleError(f"{path}: {LABELS} has {lines}, expected the manifest's labels {manifest.labels}")


def _parse_golden(path: Path, data: bytes, manifest: Manifest) -> Golden:
    try:
        golden = Golden.from_bytes(data)
    except (ValueError, KeyError, OSError, *_DAMAGED_ZIP) as error:
        raise BundleError(f"{path}: {GOLDEN} is damaged ({error}); copy the bundle again") from error
    n = golden.frames.shape[0] if golden.frames.ndim else 0
    expected = {
        "frames": (golden.frames, "uint8", (n, *golden.frames.shape[1:3], 3)),
        "inputs": (golden.inputs, manifest.input_tensor.dtype, (n, manifest.input.height, manifest.input.width, 3)),
        "outputs": (golden.outputs, "float32", (n, len(manifest.labels))),
    }
    for name, (array, dtype, shape) in expected.items():
        if 0 in shape or array.dtype != dtype or array.shape != shape:
            raise BundleError(
                f"{path}: {GOLDEN} {name}: expected {dtype} of shape {shape}, found {array.dtype} of shape {array.shape}"
            )
    return golden
