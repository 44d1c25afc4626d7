"""The model card of a bundle, made from its manifest alone, so that the two cannot disagree."""

from collections.abc import Sequence

import numpy as np

from leukolite.appearance import describe
from leukolite.classes import Classes
from leukolite.convert.provenance import is_external
from leukolite.convert.terms import terms
from leukolite.convert.variants import VARIANTS
from leukolite.manifest import (
    AppearanceRanges,
    CellPicture,
    CompiledModel,
    ConversionGate,
    Fitted,
    Manifest,
    NoiseMetrics,
    RuntimeCheck,
    Training,
)
from leukolite.network_input import NetworkInput
from leukolite.noise import NOISE_PLACES
from leukolite.people import keeps_people_apart
from leukolite.preprocess import CROPS
from leukolite.usefulness import no_better_than_guessing
from leukolite.wording import RESEARCH_USE, markdown, percent, percent_with_interval, shown

DATASETS = {
    "taleqani": "Taleqani Hospital ALL set (Aria et al. 2021): photographs of whole fields, one hospital, one microscope",
    "c-nmc": "C-NMC 2019 (Gupta et al., TCIA, CC BY 3.0): images of one segmented cell on black",
    "all-idb2": "ALL-IDB2 (Scotti et al. 2011): images of one centred cell",
    "synthetic": "cells rendered by `leukolite synthetic`",
    "folders": "a folder of one folder per class",
}
LIMITS = {
    "taleqani": [
        "The set names no patients: images of one patient are on both sides of the split, so the figures flatter.",
        "Most images carry a burnt-in scale bar whose look changes with the class's session; the network may have learnt it.",
    ],
    "c-nmc": [
        "The split is by image, as in Makem et al. 2025: cells of one patient are on both sides, so the figures flatter.",
        "The network knows cells cut out on black; a cell in a plain photograph is outside what it was trained on.",
    ],
    "all-idb2": ["Few cells, cropped from few fields of one laboratory: the intervals are wide and other stains are untried."],
    "synthetic": ["Trained on rendered pictures for the demonstration: it says nothing about blood."],
    "folders": ["Trained on the user's own folders; their limits are its limits."],
}


def model_card(manifest: Manifest, model_bytes: int) -> str:
    """Markdown: what the model is for, its data, split, counts, metrics with 95% intervals, and limits."""
    training, measured = manifest.training, manifest.measured
    lines = [
        f"# {manifest.name}",
        "",
        f"**{RESEARCH_USE}**",
        "",
        f"Classifies one **{manifest.unit}** per image: {_names(manifest.labels)}"
        f" (malignant: {_names(manifest.malignant) or 'none is said to be'}).",
        f"{_kind(manifest)}, {model_bytes / 1e6:.2f} MB, {manifest.input.width}x{manifest.input.height} RGB bytes in.",
        *([] if manifest.input.crop == "centre-square" else [f"Of a picture it sees {CROPS[manifest.input.crop]}."]),
        "",
    ]
    if manifest.objections:
        lines += ["## What labelled pictures say against it", "", *(f"- {markdown(line)}" for line in manifest.objections)]
        lines += ["- It was converted because the user insisted.", ""]
    if training is not None:
        lines += [
            "## Training",
            "",
            f"- Data: {DATASETS[training.dataset]}",
            *(f"- {part}: {_counts(counts)}" for part, counts in training.split.items() if sum(counts.values())),
            *_how(training),
            *([] if manifest.network_input is None else [_taken(manifest.network_input)]),
            f"- Versions: {', '.join(f'{name} {version}' for name, version in training.versions.items())}",
            "",
        ]
    if manifest.cell is not None:
        lines += ["## Cells of a field", "", _cell_picture(manifest.cell), ""]
    if measured is not None:
        n = measured.results[0].n + measured.results[0].abstained
        unseen = "that training never saw" if measured.part == "test" else "that also chose the epoch, so the figures flatter"
        if training is not None and is_external(training.recipe):  # what that saw is not known
            unseen = "that neither calibrated nor gated it" if measured.part == "test" else "that also gated it"
        lines += [
            "## Measured",
            "",
            f"The {manifest.variant} model on the {_count(n, 'image')} of the {measured.part} part, {unseen}; Gaussian noise of"
            " standard deviation",
            f"sigma (grey levels, seed {measured.noise_seed}) {NOISE_PLACES[measured.noise_at]}; {measured.runtime};"
            " 95% intervals in brackets",
            "(Wilson; AUC: bootstrap). At sigma 0 it gives the float model's verdict on"
            f" {percent(measured.float_agreement)} of them.",
            "",
            *_table(measured.results),
            "",
            *_averages(measured.results),
            *_guessing(measured.results[0], manifest.classes),
            "Confusion at sigma 0 (row: truth, column: verdict):",
            "",
            *_confusion(measured.results[0], manifest.labels),
            "",
        ]
    if manifest.gate is not None:
        lines += ["## What the conversion changed", "", *_made(manifest), *_gate(manifest.gate, manifest), ""]
    if manifest.fitted is not None and manifest.fitted.band is not None:
        lines += ["## Decision", "", *_fitted(manifest.fitted, manifest), ""]
    if manifest.appearance is not None:
        lines += ["## What is not classified", "", *_appearance(manifest.appearance), ""]
    if manifest.runtimes:
        lines += ["## Runtimes", "", *(f"- {_runtime(one)}" for one in manifest.runtimes), ""]
    if manifest.compiled:
        lines += ["## Accelerators", "", *(f"- {_compiled(one)}" for one in manifest.compiled), ""]
    limits = LIMITS[training.dataset if training is not None else "folders"]
    if training is not None and keeps_people_apart(training.split_by):
        limits = [limit for limit in limits if "split is by image" not in limit]
    lines += ["## Limits", "", *(f"- {limit}" for limit in limits), f"- {RESEARCH_USE}", ""]
    lines += ["## Terms", "", *(f"- {line}" for line in terms(training)), ""]
    return "\n".join(map(shown, lines))


