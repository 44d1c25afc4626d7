"""What `leukolite convert` prints, and the same for machines."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from leukolite.convert.gate import Flip
from leukolite.convert.make_bundle import Conversion, Outcome
from leukolite.convert.study import StudyRow
from leukolite.convert.variants import VARIANTS
from leukolite.decision import Decision
from leukolite.manifest import Fitted, GateLevel, RuntimeCheck
from leukolite.metrics import wilson_interval
from leukolite.noise import NOISE_PLACES
from leukolite.tables import results_table
from leukolite.wording import count, percent, percent_with_interval

SCHEMA = {"name": "conversion", "version": 2}  # 2: schema with a name, latency of float32; 1: first
STUDY_SCHEMA = {"name": "calibration-study", "version": 2}
FLIPS_SHOWN = 3  # a variant; --json has them all


def outcome_lines(outcome: Outcome, float_bytes: int) -> list[str]:
    """A variant in some lines: what was written, what it costs, what was fitted, how well it does."""
    name = f"{outcome.variant} ({VARIANTS[outcome.variant].says})"
    if outcome.manifest is None:
        return [f"{name}: not written; {reason}" for reason in outcome.reasons]
    manifest = outcome.manifest
    share = f"{outcome.model_bytes / 1e6:.2f} MB, {outcome.model_bytes / float_bytes:.3f} of float32"
    if manifest.calibration is not None:
        share += f", {count(manifest.calibration.count, 'calibration image')}"
    lines = [f"{outcome.path}: {name}, {share}"]
    if outcome.path is None:
        lines = [f"{name}: not written, it fails the gate: {'; '.join(outcome.reasons)}", f"  {share}"]
    if manifest.gate is not None:
        lines += [f"  {manifest.gate.part} part, {_level(level, manifest.malignant)}" for level in manifest.gate.levels]
    lines += [f"    flipped: {_flip(flip)}" for flip in outcome.flips[:FLIPS_SHOWN]]
    if len(outcome.flips) > FLIPS_SHOWN:
        lines.append(f"    ... and {count(len(outcome.flips) - FLIPS_SHOWN, 'more flip')}; --json lists them")
    if manifest.fitted is not None:
        lines += [f"  {line}" for line in fitted_lines(manifest.fitted, manifest.decision)]
    if manifest.measured is not None:
        rows = manifest.measured.results
        shown = [f"{percent_with_interval(row.accuracy, row.accuracy_interval)} at sigma {row.sigma:g}" for row in rows]
        silent = f", {rows[0].abstained} without a verdict at sigma 0" if rows[0].abstained else ""
        part = f"{manifest.measured.part} part, n {rows[0].n}{silent}"
        where = "" if manifest.measured.noise_at == "capture" else f", noise {NOISE_PLACES[manifest.measured.noise_at]}"
        lines.append(f"  {part}: accuracy {', '.join(shown if len(shown) < 2 else (shown[0], shown[-1]))}{where}")
    return lines


def fitted_lines(fitted: Fitted, decision: Decision) -> list[str]:
    """What the validation part's outputs taught the decision."""
    before, after = fitted.judged_ece
    if fitted.band is None:
        return [f"temperature and threshold not fitted: {count(fitted.n, f'{fitted.part} image')}: too few"]
    lines = [
        f"temperature {decision.temperature:g} of {count(fitted.n, f'{fitted.part} image')}: ECE {percent(fitted.ece_before)} ->"
        f" {percent(fitted.ece_after)}; on the measured part {percent(before)} -> {percent(after)}"
    ]
    if decision.threshold is not None:
        lines.append(f"threshold {decision.threshold:g}")
    band = fitted.band
    if band.band is None:
        need = "none is needed" if band.errors_before <= band.target_error * band.n else "none leaves half the images a verdict"
        lines.append(f"abstain band for at most {percent(band.target_error)} wrong: {need}")
    else:
        state = "in force" if band.in_force else "not in force without --abstain"
        lines.append(
            f"abstain band {band.band[0]:.3f} to {band.band[1]:.3f}: {band.abstained} of {band.n} without a verdict, errors"
            f" {band.errors_before} -> {band.errors_outside}; {state}"
        )
    return lines


