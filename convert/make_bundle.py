"""A trained model becomes bundles: convert, gate, check each runtime, fit the decision, measure, write."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from leukolite.bundle import MANIFEST, MAX_FILE_BYTES, Golden, write_bundle
from leukolite.classifier import Classifier
from leukolite.convert.card import model_card
from leukolite.convert.converted import ConvertedModel, convert_model, measure_gate
from leukolite.convert.fitting import ece, fit_decision
from leukolite.convert.gate import Flip, failures, find_flips
from leukolite.convert.images import golden_frames
from leukolite.convert.inputs import ConversionInputs, open_inputs
from leukolite.convert.parity import ask_runtime, check_parity, check_runtimes, compare, find_runtime
from leukolite.convert.settings import ConversionSettings
from leukolite.convert.source import ConversionSource
from leukolite.convert.usefulness import UselessModelError
from leukolite.convert.variants import AUTO_ORDER, VARIANTS, Variant, bundle_places
from leukolite.decision import Decision
from leukolite.errors import BundleError, ConversionError
from leukolite.evaluation import evaluate_files, metrics_by_sigma
from leukolite.files import check_replaceable
from leukolite.image_files import Unusable
from leukolite.manifest import (
    NAME_PATTERN,
    SCHEMA,
    CellPicture,
    ConversionGate,
    Fitted,
    GoldenSpec,
    Manifest,
    Measurement,
    RuntimeCheck,
    Training,
)
from leukolite.people import hashed_people
from leukolite.preprocess import to_input
from leukolite.progress import OnProgress
from leukolite.runtime import Runtime, TfliteRuntime

# of the published layouts, measured with the red-cell scale that edge-run uses: docs/evidence/locating.md says how
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
        notes: lines about the data and the model itself, found out before.
        unusable: files of the data that were skipped.
    """

    outcomes: tuple[Outcome, ...]
    float_bytes: int
    float_tflite: RuntimeCheck
    float_p50_ms: float | None
    notes: tuple[str, ...] = ()
    unusable: tuple[Unusable, ...] = ()

    @property
    def written(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.path is not None]


def make_bundles(
    open_source: Callable[[OnProgress], ConversionSource],
    out: Path,
    *,
    name: str,
    settings: ConversionSettings,
    progress: OnProgress,
    force: bool = False,
) -> Conversion:
    """Make bundles of a trained model, of each variant that passes the gate.

    Args:
        open_source: loads the model, once it is clear that the bundles can be named and written.
        out: the bundle's folder; of several variants (without `auto`) the folder of one folder per variant.
        name: the bundle's; of several `name`-`variant`.
        force: replace bundles that are there.

    Raises:
        ConversionError: the name cannot be one, or another interpreter has no runtime. A variant that cannot be made, or
            does not pass, is an outcome and no error.
        UselessModelError: the model is of no use on the validation part, and nobody insists.
        DatasetError: the images are gone or changed.
        LeukoliteError: `out` cannot be written; and what `open_source` raises.
    """
    wanted = AUTO_ORDER if settings.auto else settings.variants
    is_one = settings.auto or len(wanted) == 1
    names = {variant: name if is_one else f"{name}-{variant}" for variant in wanted}
    places = bundle_places(out, wanted, auto=settings.auto)
    for one in names.values():
        if not re.fullmatch(NAME_PATTERN, one):
            raise ConversionError(
                f"{one!r} cannot be a bundle's name: expected letters, digits, '.', '_', '-'", advice="bundle-name"
            )
    if not is_one and (out / MANIFEST).is_file():
        raise ConversionError(f"{out}: a bundle, expected a folder for several of them; choose another place")
    for place in places.values():
        check_replaceable(place, MANIFEST, force=force)
    for python in settings.other_pythons:
        find_runtime(python)
    with open_inputs(open_source(progress), settings, progress) as inputs:
        if inputs.objections and not settings.allow_useless:
            raise UselessModelError(f"{inputs.source.origin}: {'; '.join(inputs.objections)}")
        outcomes: list[Outcome] = []
        for variant in wanted:
            outcomes.append(_convert(inputs, VARIANTS[variant], names[variant], places[variant], force))
            if settings.auto and outcomes[-1].path is not None:
                break
        examined = () if inputs.source.examination is None else inputs.source.examination.notes
        answers = ask_runtime(inputs.float_tflite, inputs.validation, inputs.source.spec, progress)
        golden = np.zeros(0) if answers.golden is None else answers.golden
        return Conversion(
            outcomes=tuple(outcomes),
            float_bytes=len(inputs.float_tflite),
            float_tflite=check_parity(answers, inputs.floats, golden, VARIANTS["float32"].tolerance[answers.name]),
            float_p50_ms=answers.p50_ms,
            notes=(*inputs.source.notes, *examined, *(f"insisted on: {objection}" for objection in inputs.objections)),
            unusable=tuple(inputs.source.unusable),
        )