def _cell_picture(picture: CellPicture) -> str:
    around = "black around it" if picture.background == "black" else "its surroundings kept"
    return (
        f"`edge-run` cuts each white cell of a field out as a square {picture.window:g} red cells wide, {around}, as the training"
        " pictures show theirs."
    )


def _how(training: Training) -> list[str]:
    recipe = training.recipe
    if is_external(recipe):
        return [
            f"- Network: {markdown(str(recipe['source']))}",
            "- The images above calibrated, gated and measured it; what it saw in training is not known, so the figures may"
            " flatter.",
        ]
    if head := recipe.get("head"):
        return [
            f"- Recipe: {_recipe(training)}, {recipe['source']}",
            f"- Start: {recipe['weights']}, frozen; the last layer is a logistic regression on it; seed {training.seed}",
            f"- Head: {_settings(head)}",
        ]
    return [
        f"- Recipe: {_recipe(training)}, {recipe['source']}",
        f"- Start: {recipe['weights']}; at most {recipe['epochs']} {'epoch' if recipe['epochs'] == 1 else 'epochs'} of batch"
        f" {recipe['batch_size']}, Adam at {recipe['learning_rate']}, schedule {recipe['schedule']}; seed {training.seed}",
        f"- Augmentation: {_settings(recipe['augmentation'])}",
    ]


def _taken(wanted: NetworkInput) -> str:
    return f"- The network takes {wanted}; the first step in `model.tflite` makes them of R, G, B bytes, no device needs to"


def _recipe(training: Training) -> str:
    name, network = training.recipe.get("name"), f"`{training.recipe['model']}`"
    return network if name is None else f"`{name}` (network {network})"


def _kind(manifest: Manifest) -> str:
    if manifest.variant == "int8":
        return "Full-integer TFLite"
    return f"TFLite, {manifest.variant} ({VARIANTS[manifest.variant].says})"


def _made(manifest: Manifest) -> list[str]:
    calibration, tuning = manifest.calibration, manifest.fine_tuning
    if calibration is not None:
        sigmas = ", ".join(f"{sigma:g}" for sigma in calibration.sigmas)
        return [
            f"The ranges of the activations were set by {_counts(calibration.classes)} of the training part, with noise of sigma"
            f" {sigmas} in equal parts; seed {calibration.seed}.",
            "",
        ]
    if tuning is not None:
        return [
            f"Fine-tuned with simulated quantisation towards the float model's own answers on the"
            f" {_count(tuning.images, 'image')} of the training part: {_count(tuning.epochs, 'epoch')}, Adam at"
            f" {tuning.learning_rate:g}, seed {tuning.seed}.",
            "",
        ]
    return []


def _gate(gate: ConversionGate, manifest: Manifest) -> list[str]:
    n = gate.levels[0].n
    lines = [
        f"The float model beside this one on the {_count(n, 'image')} of the {gate.part} part; allowed were {gate.max_drop:g}"
        f" points of accuracy and {gate.max_recall_drop:g} of any malignant class's recall.",
        *_without_recall(gate, manifest),
        "",
        "| sigma | accuracy, float | accuracy | least recall kept | flipped verdicts |",
        "|---|---|---|---|---|",
    ]
    for level in gate.levels:
        changes = [(level.recall[label] - level.float_recall[label], label) for label in level.recall]
        change, label = min(changes, default=(0.0, ""))
        kept = f"{markdown(label)} {100 * change + 0.0:+.1f} points" if changes else "none held"
        lines.append(
            f"| {level.sigma:g} | {percent(level.float_accuracy)} | {percent(level.accuracy)} | {kept} | {level.flips} |"
        )
    return lines


def _without_recall(gate: ConversionGate, manifest: Manifest) -> list[str]:
    """Says of which classes the gate held no recall."""
    if not manifest.malignant:
        return ["**No label is said to be malignant, so no malignant recall was held.**"]
    absent = [label for label in manifest.malignant if all(label not in level.recall for level in gate.levels)]
    return [f"**No image of {_names(absent)} is among them, so no recall of it was held.**"] if absent else []


