"""A finished run becomes a bundle: quantise, compare with the float model, calibrate, measure, write."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite import synthetic
from leukolite.bundle import NAME_PATTERN, Golden, GoldenSpec, Manifest, Measured, Training, write_bundle
from leukolite.convert.card import model_card
from leukolite.convert.quantise import pick_calibration, to_int8
from leukolite.decision import Decision, fit_temperature
from leukolite.errors import ConversionError, ImageError
from leukolite.evaluation import Judged, evaluate_files, metrics_by_sigma
from leukolite.files import check_replaceable
from leukolite.images import read_rgb
from leukolite.judge import Judge
from leukolite.preprocess import InputSpec, crop_and_resize
from leukolite.runtime import TfliteRuntime
from leukolite.train.judging import KerasRuntime
from leukolite.train.runs import Run, SplitFile, load_model, load_run, load_run_split

GOLDEN_FRAMES, GOLDEN_SIZE, GOLDEN_SEED = 4, 300, 20250101
GOLDEN_TOLERANCE = {"litert": 0.02, "tflite-runtime": 0.08}  # seen: 1/256 between processors, 0.05 between the two runtimes
LEAST_FOR_TEMPERATURE = 50  # images; with fewer a fitted temperature says more about chance than about the model

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Flip:
    """An image on which the int8 model's verdict is not the float model's."""

    path: Path
    truth: str
    float_label: str
    float_probability: float
    int8_label: str
    int8_probability: float


@dataclass(frozen=True)
class Conversion:
    """What a conversion made and what it cost."""

    path: Path
    manifest: Manifest
    model_bytes: int
    calibration_images: int
    compared: int
    flips: tuple[Flip, ...]
    float_accuracy: float
    int8_accuracy: float


def convert_run(
    folder: Path,
    out: Path,
    *,
    name: str,
    data: Path | None,
    calibration: int,
    sigmas: tuple[float, ...],
    seed: int,
    progress: Progress,
) -> Conversion:
    """Make an int8 bundle of the run in `folder`.

    Args:
        data: where the run's images are now; None: where they were when it was trained.
        calibration: images for the activations' ranges, from the training part, stratified by class.
        sigmas: noise levels at which the int8 model is measured; 0 is added if missing.
        seed: of the choice of images and of the noise.

    Raises:
        TrainingError: the folder is not a finished run.
        ConversionError: the name cannot be one, the images are gone or changed, or the model cannot be quantised.
        LeukoliteError: `out` cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConversionError(
            f"{name!r} cannot be a bundle's name: expected letters, digits, '.', '_', '-'; choose one with --name"
        )
    check_replaceable(out, "manifest.json")
    run, split = load_run(folder), load_run_split(folder)
    root = data or Path(run.data)
    model = load_model(folder)

    chosen = pick_calibration([entry.label for entry in split["train"]], calibration, seed)
    images = _read(root, [split["train"][i] for i in chosen], run.input, progress)
    progress("quantising", 0, 0)
    content = to_int8(model, images, run.input)

    runtime = TfliteRuntime(content)
    raw = Judge(runtime, labels=run.labels, malignant=run.malignant, spec=run.input)
    reference = Judge(KerasRuntime(model), labels=run.labels, malignant=run.malignant, spec=run.input)
    part = "test" if split["test"] else "validation"
    seen = (entry.sha256 for name in ("train", "validation") for entry in split[name])
    files = _located(root, split[part], run)
    # float and int8 are compared before temperature and threshold, which apply to both alike
    compared = _judge(raw, files, (0.0,), seed, "int8", progress)
    floats = _judge(reference, files, (0.0,), seed, "float", progress)
    flips = tuple(
        Flip(path, run.labels[truth], f.verdict.label, f.verdict.probability, q.verdict.label, q.verdict.probability)
        for (path, truth), f, q in zip(files, floats, compared, strict=True)
        if f.verdict.index != q.verdict.index
    )

    decision = _decision(raw, _located(root, split["validation"], run), run, seed, progress)
    judge = Judge(runtime, labels=run.labels, malignant=run.malignant, spec=run.input, decision=decision)
    judged = _judge(judge, files, tuple(dict.fromkeys((0.0, *sigmas))), seed, "noise", progress)
    manifest = Manifest(
        schema_version=1,
        name=name,
        unit=run.unit,
        labels=run.labels,
        malignant=run.malignant,
        input=run.input,
        input_tensor=runtime.input.format,
        output_tensor=runtime.output.format,
        decision=decision,
        model_sha256=hashlib.sha256(content).hexdigest(),
        golden=GoldenSpec(runtime=f"litert {runtime.version}", tolerance=GOLDEN_TOLERANCE),
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
        measured=Measured(
            part=part,
            noise_seed=seed,
            runtime=f"litert {runtime.version}",
            float_agreement=1 - len(flips) / len(files),
            results=metrics_by_sigma(judged, run.labels, run.malignant),
        ),
    )
    write_bundle(out, manifest, content, make_golden(raw), model_card(manifest, len(content)))
    return Conversion(
        path=out,
        manifest=manifest,
        model_bytes=len(content),
        calibration_images=len(chosen),
        compared=len(files),
        flips=flips,
        float_accuracy=float(np.mean([item.verdict.index == item.truth for item in floats])),
        int8_accuracy=float(np.mean([item.verdict.index == item.truth for item in compared])),
    )


