"""`leukolite soak`."""

from pathlib import Path

import click
from rich.console import Console

from leukolite.benchmarks.soak import MEMORY_GROWTH_GOAL_MB, Soak, soak
from leukolite.edge.control import Control
from leukolite.edge.host.signals import stopped_by_signals
from leukolite.files import write_json
from leukolite.options import BundlePath, Finite, force_option, json_option, threads_option
from leukolite.outputs import check_outputs
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn
from leukolite.wording import count


@click.command("soak", cls=Command)
@click.argument("bundle", type=BundlePath())
@click.option("--minutes", type=Finite(0.05, 10_080), default=30.0, show_default=True, help="Minutes that the session lasts.")
@click.option("--rate", type=Finite(1, 1000), default=60.0, show_default=True, help="Frames per second of the camera.")
@click.option(
    "--windows", type=click.IntRange(2, 1000), default=30, show_default=True, help="Number of windows that the time is cut into."
)
@threads_option
@json_option("every window")
@force_option
def command(bundle: Path, minutes: float, rate: float, windows: int, threads: int, json_path: Path | None, force: bool) -> None:
    """Let edge-run classify the live synthetic camera for long: do latency and memory stay as they were?

    Exit code 1 where memory grows by more than 5 MB from the end of the first window to that of the last.

    \b
    Example:
      leukolite soak mobilenet_m-taleqani --minutes 30 --json soak.json
    """
    check_outputs(files=[json_path], force=force)
    seconds = round(60 * minutes)
    with stopped_by_signals(Control()) as control:
        with progress_bar() as bar:
            task = add_task(bar, "seconds", total=seconds)
            result = soak(
                find_bundle(bundle),
                RuntimeOptions(threads=threads),
                minutes=minutes,
                rate=rate,
                window_s=60 * minutes / windows,
                control=control,
                on_second=lambda: bar.advance(task),
            )
        _show(result, stdout(json_path))
        if json_path is not None:
            write_json(json_path, result.to_json(), force=force)
    if result.memory_growth_mb is not None and result.memory_growth_mb > MEMORY_GROWTH_GOAL_MB:
        raise click.ClickException(f"memory grew by {result.memory_growth_mb:.1f} MB, more than {MEMORY_GROWTH_GOAL_MB:g} MB")


def _show(result: Soak, console: Console) -> None:
    caption = f"{count(result.frames, 'frame')} classified; {result.runtime}; age: frame to verdict, ms"
    table = results_table(
        f"{result.model}, synthetic camera at {result.rate:g} {'frame' if result.rate == 1 else 'frames'} per second",
        caption=caption,
    )
    for heading in ("seconds", "frames", "skipped", "age p50", "p90", "p99", "memory MB"):
        table.add_column(heading, justify="right")
    for window in result.windows:
        ages = (f"{window.age_ms[name]:.2f}" for name in ("p50", "p90", "p99"))
        memory = "-" if window.memory_mb is None else f"{window.memory_mb:.1f}"
        table.add_row(f"{window.seconds:g}", str(window.frames), str(window.skipped), *ages, memory)
    console.print(table)
    if result.p99_drift is not None:
        console.print(f"p99, later half of the windows over the earlier: {result.p99_drift:.2f} (first one left out)")
    if result.memory_growth_mb is not None:
        console.print(f"memory growth after the first window: {result.memory_growth_mb:+.2f} MB (goal: at most 5)")
    if result.stopped_by is not None:
        warn(f"stopped by {result.stopped_by}")