def _fitted(fitted: Fitted, manifest: Manifest) -> list[str]:
    decision, band = manifest.decision, fitted.band
    lines = [
        f"Fitted on this model's outputs of the {_count(fitted.n, f'{fitted.part} image')}: temperature {decision.temperature:g}"
        f" (expected calibration error {percent(fitted.judged_ece[0])} before, {percent(fitted.judged_ece[1])} after, on the"
        " images of the table above)."
    ]
    if decision.threshold is not None:
        lines.append(f"A verdict is {markdown(manifest.malignant[0])} from a probability of {decision.threshold:g}.")
    if band is not None and band.band is not None:
        state = "It abstains" if band.in_force else "It would abstain, were the band put in force,"
        lines.append(
            f"{state} between {band.band[0]:.3f} and {band.band[1]:.3f}: on {band.abstained} of {_count(band.n, 'image')}, with"
            f" {_count(band.errors_outside, 'wrong verdict')} on the others instead of {band.errors_before}."
        )
    return lines


def _appearance(usual: AppearanceRanges) -> list[str]:
    return [
        f"Pictures that lie beyond {usual.images} training pictures (their percentiles {usual.percentiles[0]:g} and"
        f" {usual.percentiles[1]:g}, widened; `docs/evidence/quality-gates.md`):",
        f"{describe(usual, '.2f')}.",
    ]


def _runtime(one: RuntimeCheck) -> str:
    name = f"{one.name} {one.version or ''}".strip()
    if one.outcome != "proved":
        return f"{name}: {one.outcome} ({markdown(one.reason)})"
    return (
        f"{name}: runs it; {one.flips} of {_count(one.n, 'verdict')} {'is' if one.flips == 1 else 'are'} not the float model's,"
        f" probabilities differ by up to {one.max_difference:.3f}, {one.mean_difference:.4f} on average"
    )


def _compiled(one: CompiledModel) -> str:
    if one.file is None:
        return f"{one.target}: checked against its rules, not compiled"
    left = sum(one.on_cpu.values())
    estimates = ", ".join(f"{name} {value:g}" for name, value in one.estimates.items())
    return f"{one.target}: `{one.file}`, {_count(one.on_target or 0, 'operator')} on it, {left} on the CPU ({one.compiler})" + (
        f"; the compiler's estimates: {estimates}" if estimates else ""
    )


def _count(n: int, noun: str) -> str:
    """As `wording.count`, without the commas that cards made before do not have."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _settings(values: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else str(values)


def _counts(counts: dict[str, int]) -> str:
    return f"{_count(sum(counts.values()), 'image')} ({', '.join(f'{markdown(label)} {n}' for label, n in counts.items())})"


def _names(labels: Sequence[str]) -> str:
    return ", ".join(map(markdown, labels))


def _table(results: list[NoiseMetrics]) -> list[str]:
    positive = results[0].positive
    whose = f"of {markdown(positive)}" if positive else "macro"
    abstains = any(row.abstained for row in results)
    rows = [
        f"| {row.sigma:g} | {percent_with_interval(row.accuracy, row.accuracy_interval)} | {percent(row.precision)} |"
        f" {percent(row.recall)} | {percent(row.specificity)} | {percent(row.f1)} |"
        f" {percent_with_interval(row.auc, row.auc_interval)} | {percent(row.ece)} |{f' {row.abstained} |' if abstains else ''}"
        for row in results
    ]
    header = f"| sigma | accuracy | precision ({whose}) | recall | specificity | F1 | AUC | ECE |"
    return [header + " abstained |" * abstains, "|---" * (8 + abstains) + "|", *rows]


def _averages(results: list[NoiseMetrics]) -> list[str]:
    """What was not recorded of bundles made before: how much noise reached the network, and what is averaged over the classes."""
    if any(row.balanced_accuracy is None or row.effective_sigma is None for row in results):
        return []
    rows = [
        f"| {row.sigma:g} | {row.effective_sigma:.1f} | {percent(row.balanced_accuracy)} | {percent(row.macro_precision)} |"
        f" {percent(row.macro_f1)} | {percent(row.weighted_f1)} |"
        for row in results
    ]
    header = "| sigma | at the network's input | balanced accuracy | precision (macro) | F1 (macro) | F1 (weighted) |"
    return ["Of that noise reached the network, and the averages over the classes:", "", header, "|---" * 6 + "|", *rows, ""]


def _guessing(row: NoiseMetrics, classes: Classes) -> list[str]:
    """The line of a model that is of no use on the measured part."""
    reason = no_better_than_guessing(np.array(row.confusion), classes)
    return [] if reason is None else [f"**No better than guessing**: at sigma {row.sigma:g} it {markdown(reason)}.", ""]


def _confusion(row: NoiseMetrics, labels: list[str]) -> list[str]:
    lines = [f"| | {' | '.join(map(markdown, labels))} | recall |", "|---" * (len(labels) + 2) + "|"]
    for label, counts, one in zip(labels, row.confusion, row.classes, strict=True):
        recall = percent_with_interval(one.recall, one.recall_interval)
        lines.append(f"| **{markdown(label)}** | {' | '.join(map(str, counts))} | {recall} |")
    return lines