def make_golden(judge: Judge) -> Golden:
    """Synthetic captures, what preprocessing makes of them, and the reference runtime's outputs.

    Args:
        judge: with the quantised model on LiteRT, the reference.
    """
    rng = np.random.default_rng(GOLDEN_SEED)
    labels = [synthetic.LABELS[i % len(synthetic.LABELS)] for i in range(GOLDEN_FRAMES)]
    frames = np.stack([synthetic.render_cell(rng, label, size=GOLDEN_SIZE) for label in labels])
    # crops of other than square shape, so that a wrong crop or swapped axes cannot pass
    frames = np.ascontiguousarray(frames[:, : GOLDEN_SIZE - 40])
    inputs = np.stack([crop_and_resize(frame, judge.spec) for frame in frames])
    outputs = np.stack([judge.runtime.invoke(image[np.newaxis]) for image in inputs]).astype(np.float32)
    return Golden(frames, inputs, outputs)


def _portable_recipe(run: Run) -> dict[str, object]:
    """The recipe without this machine's paths."""
    recipe: dict[str, object] = run.recipe.model_dump(mode="json")
    recipe["weights"] = Path(run.recipe.weights).name
    return recipe


def _read(root: Path, entries: list[SplitFile], spec: InputSpec, progress: Progress) -> np.ndarray:
    images = []
    for i, entry in enumerate(entries):
        images.append(crop_and_resize(read_rgb(_found(root, entry)), spec))
        progress("calibration", i + 1, len(entries))
    return np.stack(images)


def _located(root: Path, entries: list[SplitFile], run: Run) -> list[tuple[Path, int]]:
    return [(_found(root, entry), run.labels.index(entry.label)) for entry in entries]


def _found(root: Path, entry: SplitFile) -> Path:
    path = root / entry.path
    if not path.is_file():
        raise ConversionError(f"{path}: an image of the run is not there; say where the data folder is now with --data")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry.sha256:
        raise ConversionError(f"{path}: the image has changed since the run was trained; restore it, or train again")
    return path


def _judge(
    judge: Judge, files: list[tuple[Path, int]], sigmas: tuple[float, ...], seed: int, stage: str, progress: Progress
) -> list[Judged]:
    done = iter(range(1, len(files) + 1))
    judged, unreadable = evaluate_files(judge, files, sigmas, seed=seed, on_image=lambda: progress(stage, next(done), len(files)))
    if unreadable:
        raise ImageError(str(unreadable[0][1]))
    return judged


def _decision(judge: Judge, files: list[tuple[Path, int]], run: Run, seed: int, progress: Progress) -> Decision:
    """Temperature fitted on the int8 outputs of the validation part; threshold one half, no abstention."""
    threshold = 0.5 if len(run.labels) == 2 and len(run.malignant) == 1 else None
    if len(files) < LEAST_FOR_TEMPERATURE:
        return Decision(threshold=threshold)
    judged = _judge(judge, files, (0.0,), seed, "temperature", progress)
    probabilities = np.stack([item.verdict.probabilities for item in judged])
    return Decision(threshold=threshold, temperature=fit_temperature(probabilities, np.array([truth for _, truth in files])))
