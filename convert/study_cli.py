"""`leukolite calibration-study`."""

from pathlib import Path

import click

from leukolite.convert.options import run_data_option, stage_bar, start_keras
from leukolite.files import write_json
from leukolite.options import SEED, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.terminal import Command, stdout


@click.command("calibration-study", cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@run_data_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the choice of images and of the noise.")
@json_option("the table's figures")
@force_option
def calibration_study(run: Path, data: Path | None, seed: int, json_path: Path | None, force: bool) -> None:
    """Show what the number of calibration images costs: int8 of a finished RUN with 16 to 512 of them.

    Each is compared with the float model on the validation part, at noise of sigma 0 and 10. No bundle is written.

    \b
    Example:
      leukolite calibration-study runs/m --json study.json
    """
    check_outputs(files=[json_path], inputs=[run, data], force=force)
    start_keras("leukolite calibration-study")
    from leukolite.convert.report import study_json, study_table
    from leukolite.convert.source import source_of_run
    from leukolite.convert.study import study_calibration

    with stage_bar() as progress:
        rows = study_calibration(source_of_run(run, data), seed=seed, progress=progress)
    stdout(json_path).print(study_table(rows))
    if json_path is not None:
        write_json(json_path, study_json(rows), force=force)
