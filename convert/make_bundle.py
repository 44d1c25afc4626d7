"""A finished run becomes bundles: convert, gate, prove on each runtime, fit the decision, measure, write."""

import hashlib
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite.bundle import (
    MANIFEST,
    NAME_PATTERN,
    CellPicture,
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
from leukolite.convert.gate import Flip, failures, find_flips
from leukolite.convert.images import golden_frames
from leukolite.convert.parity import ask_runtime, compare, find_runtime, proof, proofs
from leukolite.convert.trained import Made, Settings, Trained, make, measure_gate
from leukolite.convert.variants import AUTO_ORDER, VARIANTS, Variant
from leukolite.decision import Decision
from leukolite.errors import BundleError, ConversionError, ImageError
from leukolite.evaluation import evaluate_files, metrics_by_sigma
from leukolite.files import check_replaceable
from leukolite.judge import Judge
from leukolite.preprocess import to_input
from leukolite.runtime import Runtime, TfliteRuntime
from leukolite.train.runs import Run

# of the published layouts, measured with the ruler that edge-run uses: docs/locating.md says how
CELL_PICTURES = {
    "c-nmc": CellPicture(window=3.5, background="black"),
    "all-idb2": CellPicture(window=3.3, background="kept"),
    "synthetic": CellPicture(window=3.1, background="kept"),
}


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

    outcomes: tuple[Outcome, ...]
    float_bytes: int
    float_tflite: RuntimeProof
    float_p50_ms: float | None

    @property
    def written(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.path is not None]


def convert_run(opened: AbstractContextManager[Trained], out: Path, *, name: str, settings: Settings) -> Conversion:
    """Make bundles of a trained model, of each variant that passes the gate.

    Args:
        opened: from `open_trained` or `leukolite.convert.external.open_foreign`, made with the same settings; not yet entered.
        out: the bundle's folder; of several variants (without `auto`) the folder of one folder a variant.
        name: the bundle's; of several `name`-`variant`.

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
    with opened as trained:
        outcomes: list[Outcome] = []
        for variant in wanted:
            outcomes.append(_convert(trained, VARIANTS[variant], names[variant], places[variant]))
            if settings.auto and outcomes[-1].path is not None:
                break
        answers = ask_runtime(trained.float_tflite, trained.validation, trained.run.input, trained.progress)
        golden = np.zeros(0) if answers.golden is None else answers.golden
        return Conversion(
            outcomes=tuple(outcomes),
            float_bytes=len(trained.float_tflite),
            float_tflite=proof(answers, trained.floats, golden, VARIANTS["float32"].tolerance[answers.name]),
            float_p50_ms=answers.p50_ms,
        )


def make_golden(judge: Judge) -> Golden:
    """Synthetic captures, what preprocessing makes of them, and the reference runtime's outputs.

    Args:
        judge: with the converted model on LiteRT, the reference.
    """
    frames = golden_frames()
    inputs = np.concatenate([to_input(frame, judge.spec, judge.table) for frame in frames])
    outputs = np.stack([judge.runtime.invoke(image[np.newaxis]) for image in inputs]).astype(np.float32)
    return Golden(frames, inputs, outputs)


class Recorder:
    """A runtime that keeps what it answered, before any temperature."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.name, self.version, self.threads, self.delegate = runtime.name, runtime.version, runtime.threads, runtime.delegate
        self.input, self.output = runtime.input, runtime.output
        self.outputs: list[np.ndarray] = []

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`."""
        self.outputs.append(self._runtime.invoke(batch))
        return self.outputs[-1]


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
            seen_pictures=trained.seen_pictures,
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
        cell=(settings.cell or CELL_PICTURES.get(run.dataset)) if run.unit == "cell" else None,
        appearance=trained.appearance,
    )


def _measure(trained: Trained, runtime: TfliteRuntime, decision: Decision) -> tuple[Measured, tuple[float | None, float | None]]:
    """The bundle on the part kept for judging, at each noise level; and its ECE before and after the temperature."""
    run, settings = trained.run, trained.settings
    recorder = Recorder(runtime)
    judge = Judge(recorder, labels=run.labels, malignant=run.malignant, spec=run.input, decision=decision)
    sigmas = tuple(dict.fromkeys((0.0, *settings.sigmas)))
    done = iter(range(1, len(trained.kept) + 1))
    judged, unreadable = evaluate_files(
        judge,
        trained.kept,
        sigmas,
        seed=settings.seed,
        on_image=lambda: trained.progress("measuring", next(done), len(trained.kept)),
    )
    if unreadable:
        raise ImageError(str(unreadable[0][1]))
    raw = np.stack(recorder.outputs[:: len(sigmas)])  # at sigma 0, the first of each file's
    truth = np.array([label for _, label in trained.kept])
    flips, _, _ = compare(trained.kept_floats, raw)
    measured = Measured(
        part=trained.kept_part,
        noise_seed=settings.seed,
        runtime=f"litert {runtime.version}",
        float_agreement=1 - flips / len(truth),
        results=metrics_by_sigma(judged, run.labels, run.malignant),
    )
    return measured, (ece(raw, truth, 1.0), ece(raw, truth, decision.temperature))


def _portable_recipe(run: Run) -> dict[str, object]:
    """The recipe without this machine's paths."""
    recipe: dict[str, object] = run.recipe.model_dump(mode="json")
    recipe["weights"] = Path(run.recipe.weights).name
    return recipe
