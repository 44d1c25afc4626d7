"""A finished run becomes bundles: convert, gate, prove on each runtime, fit the decision, measure, write."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukolite.bundle import (
    MANIFEST,
    NAME_PATTERN,
    Calibration,
    FineTuning,
    Fitted,
    Gate,
    Golden,
    GoldenSpec,
    Manifest,
    Measured,
    RuntimeProof,
    Training,
    write_bundle,
)
from leukolite.convert.card import model_card
from leukolite.convert.fitting import ece, fit_decision
from leukolite.convert.gate import GATE_SIGMAS, Flip, failures, find_flips, gate_level
from leukolite.convert.images import Images, Progress, calibration_images, golden_frames, located, prepare, read_inputs
from leukolite.convert.prove import ask_runtime, compare, find_runtime, proof, proofs
from leukolite.convert.qat import Job, fine_tune
from leukolite.convert.quantise import to_tflite
from leukolite.convert.variants import AUTO_ORDER, VARIANTS, Variant
from leukolite.decision import UNCALIBRATED, Decision
from leukolite.errors import BundleError, ConversionError, ImageError
from leukolite.evaluation import Judged, evaluate_files, metrics_by_sigma
from leukolite.files import check_replaceable
from leukolite.judge import Judge
from leukolite.preprocess import to_input
from leukolite.runtime import TfliteRuntime
from leukolite.train.fit import predict
from leukolite.train.runs import Run, SplitFile, load_model, load_run, load_run_split

if TYPE_CHECKING:
    import keras

BATCH = 32  # images at a time through the float model


@dataclass(frozen=True)
class Settings:
    """How runs are converted.

    Attributes:
        variants: keys of `VARIANTS`; with `auto` tried in order until one passes the gate.
        sigmas: noise levels at which a bundle is measured; 0 is added if missing.
        calibration: images for the activations' ranges.
        seed: of the choice of images, of the noise and of fine-tuning.
        max_drop: points of accuracy that a variant may lose against the float model, at each of `GATE_SIGMAS`.
        max_recall_drop: points of any malignant class's recall.
        target_error: share of wrong verdicts outside the abstain band.
        abstains: put the band in force.
        qat_epochs: of fine-tuning, for int8-qat.
        prove_with: other Python interpreters, whose TFLite runtimes are tried too.
    """

    variants: tuple[str, ...] = ("int8",)
    auto: bool = False
    sigmas: tuple[float, ...] = (0.0,)
    calibration: int = 200
    seed: int = 0
    max_drop: float = 0.5
    max_recall_drop: float = 0.5
    target_error: float = 0.01
    abstains: bool = False
    qat_epochs: int = 1
    prove_with: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one variant.

    Attributes:
        path: of the bundle; None where none was written.
        manifest: of the bundle, or what it would have been; None where the variant could not be made.
        reasons: why none was written: the gate's limits that it exceeds, or what the converter said.
        flips: on the validation part, at each of the gate's noise levels.
        p50_ms: runtime -> median invoke on this machine, one thread.
    """

    variant: str
    path: Path | None
    manifest: Manifest | None
    model_bytes: int
    reasons: tuple[str, ...]
    flips: tuple[Flip, ...]
    p50_ms: dict[str, float]


@dataclass(frozen=True)
class Conversion:
    """What a conversion made and what it cost.

    Attributes:
        float_bytes: size of the float32 file.
        float_tflite: that file on LiteRT beside the float Keras model: what the conversion changes without quantisation.
        float_p50_ms: its median invoke on this machine, one thread.
    """

    run: Run
    outcomes: tuple[Outcome, ...]
    float_bytes: int
    float_tflite: RuntimeProof
    float_p50_ms: float | None

    @property
    def written(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.path is not None]


