"""`leukolite convert`."""

import os
from pathlib import Path

import click

from leukolite.terminal import (
    DEFAULT_SIGMAS,
    SEED,
    Command,
    Sigmas,
    add_task,
    import_keras,
    percent,
    percent_with_interval,
    progress_bar,
    stdout,
)


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Bundle folder to write.")
@click.option("--name", help="The bundle's name.  [default: the folder's]")
@click.option("--data", type=click.Path(path_type=Path), help="Where the run's images are now.  [default: where they were]")
@click.option("--calibration", type=click.IntRange(1, 2000), default=200, show_default=True, help="Images for the ranges.")
@click.option("--noise", type=Sigmas(), default=DEFAULT_SIGMAS, help="Noise levels to measure.  [default: 0,2,5,8,10]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the choice of images and the noise.")
def convert(
    run: Path, out: Path, name: str | None, data: Path | None, calibration: int, noise: tuple[float, ...], seed: int
) -> None:
    """Make an int8 bundle of a finished RUN folder.

    Prints how often the int8 model agrees with the float model, and every verdict that flipped.

    \b
    Example:
      leukolite convert runs/m --out bundles/m
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_keras("leukolite convert")
    from leukolite.convert.package import convert_run

    with progress_bar() as bar:
        task = add_task(bar, "model")
        result = convert_run(
            run,
            out,
            name=name or out.resolve().name,
            data=data,
            calibration=calibration,
            sigmas=noise,
            seed=seed,
            progress=lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total or None),
        )
    measured = result.manifest.measured
    assert measured is not None  # convert_run measures every bundle it writes
    console = stdout()
    console.print(f"{result.path}: int8, {result.model_bytes / 1e6:.2f} MB, {result.calibration_images} calibration images")
    console.print(
        f"{measured.part} part, {result.compared} images: float {percent(result.float_accuracy)}, int8"
        f" {percent(result.int8_accuracy)}; the verdicts agree on {result.compared - len(result.flips)}"
    )
    for flip in result.flips:
        console.print(
            f"  flipped: {flip.path.name} (truth {flip.truth}): float {flip.float_label} {flip.float_probability:.3f},"
            f" int8 {flip.int8_label} {flip.int8_probability:.3f}"
        )
    for row in measured.results:
        console.print(f"  sigma {row.sigma:g}: accuracy {percent_with_interval(row.accuracy, row.accuracy_interval)}")