def make_golden(classifier: Classifier) -> Golden:
    """Synthetic captures, what preprocessing makes of them, and the reference runtime's outputs.

    Args:
        classifier: with the converted model on LiteRT, the reference.
    """
    frames = golden_frames()
    inputs = np.concatenate([to_input(frame, classifier.spec, classifier.table) for frame in frames])
    outputs = np.stack([classifier.runtime.invoke(image[np.newaxis]) for image in inputs]).astype(np.float32)
    return Golden(frames, inputs, outputs)


class Recorder:
    """A runtime that keeps what it answered, before any temperature."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.info, self.input, self.output = runtime.info, runtime.input, runtime.output
        self.outputs: list[np.ndarray] = []

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`."""
        self.outputs.append(self._runtime.invoke(batch))
        return self.outputs[-1]


def _convert(inputs: ConversionInputs, variant: Variant, name: str, place: Path, force: bool) -> Outcome:
    """One variant, from the model to its bundle, or to the reasons why there is none."""
    try:
        converted = convert_model(inputs, variant)
        content = converted.content
        if len(content) > MAX_FILE_BYTES:
            raise ConversionError(f"{len(content) / 1e6:.0f} MB, and a bundle's model has at most {MAX_FILE_BYTES // 1_000_000}")
        runtime = TfliteRuntime(content)
    except (ConversionError, BundleError) as error:
        return Outcome(variant.name, None, None, 0, (f"it cannot be made: {error}",), (), {})
    source, images, floats = inputs.source, inputs.validation, inputs.floats
    pythons = (None, *inputs.settings.other_pythons)
    asked = [ask_runtime(content, images, source.spec, inputs.progress, python) for python in pythons]
    reference = asked[0]
    if reference.outputs is None or reference.golden is None:
        return Outcome(variant.name, None, None, len(content), (f"LiteRT does not run it: {reference.refusal}",), (), {})
    gate = measure_gate(inputs, reference.outputs)
    reasons = tuple(failures(gate))

    def limits(outputs: np.ndarray) -> list[str]:
        """What another runtime loses where the reference passes."""
        return [] if reasons else failures(measure_gate(inputs, outputs))

    runtimes = check_runtimes(asked, floats, reference.golden, variant.tolerance, limits)
    manifest = _manifest(inputs, variant, name, converted, runtime, reference.outputs, gate, runtimes)
    flips = find_flips(images.names, images.sigmas, images.truth, floats, reference.outputs, source.classes.labels)
    times = {answers.name: answers.p50_ms for answers in asked if answers.p50_ms is not None}
    if not reasons:
        golden = make_golden(Classifier(runtime, source.classes, source.spec))
        write_bundle(place, manifest, content, golden, model_card(manifest, len(content)), force=force)
    return Outcome(variant.name, None if reasons else place, manifest, len(content), reasons, tuple(flips), times)


