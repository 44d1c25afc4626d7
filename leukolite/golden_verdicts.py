"""What a bundle's manifest decides, kept beside its golden outputs: verdicts after temperature, threshold, band and gates.

`golden-verdicts.json` contradicts a manifest whose decision, labels, ranges or input were changed, also where `SHA256SUMS` was
written again or is missing, and an installation that decides otherwise. The cases lie where a change shows: every answer that a
uint8 output can give, and both sides of each edge of the decision and of the ranges, as close as the figures below.
"""

import json
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from leukolite.appearance import is_above, is_below
from leukolite.classes import Label
from leukolite.decision import ABSTAIN, Decision, calibrate, decide
from leukolite.frozen import Frozen
from leukolite.manifest import RANGES, AppearanceRanges, CellPicture, Manifest, Range, Unit
from leukolite.preprocess import InputSpec
from leukolite.textfiles import parse_json

VERDICTS = "golden-verdicts.json"
SCHEMA: Final = 1
STEPS = 256  # of a uint8 output
NEAR_EDGE = 1e-9  # of a probability: how far a case lies from the decision's edges
SAME = 1e-8  # of a probability: further off is another decision, nearer is another processor's last digit
NEAR_BOUND = 1e-6  # of a range's bound, at least of 1
FAR = 1e9  # no measurement of a picture is as large: allowed only where a range is open


class GoldenVerdict(Frozen):
    """A label, or 'abstain', and its calibrated probability (of the top class where the model abstains)."""

    label: str = Field(max_length=100)
    malignant: bool
    probability: float = Field(ge=0, le=1)


class DecisionCase(Frozen):
    """What is made of an answer of the network: `output` for the label `raised`, the rest evenly for the others."""

    raised: Label
    output: float = Field(ge=0, le=1, description="before any temperature")
    verdict: GoldenVerdict


class RangeCase(Frozen):
    """Whether the gates let pass a picture of which one measurement is `value`."""

    measure: Literal["lit", "light", "blown", "stain", "red_over_blue", "focus"]
    value: float
    allowed: bool


class GoldenVerdicts(Frozen):
    """The content of `golden-verdicts.json`.

    Attributes:
        unit, input, cell: the manifest's: what of a picture is classified.
        frames: verdict on each golden output.
        decisions, ranges: cases at and between the edges.
    """

    schema_version: Literal[1] = SCHEMA
    unit: Unit
    input: InputSpec
    cell: CellPicture | None
    frames: list[GoldenVerdict]
    decisions: list[DecisionCase]
    ranges: list[RangeCase]

    def to_bytes(self) -> bytes:
        """As the file has it: a line per case."""

        def text(value: object) -> str:
            if isinstance(value, list):
                return "[\n" + ",\n".join(f"  {text(item)}" for item in value) + "\n ]"
            return json.dumps(value, ensure_ascii=False)

        fields = [f' "{name}": {text(value)}' for name, value in self.model_dump(mode="json").items()]
        return ("{\n" + ",\n".join(fields) + "\n}\n").encode()

    @staticmethod
    def from_bytes(data: bytes) -> "GoldenVerdicts":
        """Raises: ValueError, in one line."""
        raw = parse_json(data)
        try:
            return GoldenVerdicts.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "content"
            raise ValueError(f"{where}: {first['msg']}, found {repr(first.get('input'))[:80]}") from error


def golden_verdicts(manifest: Manifest, outputs: np.ndarray) -> GoldenVerdicts:
    """The verdicts of a manifest.

    Args:
        outputs: the golden ones, shape (n, classes).
    """
    cases = _cases(manifest)
    verdicts = _verdicts(manifest, _answers(manifest, cases))
    return GoldenVerdicts(
        unit=manifest.unit,
        input=manifest.input,
        cell=manifest.cell,
        frames=[verdict.golden() for verdict in _verdicts(manifest, outputs)],
        decisions=[
            DecisionCase(raised=label, output=output, verdict=verdict.golden())
            for (label, output), verdict in zip(cases, verdicts, strict=True)
        ],
        ranges=[
            RangeCase(measure=name, value=value, allowed=_allows(manifest.appearance, name, value))
            for name in RANGES
            for value in _values_near(_range(manifest.appearance, name))
        ],
    )


