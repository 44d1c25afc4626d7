"""What a session says on the terminal while it lasts, and its closing table."""

from collections.abc import Callable
from pathlib import PurePath

from rich.console import Group
from rich.text import Text

from leukolite.advice import EXCLUSION_ADVICE
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.counts import Session, by_kind
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.field.view import whole_box
from leukolite.edge.host.health import Health
from leukolite.noise import NOISE_PLACES, NoisePlace
from leukolite.tables import results_table
from leukolite.wording import count, percent_with_interval, shown, shown_label, wrapped

NAME_WIDTH = 15
VERDICT_HEADER = "frame source          verdict      prob. total ms =capture +locate +prep.+invoke"

Say = Callable[[str], None]


class Console:
    """A `Sink` that tells a person: a line per verdict on stdout, everything unusual on stderr.

    Args:
        say, warn: write one line.
        verdicts: False leaves out the verdicts' lines.
    """

    def __init__(self, say: Say, warn: Say, *, verdicts: bool = True) -> None:
        self._say, self._warn, self._verdicts = say, warn, verdicts

    def take(self, event: Event) -> None:
        match event:
            case FrameResult():
                if self._verdicts:
                    self._say(frame_lines(event))
            case Gap():
                self._warn(f"{event.source}: skipped: {event.reason}")
            case Note():
                self._warn(f"{event.source}: {event.text}")
            case Health():
                self._warn(f"machine: {', '.join(event.conditions) or 'well again'}")
            case SessionEnd():
                pass  # the closing lines say how it ended

    def close(self) -> None:
        pass


def frame_lines(result: FrameResult) -> str:
    """One frame's lines: the verdict at the first noise level, its latency, the truth if it is another, and each level
    that changed the verdict; of a frame with several cells, a line per cell with its left and top."""
    source = result.frame.source
    name = shown(source if "://" in source else PurePath(source).name)
    cut = name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"
    head = f"{result.frame.index:>5} {cut:<{NAME_WIDTH}} "
    if result.excluded is not None:
        return shown(f"{head}excluded: {result.excluded}")
    first, *others = [result.at_sigma(sigma) for sigma in dict.fromkeys(region.sigma for region in result.regions)]
    lines = []
    has_cells = len(first) > 1 or first[0].box != whole_box(result.frame.pixels)
    if has_cells:
        left_out = sum(region.verdict is None for region in first)
        lines.append(f"{head}{count(len(first), 'cell')}{f', {left_out} excluded' if left_out else ''}")
    for place, region in enumerate(first):
        where = f"{region.box[0]}, {region.box[1]}"
        lines.append((f"{'':>5} {where:>{NAME_WIDTH}} " if has_cells else head) + _region_line(region))
        if region.verdict is None:
            continue
        label, truth = region.verdict.label, None if result.truth is None else result.frame.truth
        notes = [] if truth is None or truth.casefold() == label.casefold() else [f"truth {truth}"]
        same = [regions[place] for regions in others] if all(len(regions) == len(first) for regions in others) else []
        notes += [
            f"at sigma {other.sigma:g}: {other.verdict.label} {other.verdict.probability:.3f}"
            for other in same
            if other.verdict is not None and other.verdict.label != label
        ]
        lines += [f"      {note}" for note in notes]
    return "\n".join(map(shown, lines))


def _region_line(region: RegionResult) -> str:
    if region.verdict is None:
        return f"excluded: {region.excluded}"
    verdict, ms = region.verdict, region.verdict.latency
    return (
        f"{verdict.label:<12} {verdict.probability:.3f}"
        f"{ms.total:>9.2f}{ms.capture:>9.2f}{ms.locate:>8.2f}{ms.preprocess:>7.2f}{ms.invoke:>7.2f}"
    )


def closing_tables(session: Session, noise_at: NoisePlace = "capture") -> Group:
    """Latency percentiles, frames, verdicts by label, and accuracy at each noise level where the truth is known."""
    latency = results_table("Latency, ms")
    for heading in ("stage", "p50", "p90", "p99", "mean"):
        latency.add_column(heading, justify="left" if heading == "stage" else "right")
    stages = session.counts.latency_ms()
    for stage, values in stages.items():
        latency.add_row(stage, *(f"{values[name]:.2f}" for name in ("p50", "p90", "p99", "mean")))
    rates, lines = session.counts.rates(), Text("\n".join(map(shown, _closing_lines(session))))
    if not rates:
        return Group(latency, lines) if stages else Group(lines)
    where = "" if noise_at == "capture" else f" {NOISE_PLACES[noise_at]}"
    accuracy = results_table(f"Accuracy under Gaussian noise{where} (95% interval)")
    for heading in ("sigma", "n", "accuracy", "recall", "specificity"):
        accuracy.add_column(heading, justify="right")
    for row in rates:
        one = row.positive
        accuracy.add_row(
            f"{row.sigma:g}",
            str(row.n),
            percent_with_interval(row.accuracy, row.accuracy_interval),
            "-" if one is None else percent_with_interval(one.recall, one.recall_interval),
            "-" if one is None else percent_with_interval(one.specificity, one.specificity_interval),
        )
    return Group(latency, lines, accuracy)


def _closing_lines(session: Session) -> list[str]:
    counts = session.counts
    frames = count(counts.frames, "frame")
    for n, what in (
        (counts.excluded_frames, "of them excluded"),
        (counts.gaps, "not available"),
        (counts.skipped, "skipped for newer ones"),
    ):
        frames += f", {n:,} {what}" if n else ""
    by_label = ", ".join(f"{shown_label(label)} {n:,}" for label, n in counts.predicted.items() if n or label != "abstain")
    lines = wrapped(f"verdicts: {by_label}")
    lines += [f"{frames}, {session.verdicts_per_second:g} verdicts per second", str(session.runtime)]
    if counts.excluded:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in by_kind(counts.excluded).items())
        lines += wrapped(f"excluded: {kinds}")
        advised = [kind for kind in counts.excluded if kind in EXCLUSION_ADVICE]
        lines += [line for kind in advised for line in wrapped(f"{kind}: {EXCLUSION_ADVICE[kind]}")]
    if counts.throttled:
        lines.append(f"the machine was throttled during {count(counts.throttled, 'frame')}")
    if session.restarts:
        lines.append(f"the runtime hung and was restarted {count(session.restarts, 'time')}")
    return lines
