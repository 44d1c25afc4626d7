"""`leukolite locating`."""

from pathlib import Path

import click

from leukolite.benchmarks.locating import Half, score
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.files import short_names, write_json
from leukolite.options import Finite, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout
from leukolite.wording import percent_with_interval

SCHEMA = {"name": "locating", "version": 2}  # 2: folders below their key, intervals of their own; 1: first
HALVES: tuple[Half, ...] = ("even", "odd", "all")


@click.command(cls=Command)
@click.argument("folders", metavar="FOLDER...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--half",
    type=click.Choice(HALVES),
    default="all",
    show_default=True,
    help="Which fields to measure: every second one by name, or all.",
)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="a-b",
    show_default=True,
    help="Axis of LAB on which cells are looked for, as edge-run's.",
)
@click.option(
    "--cell-diameter", type=Finite(4, 4096), metavar="PX", help="Diameter of a typical white cell, pixels, as edge-run's."
)
@click.option("--white", default="WBC", show_default=True, help="Name of a white cell in Pascal VOC annotations.")
@json_option("every field's counts")
@force_option
def locating(
    folders: tuple[Path, ...],
    half: Half,
    channel: Channel,
    cell_diameter: float | None,
    white: str,
    json_path: Path | None,
    force: bool,
) -> None:
    """How well edge-run finds the white cells that somebody marked in the fields below each FOLDER, on one core.

    \b
    Example:
      leukolite locating BCCD ALL_IDB1 --half odd
    """
    check_outputs(files=[json_path], data=folders, force=force)
    scores = []
    with progress_bar() as bar:
        for folder in folders:
            task = add_task(bar, folder.name)
            scores.append(
                score(
                    folder,
                    half=half,
                    channel=channel,
                    cell_diameter=cell_diameter,
                    white=white,
                    on_start=lambda total, task=task: bar.update(task, total=total),  # type: ignore[misc]
                    on_field=lambda task=task: bar.advance(task),  # type: ignore[misc]
                )
            )
    table = results_table(f"White cells found, {half} fields, channel {channel} (95% intervals)")
    for heading in ("", "fields", "marked", "found", "recall", "precision"):
        table.add_column(heading, justify="left" if not heading else "right")
    console = stdout(json_path)
    for folder, one in zip(folders, scores, strict=True):
        counts = (str(len(one.fields)), str(one.marked), str(one.found))
        table.add_row(folder.name, *counts, percent_with_interval(*one.recall), percent_with_interval(*one.precision))
    console.print(table)
    for folder, one in zip(folders, scores, strict=True):
        times = ", ".join(f"{ms:.1f} ms at {width}x{height}" for (width, height), ms in one.ms.items())
        console.print(f"{folder.name}: median {times} (CPU time, one thread)")
    if json_path is not None:
        write_json(
            json_path,
            {"schema": SCHEMA, "folders": {name: one.to_json() for name, one in zip(short_names(folders), scores, strict=True)}},
            force=force,
        )