def _manifest(
    inputs: ConversionInputs,
    variant: Variant,
    name: str,
    converted: ConvertedModel,
    runtime: TfliteRuntime,
    outputs: np.ndarray,
    gate: ConversionGate,
    runtimes: list[RuntimeCheck],
) -> Manifest:
    source, settings, truth = inputs.source, inputs.settings, inputs.validation.truth
    decision, band = fit_decision(
        outputs[0], inputs.floats[0], truth, source.classes, target_error=settings.target_error, abstains=settings.abstains
    )
    measured, holdout_ece = _measure(inputs, runtime, decision)
    refused = {one.name for one in runtimes if one.outcome == "refused"}
    return Manifest(
        schema_version=SCHEMA,
        name=name,
        variant=variant.name,
        unit=source.unit,
        labels=list(source.classes.labels),
        malignant=list(source.classes.malignant),
        input=source.spec,
        input_tensor=runtime.input.format,
        output_tensor=runtime.output.format,
        decision=decision,
        model_sha256=hashlib.sha256(converted.content).hexdigest(),
        golden=GoldenSpec(
            runtime=f"litert {runtime.info.version}",
            tolerance={name: gap for name, gap in variant.tolerance.items() if name not in refused},
        ),
        training=_training(inputs),
        measured=measured,
        calibration=converted.calibration,
        fine_tuning=converted.fine_tuning,
        fitted=Fitted(
            part="validation",
            n=len(truth),
            ece_before=ece(outputs[0], truth, 1.0),
            ece_after=ece(outputs[0], truth, decision.temperature),
            judged_ece=holdout_ece,
            band=band,
        ),
        gate=gate,
        runtimes=runtimes,
        cell=(settings.cell or CELL_PICTURES.get(source.dataset)) if source.unit == "cell" else None,
        appearance=inputs.appearance,
        network_input=source.network_input,
        objections=list(inputs.objections),
    )


def _training(inputs: ConversionInputs) -> Training:
    source = inputs.source
    entries = [entry for part in ("train", "validation") for entry in source.split[part]]
    known = inputs.seen_pictures
    return Training(
        recipe=dict(source.recipe),
        dataset=source.dataset,
        dataset_fingerprint=source.dataset_fingerprint,
        split_by=source.split_by,
        split={part: dict(counts) for part, counts in source.counts.items()},
        seed=source.seed,
        versions=dict(source.versions),
        seen=sorted(sha[:12] for sha in {*(entry.sha256 for entry in entries), *source.seen_before}),
        seen_pictures=known.ids,
        seen_hashes=known.hashes,
        seen_people=hashed_people((entry.subject for entry in entries), source.dataset_fingerprint),
    )


def _measure(
    inputs: ConversionInputs, runtime: TfliteRuntime, decision: Decision
) -> tuple[Measurement, tuple[float | None, float | None]]:
    """The bundle on the holdout, at each noise level; and its ECE before and after the temperature."""
    source, settings, holdout = inputs.source, inputs.settings, inputs.holdout
    recorder = Recorder(runtime)
    classifier = Classifier(recorder, source.classes, source.spec, decision=decision)
    sigmas = tuple(dict.fromkeys((0.0, *settings.sigmas)))
    done = iter(range(1, len(holdout) + 1))
    verdicts, unreadable = evaluate_files(
        classifier,
        holdout,
        sigmas,
        seed=settings.seed,
        noise_at=settings.noise_at,
        on_image=lambda: inputs.progress("measuring", next(done), len(holdout)),
    )
    if unreadable:
        raise unreadable[0][1]
    raw = np.stack(recorder.outputs[:: len(sigmas)])  # at sigma 0, the first of each file's
    truth = np.array([label for _, label in holdout])
    flips, _, _ = compare(inputs.holdout_floats, raw)
    measured = Measurement(
        part=source.holdout_part,
        noise_seed=settings.seed,
        noise_at=settings.noise_at,
        runtime=f"litert {runtime.info.version}",
        float_agreement=1 - flips / len(truth),
        results=metrics_by_sigma(verdicts, source.classes),
    )
    return measured, (ece(raw, truth, 1.0), ece(raw, truth, decision.temperature))