def contradiction(expected: GoldenVerdicts, manifest: Manifest, outputs: np.ndarray) -> str | None:
    """The first thing that a manifest decides otherwise than it did when the verdicts were written; None: nothing."""
    for name in ("unit", "input", "cell"):
        was, now = getattr(expected, name), getattr(manifest, name)
        if was != now:
            return f"{name}: expected {was}, found {now}"
    raised = {case.raised for case in expected.decisions}
    if raised != set(manifest.labels):
        return f"decisions: expected the labels {sorted(raised)}, found {sorted(manifest.labels)}"
    if len(expected.frames) != len(outputs):
        return f"frames: expected {len(outputs)} verdicts, found {len(expected.frames)}"
    for i, (verdict, found) in enumerate(zip(expected.frames, _verdicts(manifest, outputs), strict=True)):
        if text := _difference(verdict, found):
            return f"frames {i}: {text}"
    answers = _answers(manifest, [(case.raised, case.output) for case in expected.decisions])
    for i, (case, found) in enumerate(zip(expected.decisions, _verdicts(manifest, answers), strict=True)):
        if text := _difference(case.verdict, found):
            return f"decisions {i} ({case.raised} at {case.output:.9g}): {text}"
    for i, bound in enumerate(expected.ranges):
        if _allows(manifest.appearance, bound.measure, bound.value) != bound.allowed:
            said = ("allowed", "refused") if bound.allowed else ("refused", "allowed")
            return f"ranges {i} ({bound.measure} of {bound.value:.9g}): expected {said[0]}, found {said[1]}"
    return None


class _Verdict(NamedTuple):
    """As `GoldenVerdict`, which takes ten times as long to make."""

    label: str
    malignant: bool
    probability: float

    def golden(self) -> GoldenVerdict:
        probability = min(self.probability, 1.0)  # a network's own may add up to a last digit more
        return GoldenVerdict(label=self.label, malignant=self.malignant, probability=probability)


def _verdicts(manifest: Manifest, outputs: np.ndarray) -> list[_Verdict]:
    """Of the network's answers, float, shape (n, classes)."""
    labels, malignant, decision = manifest.labels, manifest.classes.malignant_indices, manifest.decision
    verdicts = []
    for probabilities in calibrate(outputs.astype(np.float64), decision.temperature):
        index = decide(probabilities, decision, malignant)
        shown = int(probabilities.argmax()) if index is None else index
        label = ABSTAIN if index is None else labels[index]
        verdicts.append(_Verdict(label, index in malignant, float(probabilities[shown])))
    return verdicts


def _difference(expected: GoldenVerdict, found: _Verdict) -> str | None:
    same = (expected.label, expected.malignant) == (found.label, found.malignant)
    if same and abs(expected.probability - found.probability) <= SAME:
        return None
    texts = [f"{one.label}{' (malignant)' if one.malignant else ''} with {one.probability:.9g}" for one in (expected, found)]
    return f"expected {texts[0]}, found {texts[1]}"


def _answers(manifest: Manifest, cases: Sequence[tuple[str, float]]) -> np.ndarray:
    """The network's answers that cases of a label and its output mean: float64, shape (n, classes)."""
    place = {label: k for k, label in enumerate(manifest.labels)}
    outputs = np.array([output for _, output in cases])
    answers = np.repeat(((1 - outputs) / (len(place) - 1))[:, np.newaxis], len(place), axis=1)
    answers[np.arange(len(cases)), [place[label] for label, _ in cases]] = outputs
    return answers


def _cases(manifest: Manifest) -> list[tuple[str, float]]:
    """Label and its output: every uint8 answer and the decision's edges for one label, one answer for each other."""
    swept = manifest.malignant[0] if manifest.malignant else manifest.labels[0]
    outputs = {step / STEPS for step in range(STEPS + 1)}
    for edge in _edges(manifest.decision):
        outputs |= {_output_for(edge + side, manifest) for side in (-NEAR_EDGE, NEAR_EDGE) if 0 < edge + side < 1}
    return [(swept, output) for output in sorted(outputs)] + [(label, 0.9) for label in manifest.labels if label != swept]


def _edges(decision: Decision) -> set[float]:
    return {edge for edge in (decision.threshold, *(decision.abstain or ())) if edge is not None}


def _output_for(probability: float, manifest: Manifest) -> float:
    """What the network must answer so that its calibrated probability is `probability`: the temperature undone."""
    others = len(manifest.labels) - 1
    mine, each = probability**manifest.decision.temperature, ((1 - probability) / others) ** manifest.decision.temperature
    return mine / (mine + others * each)


def _range(ranges: AppearanceRanges | None, name: str) -> Range:
    bounds: Range = (None, None) if ranges is None else getattr(ranges, name)
    return bounds


def _values_near(bounds: Range) -> list[float]:
    low, high = bounds
    near = [bound + side * NEAR_BOUND * max(abs(bound), 1) for bound in (low, high) if bound is not None for side in (-1, 1)]
    return sorted({-FAR, *near, FAR})


def _allows(ranges: AppearanceRanges | None, name: str, value: float) -> bool:
    bounds = _range(ranges, name)
    return not (is_below(value, bounds) or is_above(value, bounds))