@dataclass(frozen=True)
class Trained:
    """A finished run with its model and its split's files, found and unchanged, and what the float model says of them."""

    folder: Path
    root: Path
    run: Run
    split: dict[str, list[SplitFile]]
    model: "keras.Model"
    workplace: Path
    settings: Settings
    progress: Progress

    @cached_property
    def validation(self) -> Images:
        """The part that judges the conversion, at the gate's noise levels."""
        files = located(self.root, self.split["validation"], self.run)
        return prepare(self.workplace / "validation.npy", files, GATE_SIGMAS, self.run.input, self.settings.seed, self.progress)

    @cached_property
    def kept_part(self) -> str:
        """The part kept for judging: 'test', or 'validation' where the run has no other."""
        return "test" if self.split["test"] else "validation"

    @cached_property
    def kept(self) -> list[tuple[Path, int]]:
        return located(self.root, self.split[self.kept_part], self.run)

    @cached_property
    def floats(self) -> np.ndarray:
        """The float Keras model's probabilities of the validation part, shape (sigmas, n, classes)."""
        return np.stack([self._predict(level) for level in self.validation.levels])

    @cached_property
    def kept_floats(self) -> np.ndarray:
        """The same of the part kept for judging, at sigma 0, shape (n, classes)."""
        if self.kept_part == "validation":
            return self.floats[0]
        images = prepare(self.workplace / "kept.npy", self.kept, (0.0,), self.run.input, self.settings.seed, self.progress)
        return self._predict(images.levels[0])

    @cached_property
    def calibration(self) -> tuple[np.ndarray, Calibration]:
        settings = self.settings
        return calibration_images(self.root, self.split["train"], settings.calibration, self.run, settings.seed, self.progress)

    @cached_property
    def float_tflite(self) -> bytes:
        return to_tflite(self.model, VARIANTS["float32"], self.run.input)

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        outputs = []
        for start in range(0, len(pixels), BATCH):
            outputs.append(predict(self.model, pixels[start : start + BATCH], self.run.input, BATCH))
            self.progress("float model", min(start + BATCH, len(pixels)), len(pixels))
        return np.concatenate(outputs)


@contextmanager
def open_trained(folder: Path, data: Path | None, settings: Settings, progress: Progress) -> Iterator[Trained]:
    """A run ready to be converted, with a temporary folder for its decoded images.

    Args:
        data: where the run's images are now; None: where they were when it was trained.

    Raises:
        TrainingError: the folder is not a finished run.
    """
    run, split = load_run(folder), load_run_split(folder)
    with tempfile.TemporaryDirectory(prefix="leukolite-convert-") as workplace:
        yield Trained(folder, data or Path(run.data), run, split, load_model(folder), Path(workplace), settings, progress)


def convert_run(folder: Path, out: Path, *, name: str, data: Path | None, settings: Settings, progress: Progress) -> Conversion:
    """Make bundles of the run in `folder`, of each variant that passes the gate.

    Args:
        out: the bundle's folder; of several variants (without `auto`) the folder of one folder a variant.
        name: the bundle's; of several `name`-`variant`.
        data: where the run's images are now; None: where they were when it was trained.

    Raises:
        TrainingError: the folder is not a finished run.
        ConversionError: the name cannot be one, or an interpreter to prove with has no runtime. A variant that cannot be
            made, or does not pass, is an outcome and no error.
        DatasetError: the images are gone or changed.
        LeukoliteError: `out` cannot be written.
    """
    wanted = AUTO_ORDER if settings.auto else settings.variants
    is_one = settings.auto or len(wanted) == 1
    names = {variant: name if is_one else f"{name}-{variant}" for variant in wanted}
    places = {variant: out if is_one else out / variant for variant in wanted}
    for one in names.values():
        if not re.fullmatch(NAME_PATTERN, one):
            raise ConversionError(
                f"{one!r} cannot be a bundle's name: expected letters, digits, '.', '_', '-'; choose one with --name"
            )
    if not is_one and (out / MANIFEST).is_file():
        raise ConversionError(f"{out}: a bundle, expected a folder for several of them; choose another place")
    for place in places.values():
        check_replaceable(place, MANIFEST)
    for python in settings.prove_with:
        find_runtime(python)
    with open_trained(folder, data, settings, progress) as trained:
        outcomes: list[Outcome] = []
        for variant in wanted:
            outcomes.append(_convert(trained, VARIANTS[variant], names[variant], places[variant]))
            if settings.auto and outcomes[-1].path is not None:
                break
        answers = ask_runtime(trained.float_tflite, trained.validation, trained.run.input, progress)
        golden = np.zeros(0) if answers.golden is None else answers.golden
        return Conversion(
            run=trained.run,
            outcomes=tuple(outcomes),
            float_bytes=len(trained.float_tflite),
            float_tflite=proof(answers, trained.floats, golden, VARIANTS["float32"].tolerance[answers.name]),
            float_p50_ms=answers.p50_ms,
        )


