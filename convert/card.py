"""The model card of a bundle, made from its manifest alone, so that the two cannot disagree."""

from leukolite.bundle import Manifest, NoiseMetrics
from leukolite.terminal import RESEARCH_USE, percent, percent_with_interval

DATASETS = {
    "taleqani": "Taleqani Hospital ALL set (Aria et al. 2021): 224x224 photographs of whole fields, one hospital, one microscope",
    "c-nmc": "C-NMC 2019, fold 0 (Gupta et al., TCIA, CC BY 3.0): 450x450 images of one segmented cell on black",
    "all-idb2": "ALL-IDB2 (Scotti et al. 2011): 257x257 images of one centred cell",
    "synthetic": "cells rendered by `leukolite synthetic`",
    "folders": "a folder of one folder a class",
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
    "all-idb2": ["260 cells, cropped from few fields of one laboratory: the intervals are wide and other stains are untried."],
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
        f"Judges one **{manifest.unit}** an image: {', '.join(manifest.labels)}"
        f" (malignant: {', '.join(manifest.malignant) or 'not declared'}).",
        f"Full-integer TFLite, {model_bytes / 1e6:.2f} MB, {manifest.input.width}x{manifest.input.height} RGB bytes in.",
        "",
    ]
    if training is not None:
        recipe = training.recipe
        lines += [
            "## Training",
            "",
            f"- Data: {DATASETS[training.dataset]}",
            *(f"- {part}: {_counts(counts)}" for part, counts in training.split.items() if sum(counts.values())),
            f"- Recipe: `{recipe['model']}`, {recipe['source']}",
            f"- Start: {recipe['weights']}; at most {recipe['epochs']} epochs of batch {recipe['batch_size']}, Adam at"
            f" {recipe['learning_rate']}, schedule {recipe['schedule']}; seed {training.seed}",
            f"- Augmentation: {_settings(recipe['augmentation'])}",
            f"- Versions: {', '.join(f'{name} {version}' for name, version in training.versions.items())}",
            "",
        ]
    if measured is not None:
        n = measured.results[0].n
        unseen = "that training never saw" if measured.part == "test" else "that also chose the epoch, so the figures flatter"
        lines += [
            "## Measured",
            "",
            f"The int8 model on the {n} images of the {measured.part} part, {unseen}; Gaussian noise of standard deviation",
            f"sigma (grey levels, seed {measured.noise_seed}) on the capture; {measured.runtime}; 95% intervals in brackets",
            "(Wilson; AUC: bootstrap). At sigma 0 it gives the float model's verdict on"
            f" {percent(measured.float_agreement)} of them.",
            "",
            *_table(measured.results),
            "",
            "Confusion at sigma 0 (row: truth, column: verdict):",
            "",
            *_confusion(measured.results[0], manifest.labels),
            "",
        ]
    limits = LIMITS[training.dataset if training is not None else "folders"]
    if training is not None and training.split_by == "subject":
        limits = [limit for limit in limits if "split is by image" not in limit]
    lines += ["## Limits", "", *(f"- {limit}" for limit in limits), f"- {RESEARCH_USE}", ""]
    return "\n".join(lines)


def _settings(values: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) else str(values)


def _counts(counts: dict[str, int]) -> str:
    return f"{sum(counts.values())} images ({', '.join(f'{label} {n}' for label, n in counts.items())})"


def _table(results: list[NoiseMetrics]) -> list[str]:
    positive = results[0].positive
    whose = f"of {positive}" if positive else "macro"
    rows = [
        f"| {row.sigma:g} | {percent_with_interval(row.accuracy, row.accuracy_interval)} | {percent(row.precision)} |"
        f" {percent(row.recall)} | {percent(row.specificity)} | {percent(row.f1)} |"
        f" {percent_with_interval(row.auc, row.auc_interval)} | {percent(row.ece)} |"
        for row in results
    ]
    header = f"| sigma | accuracy | precision ({whose}) | recall | specificity | F1 | AUC | ECE |"
    return [header, "|---|---|---|---|---|---|---|---|", *rows]


def _confusion(row: NoiseMetrics, labels: list[str]) -> list[str]:
    lines = [f"| | {' | '.join(labels)} | recall |", "|---" * (len(labels) + 2) + "|"]
    for label, counts, one in zip(labels, row.confusion, row.classes, strict=True):
        lines.append(
            f"| **{label}** | {' | '.join(map(str, counts))} | {percent_with_interval(one.recall, one.recall_interval)} |"
        )
    return lines
