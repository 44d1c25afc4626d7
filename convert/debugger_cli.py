"""`leukolite debug-quantisation`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from leukolite.convert.options import run_data_option, stage_bar, start_keras
from leukolite.files import write_file, write_json
from leukolite.options import SEED, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.tables import results_table
from leukolite.terminal import Command, stdout
from leukolite.wording import count

if TYPE_CHECKING:
    from leukolite.convert.debugger import Inspection

SCHEMA = {"name": "quantisation-errors", "version": 2}  # 2: schema with a name; 1: first
LONGEST_NAME = 28  # of a layer, on the terminal
SHOWN = 12  # layers on the terminal; all are in the JSON


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@run_data_option
@click.option(
    "--calibration",
    type=click.IntRange(1, 2000),
    default=200,
    show_default=True,
    help="Number of images that set the ranges of the activations.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 2000),
    default=32,
    show_default=True,
    help="Number of validation images on which the layers are measured.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the choice of images.")
@click.option("--plot", type=click.Path(path_type=Path), help="PNG file for a drawing of the layers' errors.")
@json_option("every layer's figures")
@force_option
def debug_quantisation(
    run: Path, data: Path | None, calibration: int, images: int, seed: int, plot: Path | None, json_path: Path | None, force: bool
) -> None:
    """What int8 costs each layer of a finished RUN, worst first.

    An error of 0.289 steps is rounding and no more; above 0.7 a layer is suspect.

    \b
    Example:
      leukolite debug-quantisation runs/m --plot layers.png
    """
    check_outputs(files=[plot, json_path], inputs=[run, data], force=force)
    start_keras("leukolite debug-quantisation", *([] if plot is None else ["matplotlib.figure"]))
    from leukolite.convert.debugger import inspect_run, plot_layers

    with stage_bar() as progress:
        found = inspect_run(run, data=data, calibration=calibration, images=images, seed=seed, progress=progress)
    if plot is not None:
        write_file(plot, plot_layers(found, run.resolve().name), force=force)
    if json_path is not None:
        write_json(json_path, inspection_record(found), force=force)
    stdout(json_path).print(inspection_table(found, SHOWN))


def inspection_table(found: "Inspection", shown: int) -> Table:
    """The worst layers and one line on all of them; fits 80 columns."""
    median = sorted(layer.rmse_steps for layer in found.layers)[len(found.layers) // 2]
    table = results_table(
        f"{count(len(found.layers), 'layer')}, {len(found.suspects)} suspect (RMSE above 0.7 steps; rounding alone: 0.289; median"
        f" {median:.3f})",
        caption=f"the worst {min(shown, len(found.layers))}; {count(found.images, 'image')} of the {found.part} part,"
        f" {count(found.calibration_images, 'calibration image')}, seed {found.seed}",
    )
    table.add_column("#", justify="right")
    table.add_column("layer", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    for heading in ("RMSE, steps", "shift", "SNR, dB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in found.layers[:shown]:
        mark = " !" if layer.is_suspect else "  "
        snr = "-" if layer.snr_db is None else f"{layer.snr_db:.1f}"
        values = (f"{layer.rmse_steps:.3f}{mark}", f"{layer.mean_error_steps:+.3f}", snr)
        table.add_row(str(layer.position), _short(layer.layer), layer.operator, *values)
    return table


def _short(name: str) -> str:
    """Both ends of a long name, so that the table fits 80 columns; `--json` has the whole of it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2 - 1]}…{name[-LONGEST_NAME // 2 :]}"


def inspection_record(found: "Inspection") -> dict[str, object]:
    """What `--json` writes."""
    layers = [asdict(layer) | {"layer": layer.layer, "is_suspect": layer.is_suspect} for layer in found.layers]
    return {"schema": SCHEMA, **asdict(found), "layers": layers}