@dataclass(frozen=True)
class Made:
    """A .tflite file, and the record of the images that calibrated or fine-tuned it."""

    content: bytes
    calibration: Calibration | None = None
    fine_tuning: FineTuning | None = None


def make(trained: Trained, variant: Variant) -> Made:
    """Convert to a variant.

    Raises:
        ConversionError: it cannot be made.
    """
    run, settings = trained.run, trained.settings
    if variant.is_trained:
        pixels, truth = read_inputs(trained.root, trained.split["train"], run, trained.progress)
        job = Job(
            spec=run.input,
            augmentation=run.recipe.augmentation,
            balance=run.recipe.balance,
            batch_size=run.recipe.batch_size,
            epochs=settings.qat_epochs,
            seed=settings.seed,
        )
        content = fine_tune(job, trained.folder, pixels, truth, trained.progress)
        record = FineTuning(images=len(truth), epochs=job.epochs, learning_rate=job.learning_rate, seed=job.seed)
        return Made(content, fine_tuning=record)
    if not variant.is_calibrated:
        return Made(to_tflite(trained.model, variant, run.input))
    pixels, calibration = trained.calibration
    trained.progress(variant.name, 0, 0)
    return Made(to_tflite(trained.model, variant, run.input, pixels), calibration)


def measure_gate(trained: Trained, outputs: np.ndarray) -> Gate:
    """The float model beside a converted one on the validation part.

    Args:
        outputs: the converted model's probabilities, shape (sigmas, n, classes).
    """
    run, settings, images = trained.run, trained.settings, trained.validation
    levels = [
        gate_level(sigma, images.truth, trained.floats[k], outputs[k], run.labels, run.malignant)
        for k, sigma in enumerate(images.sigmas)
    ]
    return Gate(part="validation", max_drop=settings.max_drop, max_recall_drop=settings.max_recall_drop, levels=levels)


def make_golden(judge: Judge) -> Golden:
    """Synthetic captures, what preprocessing makes of them, and the reference runtime's outputs.

    Args:
        judge: with the converted model on LiteRT, the reference.
    """
    frames = golden_frames()
    inputs = np.concatenate([to_input(frame, judge.spec, judge.table) for frame in frames])
    outputs = np.stack([judge.runtime.invoke(image[np.newaxis]) for image in inputs]).astype(np.float32)
    return Golden(frames, inputs, outputs)


def _convert(trained: Trained, variant: Variant, name: str, place: Path) -> Outcome:
    """One variant, from the model to its bundle, or to the reasons why there is none."""
    try:
        made = make(trained, variant)
        content, runtime = made.content, TfliteRuntime(made.content)
    except (ConversionError, BundleError) as error:
        return Outcome(variant.name, None, None, 0, (f"it cannot be made: {error}",), (), {})
    run, settings, images = trained.run, trained.settings, trained.validation
    ask = [ask_runtime(content, images, run.input, trained.progress, python) for python in (None, *settings.prove_with)]
    reference = ask[0]
    if reference.outputs is None or reference.golden is None:
        return Outcome(variant.name, None, None, len(content), (f"LiteRT does not run it: {reference.refusal}",), (), {})
    gate = measure_gate(trained, reference.outputs)
    reasons = tuple(failures(gate))

    def limits(outputs: np.ndarray) -> list[str]:
        """What another runtime loses where the reference passes."""
        return [] if reasons else failures(measure_gate(trained, outputs))

    proved = proofs(ask, trained.floats, reference.golden, variant.tolerance, limits)
    manifest = _manifest(trained, variant, name, made, runtime, reference.outputs, gate, proved)
    flips = find_flips(images.names, images.sigmas, images.truth, trained.floats, reference.outputs, run.labels)
    times = {answers.name: answers.p50_ms for answers in ask if answers.p50_ms is not None}
    if not reasons:
        golden = make_golden(Judge(runtime, labels=run.labels, malignant=run.malignant, spec=run.input))
        write_bundle(place, manifest, content, golden, model_card(manifest, len(content)))
    return Outcome(variant.name, None if reasons else place, manifest, len(content), reasons, tuple(flips), times)


