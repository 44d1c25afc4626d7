"""What each way to put a network on a device costs: variant, size, accuracy under noise, latency, and who runs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leukolite.convert.make_bundle import Conversion, Outcome
from leukolite.manifest import GateLevel, NoiseMetrics
from leukolite.metrics import wilson_interval
from leukolite.wording import percent_with_interval, shown

SCHEMA = {"name": "variants", "version": 2}  # 2: schema with a name; 1: first


@dataclass(frozen=True)
class VariantTrial:
    """A run and what became of each variant of it."""

    name: str
    conversion: Conversion


def markdown(trials: Sequence[VariantTrial], *, command: str, host: str) -> str:
    """The document: one table per run for the gate's images, and one for the holdout images.

    Args:
        command: what was typed.
        host: processor and versions of what computed.
    """
    lines = ["# What each variant costs", "", f"Made by `{shown(command)}`", f"on {host}.", ""]
    lines += [
        "Accuracy with 95% Wilson intervals at noise of sigma 0 and 10 (grey levels); the unseen images are those that training",
        "never saw. *Flips*: verdicts of the validation images, at both noise levels, that are not the float Keras model's. p50:",
        "median `invoke()` on one thread, in a process that does nothing else; the machine was shared, so compare ratios.",
        "",
    ]
    for one in trials:
        lines += _section(one)
    return "\n".join(lines)


def to_json(trials: Sequence[VariantTrial], *, host: str) -> dict[str, Any]:
    """For machines: each run's conversion as `leukolite convert --json` has it."""
    from leukolite.convert.report import conversion_json

    return {"schema": SCHEMA, "host": host, "runs": {one.name: conversion_json(one.conversion) for one in trials}}


def _section(trial: VariantTrial) -> list[str]:
    conversion = trial.conversion
    made = [outcome for outcome in conversion.outcomes if outcome.manifest is not None]
    lines = [f"## {shown(trial.name)}", ""]
    if made:
        lines += _table(conversion, made)
    failed = [outcome for outcome in conversion.outcomes if outcome.reasons]
    lines += [f"- `{outcome.variant}` is not written: {'; '.join(outcome.reasons)}." for outcome in failed]
    for outcome in made:
        assert outcome.manifest is not None
        lines += [
            f"- `{outcome.variant}`, {one.name} {one.version or ''}: refused; {one.reason.rstrip('.')}."
            for one in outcome.manifest.runtimes
            if one.outcome == "refused"
        ]
    return [*lines, ""]


def _table(conversion: Conversion, made: Sequence[Outcome]) -> list[str]:
    first = made[0].manifest
    assert first is not None
    assert first.gate is not None
    assert first.measured is not None
    gate, measured = first.gate, first.measured
    floats = [
        percent_with_interval(level.float_accuracy, wilson_interval(round(level.float_accuracy * level.n), level.n))
        for level in gate.levels
    ]
    runtimes = list(dict.fromkeys(name for outcome in made for name in outcome.p50_ms))
    head = [
        "variant",
        "MB",
        "of float32",
        *(f"validation, sigma {level.sigma:g}" for level in gate.levels),
        "flips",
        *(f"unseen, sigma {row.sigma:g}" for row in measured.results),
        *(f"p50 ms, {name}" for name in runtimes),
        "checked on",
    ]
    lines = [
        f"{gate.levels[0].n} validation images, where the float Keras model has {' and '.join(floats)};"
        f" {measured.results[0].n + measured.results[0].abstained} images of the {measured.part} part.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for outcome in made:
        manifest = outcome.manifest
        assert manifest is not None
        assert manifest.gate is not None
        assert manifest.measured is not None
        checked = [f"{one.name} {one.version}" for one in manifest.runtimes if one.outcome == "proved"]
        cells = [
            f"`{outcome.variant}`" + ("" if outcome.path is not None else " (fails the gate)"),
            f"{outcome.model_bytes / 1e6:.2f}",
            f"{outcome.model_bytes / conversion.float_bytes:.3f}",
            *(_level(level) for level in manifest.gate.levels),
            str(sum(level.flips for level in manifest.gate.levels)),
            *(_row(row) for row in manifest.measured.results),
            *(_time(outcome.p50_ms.get(name)) for name in runtimes),
            ", ".join(checked) or "none",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _level(level: GateLevel) -> str:
    return percent_with_interval(level.accuracy, wilson_interval(round(level.accuracy * level.n), level.n))


def _row(row: NoiseMetrics) -> str:
    return percent_with_interval(row.accuracy, row.accuracy_interval)


def _time(p50: float | None) -> str:
    return "-" if p50 is None else f"{p50:.2f}"