def parity_table(conversion: Conversion) -> Table:
    """Every runtime that was tried beside the float Keras model."""
    gate = next((outcome.manifest.gate for outcome in conversion.outcomes if outcome.manifest and outcome.manifest.gate), None)
    sigmas = " and ".join(f"{level.sigma:g}" for level in gate.levels) if gate else ""
    table = results_table(f"Beside the float Keras model, sigma {sigmas}", "p50: invoke, one thread, ms, on this machine")
    for heading in ("model", "runtime", "verdicts", "flips", "max diff", "mean diff", "p50"):
        table.add_column(heading, justify="left" if heading in ("model", "runtime") else "right", no_wrap=True)
    for variant, one, p50 in parity_rows(conversion):
        runtime = f"{one.name} {one.version or ''}".strip()
        if one.outcome != "proved":
            table.add_row(variant, runtime, one.outcome, "", "", "", "")
            continue
        gaps = [f"{gap:.4f}" for gap in (one.max_difference or 0.0, one.mean_difference or 0.0)]
        table.add_row(variant, runtime, str(one.n), str(one.flips), *gaps, "-" if p50 is None else f"{p50:.2f}")
    return table


def parity_rows(conversion: Conversion) -> list[tuple[str, RuntimeCheck, float | None]]:
    """Variant, parity and median invoke; the float32 file first, then each variant on each runtime that was at hand."""
    rows: list[tuple[str, RuntimeCheck, float | None]] = [("float32", conversion.float_tflite, conversion.float_p50_ms)]
    for outcome in conversion.outcomes:
        tried = [] if outcome.manifest is None else [one for one in outcome.manifest.runtimes if one.outcome != "untried"]
        rows += [
            (outcome.variant, one, outcome.p50_ms.get(one.name))
            for one in tried
            if (outcome.variant, one.name) != ("float32", "litert")
        ]
    return rows


def refusals(conversion: Conversion) -> list[str]:
    """A line for each runtime that does not run a variant."""
    return [
        f"{variant} is refused by {one.name} {one.version or ''}: {one.reason}"
        for variant, one, _ in parity_rows(conversion)
        if one.outcome == "refused"
    ]


def conversion_json(conversion: Conversion) -> dict[str, Any]:
    """For machines: everything, all flips included; its fields are in docs/reference/json.md."""
    return {
        "schema": SCHEMA,
        "float32_bytes": conversion.float_bytes,
        "float32": conversion.float_tflite.model_dump(),
        "float32_p50_invoke_ms": conversion.float_p50_ms,
        "variants": [
            {
                "variant": outcome.variant,
                "path": None if outcome.path is None else str(outcome.path),
                "reasons": list(outcome.reasons),
                "bytes": outcome.model_bytes,
                "p50_invoke_ms": outcome.p50_ms,
                "flips": [vars(flip) | {"path": str(flip.path)} for flip in outcome.flips],
                "manifest": None if outcome.manifest is None else outcome.manifest.model_dump(mode="json"),
            }
            for outcome in conversion.outcomes
        ],
    }


def study_table(rows: Sequence[StudyRow]) -> Table:
    """Accuracy against the number of calibration images."""
    first = rows[0].levels[0]
    floats = ", ".join(f"{percent(level.float_accuracy)} at sigma {level.sigma:g}" for level in rows[0].levels)
    table = results_table(f"int8 on the validation part, {count(first.n, 'image')}; float: {floats}")
    for heading in ("images", *(f"sigma {level.sigma:g} (95%)" for level in rows[0].levels), "flips"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        accuracies = [
            percent_with_interval(level.accuracy, wilson_interval(round(level.accuracy * level.n), level.n))
            for level in row.levels
        ]
        table.add_row(str(row.calibration.count), *accuracies, str(sum(level.flips for level in row.levels)))
    return table


def study_json(rows: Sequence[StudyRow]) -> dict[str, Any]:
    """For machines."""
    return {
        "schema": STUDY_SCHEMA,
        "calibration_study": [
            {"calibration": row.calibration.model_dump(), "levels": [level.model_dump() for level in row.levels]} for row in rows
        ],
    }


def _level(level: GateLevel, malignant: Sequence[str]) -> str:
    return (
        f"n {level.n}, sigma {level.sigma:g}: accuracy {percent(level.float_accuracy)} -> {percent(level.accuracy)},"
        f" {_recall(level, malignant)}, {count(level.flips, 'flip')}"
    )


def _recall(level: GateLevel, malignant: Sequence[str]) -> str:
    """What became of the malignant recall; that none was held, where there is none."""
    if not malignant:
        return "no recall held (no label is said to be malignant)"
    absent = [label for label in malignant if label not in level.recall]
    without = f" (no image of {', '.join(absent)} is here)" if absent else ""
    if not level.recall:
        return f"no recall held{without}"
    change, label = min((level.recall[label] - level.float_recall[label], label) for label in level.recall)
    return (f"recall of {label} {100 * change:+.1f} points" if change < 0 else "no malignant recall lost") + without


def _flip(flip: Flip) -> str:
    return (
        f"{flip.path.name} at sigma {flip.sigma:g} (truth {flip.truth}): float {flip.float_label} {flip.float_probability:.3f},"
        f" now {flip.label} {flip.probability:.3f}"
    )