def _manifest(
    trained: Trained,
    variant: Variant,
    name: str,
    made: Made,
    runtime: TfliteRuntime,
    outputs: np.ndarray,
    gate: Gate,
    proved: list[RuntimeProof],
) -> Manifest:
    run, split, settings, truth = trained.run, trained.split, trained.settings, trained.validation.truth
    decision, band = fit_decision(
        outputs[0],
        trained.floats[0],
        truth,
        run.labels,
        run.malignant,
        target_error=settings.target_error,
        abstains=settings.abstains,
    )
    measured, judged_ece = _measure(trained, runtime, decision)
    seen = (entry.sha256 for part in ("train", "validation") for entry in split[part])
    refused = {one.name for one in proved if one.outcome == "refused"}
    return Manifest(
        schema_version=2,
        name=name,
        variant=variant.name,
        unit=run.unit,
        labels=run.labels,
        malignant=run.malignant,
        input=run.input,
        input_tensor=runtime.input.format,
        output_tensor=runtime.output.format,
        decision=decision,
        model_sha256=hashlib.sha256(made.content).hexdigest(),
        golden=GoldenSpec(
            runtime=f"litert {runtime.version}",
            tolerance={name: gap for name, gap in variant.tolerance.items() if name not in refused},
        ),
        training=Training(
            recipe=_portable_recipe(run),
            dataset=run.dataset,
            dataset_fingerprint=run.dataset_fingerprint,
            split_by=Path(run.split_by).name,
            split=run.split,
            seed=run.seed,
            versions=run.versions,
            seen=sorted(sha[:12] for sha in {*seen, *run.seen_before}),
        ),
        measured=measured,
        calibration=made.calibration,
        fine_tuning=made.fine_tuning,
        fitted=Fitted(
            part="validation",
            n=len(truth),
            ece_before=ece(outputs[0], truth, 1.0),
            ece_after=ece(outputs[0], truth, decision.temperature),
            judged_ece=judged_ece,
            band=band,
        ),
        gate=gate,
        runtimes=proved,
    )


def _measure(trained: Trained, runtime: TfliteRuntime, decision: Decision) -> tuple[Measured, tuple[float | None, float | None]]:
    """The bundle on the part kept for judging, at each noise level; and its ECE before and after the temperature."""
    run, settings = trained.run, trained.settings

    def judged(decision: Decision, sigmas: tuple[float, ...], stage: str) -> list[Judged]:
        judge = Judge(runtime, labels=run.labels, malignant=run.malignant, spec=run.input, decision=decision)
        done = iter(range(1, len(trained.kept) + 1))
        verdicts, unreadable = evaluate_files(
            judge,
            trained.kept,
            sigmas,
            seed=settings.seed,
            on_image=lambda: trained.progress(stage, next(done), len(trained.kept)),
        )
        if unreadable:
            raise ImageError(str(unreadable[0][1]))
        return verdicts

    decided = judged(decision, tuple(dict.fromkeys((0.0, *settings.sigmas))), "measuring")
    raw = np.stack([item.verdict.probabilities for item in judged(UNCALIBRATED, (0.0,), "calibration error")])
    truth = np.array([label for _, label in trained.kept])
    flips, _, _ = compare(trained.kept_floats, raw)
    measured = Measured(
        part=trained.kept_part,
        noise_seed=settings.seed,
        runtime=f"litert {runtime.version}",
        float_agreement=1 - flips / len(truth),
        results=metrics_by_sigma(decided, run.labels, run.malignant),
    )
    return measured, (ece(raw, truth, 1.0), ece(raw, truth, decision.temperature))


def _portable_recipe(run: Run) -> dict[str, object]:
    """The recipe without this machine's paths."""
    recipe: dict[str, object] = run.recipe.model_dump(mode="json")
    recipe["weights"] = Path(run.recipe.weights).name
    return recipe
