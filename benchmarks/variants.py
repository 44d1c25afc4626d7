"""What each way to put a network on a device costs: variant, size, accuracy under noise, latency, and who runs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from leukolite.convert.make_bundle import Conversion, Outcome
from leukolite.manifest import ConversionGate, GateLevel, Measurement, NoiseMetrics
from leukolite.metrics import wilson_interval
from leukolite.tables import results_table
from leukolite.wording import count, percent_with_interval, shown

SCHEMA = {"name": "variants", "version": 2}  # 2: schema with a name; 1: first


_MEANING = (
    "Accuracy with 95% Wilson intervals at noise of sigma 0 and 10 (grey levels); the unseen images are those that training",
    "never saw. *Flips*: verdicts of the validation images, at both noise levels, that are not the float Keras model's. p50:",
    "median `invoke()` on one thread, in a process that does nothing else; the machine was shared, so compare ratios.",
)


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
    lines += [*_MEANING, ""]
    for one in trials:
        lines += _section(one)
    return "\n".join(lines)


def for_terminal(trials: Sequence[VariantTrial]) -> Iterator[str | Table]:
    """The same in 80 columns: of each run a table of sizes and agreement, one of worth and latency, and the remarks."""
    for one in trials:
        made = [outcome for outcome in one.conversion.outcomes if outcome.manifest is not None]
        if not made:
            yield one.name
        else:
            yield f"{one.name}: {_images(made)}"
            head, rows = _figures(one.conversion, made)
            middle = head.index("flips") + 1
            for columns in (range(1, middle), range(middle, len(head))):
                table = results_table("")
                for k in (0, *columns):
                    table.add_column(head[k], justify="left" if head[k] in ("variant", "checked on") else "right")
                for row in rows:
                    table.add_row(*(row[k].replace("`", "") for k in (0, *columns)))
                yield table
        yield from (line.replace("`", "") for line in _remarks(one.conversion, made))
    yield " ".join(_MEANING).replace("`", "").replace("*", "")


def to_json(trials: Sequence[VariantTrial], *, host: str) -> dict[str, Any]:
    """For machines: each run's conversion as `leukolite convert --json` has it."""
    from leukolite.convert.report import conversion_json

    return {"schema": SCHEMA, "host": host, "runs": {one.name: conversion_json(one.conversion) for one in trials}}


def _section(trial: VariantTrial) -> list[str]:
    made = [outcome for outcome in trial.conversion.outcomes if outcome.manifest is not None]
    lines = [f"## {shown(trial.name)}", ""]
    if made:
        head, rows = _figures(trial.conversion, made)
        lines += [_images(made), "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [*(f"| {' | '.join(cells)} |" for cells in rows), ""]
    return [*lines, *_remarks(trial.conversion, made), ""]


def _remarks(conversion: Conversion, made: Sequence[Outcome]) -> list[str]:
    """What was not written, and which runtime refused what."""
    failed = [outcome for outcome in conversion.outcomes if outcome.reasons]
    lines = [f"- `{outcome.variant}` is not written: {'; '.join(outcome.reasons)}." for outcome in failed]
    for outcome in made:
        assert outcome.manifest is not None
        lines += [
            f"- `{outcome.variant}`, {one.name} {one.version or ''}: refused; {one.reason.rstrip('.')}."
            for one in outcome.manifest.runtimes
            if one.outcome == "refused"
        ]
    return lines


def _measured(outcome: Outcome) -> tuple[ConversionGate, Measurement]:
    assert outcome.manifest is not None
    assert outcome.manifest.gate is not None
    assert outcome.manifest.measured is not None
    return outcome.manifest.gate, outcome.manifest.measured


def _images(made: Sequence[Outcome]) -> str:
    """How many images the figures are of, and how the float model did on them."""
    gate, measured = _measured(made[0])
    floats = [
        percent_with_interval(level.float_accuracy, wilson_interval(round(level.float_accuracy * level.n), level.n))
        for level in gate.levels
    ]
    return (
        f"{count(gate.levels[0].n, 'validation image')}, where the float Keras model has {' and '.join(floats)};"
        f" {count(measured.results[0].n + measured.results[0].abstained, 'image')} of the {measured.part} part."
    )


def _figures(conversion: Conversion, made: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row of cells for each variant."""
    gate, measured = _measured(made[0])
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
    rows = []
    for outcome in made:
        assert outcome.manifest is not None
        gate, measured = _measured(outcome)
        checked = [f"{one.name} {one.version}" for one in outcome.manifest.runtimes if one.outcome == "proved"]
        rows.append(
            [
                f"`{outcome.variant}`" + ("" if outcome.path is not None else " (fails the gate)"),
                f"{outcome.model_bytes / 1e6:.2f}",
                f"{outcome.model_bytes / conversion.float_bytes:.3f}",
                *(_level(level) for level in gate.levels),
                str(sum(level.flips for level in gate.levels)),
                *(_row(row) for row in measured.results),
                *(_time(outcome.p50_ms.get(name)) for name in runtimes),
                ", ".join(checked) or "none",
            ]
        )
    return head, rows


def _level(level: GateLevel) -> str:
    return percent_with_interval(level.accuracy, wilson_interval(round(level.accuracy * level.n), level.n))


def _row(row: NoiseMetrics) -> str:
    return percent_with_interval(row.accuracy, row.accuracy_interval)


def _time(p50: float | None) -> str:
    return "-" if p50 is None else f"{p50:.2f}"
