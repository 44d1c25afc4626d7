"""`leukolite convert`."""

import os
from pathlib import Path
from typing import Literal

import click

from leukolite.convert.targets import TARGETS, compile_bundle
from leukolite.convert.variants import AUTO_ORDER, VARIANTS
from leukolite.errors import ConversionError
from leukolite.terminal import (
    DEFAULT_SIGMAS,
    SEED,
    Command,
    Finite,
    Sigmas,
    add_task,
    check_file_place,
    import_keras,
    progress_bar,
    stdout,
    write_json,
)

VALUES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}


class Variants(click.ParamType):
    """A comma-separated list of variants, as 'int8,float16'."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        wanted = tuple(dict.fromkeys(part.strip() for part in str(value).split(",")))
        if unknown := [name for name in wanted if name not in VARIANTS]:
            self.fail(f"expected some of {', '.join(VARIANTS)}, found {unknown[0]!r}", param, ctx)
        return wanted


@click.command(cls=Command)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--keras", "keras_file", type=click.Path(path_type=Path), help="Instead of RUN: a Keras model of somebody else's.")
@click.option("--labels", type=click.Path(path_type=Path), help="With --keras: its labels, one a line, as its outputs.")
@click.option("--unit", type=click.Choice(["cell", "field"]), help="With --keras: what one image shows.")
@click.option("--values", type=click.Choice(list(VALUES)), help="With --keras: what black and white are to it.")
@click.option("--malignant", help="With --keras: labels that mean leukaemia, comma-separated.  [default: the layout's]")
@click.option("--out", type=click.Path(path_type=Path), help="Bundle to write; of several variants the folder of one each.")
@click.option("--to", "variants", type=Variants(), help=f"Some of {', '.join(VARIANTS)}.  [default: int8]")
@click.option("--auto", is_flag=True, help=f"The first that passes the gate, of {', '.join(AUTO_ORDER)}.")
@click.option("--name", help="The bundle's name.  [default: the folder's]")
@click.option("--data", type=click.Path(path_type=Path), help="Where the run's images are now.  [default: where they were]")
@click.option("--calibration", type=click.IntRange(100, 500), default=200, show_default=True, help="Images for the ranges.")
@click.option("--calibration-study", "study", is_flag=True, help="Write nothing; show what the number of images costs.")
@click.option("--max-drop", type=Finite(0, 100), default=0.5, show_default=True, help="Points of accuracy to lose.")
@click.option("--max-recall-drop", type=Finite(0, 100), default=0.5, show_default=True, help="Of any malignant class's recall.")
@click.option("--abstain", is_flag=True, help="Put the fitted abstain band in force.")
@click.option("--abstain-error", type=Finite(0, 50), default=1.0, show_default=True, help="Percent wrong outside the band.")
@click.option("--qat-epochs", type=click.IntRange(1, 100), default=1, show_default=True, help="Of fine-tuning for int8-qat.")
@click.option(
    "--prove-with", multiple=True, type=click.Path(path_type=Path), help="A Python with tflite-runtime to try; repeatable."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(TARGETS),
    metavar="NAME",
    help="Compile for edgetpu, or an Ethos-U as ethos-u55-256, too; repeatable.",
)
@click.option(
    "--cell-window",
    type=Finite(1, 20, min_open=True),
    metavar="RED_CELLS",
    help="Of models that judge a cell: the side of a training picture in diameters of a red cell.  [default: the layout's]",
)
@click.option("--on-black", is_flag=True, help="With --cell-window: the training pictures are black around the cell.")
@click.option("--noise", type=Sigmas(), default=DEFAULT_SIGMAS, help="Noise levels to measure.  [default: 0,2,5,8,10]")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the choice of images and the noise.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the result as JSON, every flip included.")
def convert(
    run: Path | None,
    keras_file: Path | None,
    labels: Path | None,
    unit: Literal["cell", "field"] | None,
    values: str | None,
    malignant: str | None,
    out: Path | None,
    variants: tuple[str, ...] | None,
    auto: bool,
    name: str | None,
    data: Path | None,
    calibration: int,
    study: bool,
    max_drop: float,
    max_recall_drop: float,
    abstain: bool,
    abstain_error: float,
    qat_epochs: int,
    prove_with: tuple[Path, ...],
    targets: tuple[str, ...],
    cell_window: float | None,
    on_black: bool,
    noise: tuple[float, ...],
    seed: int,
    json_path: Path | None,
) -> None:
    """Make bundles of a finished RUN folder, each no worse than the float model by more than the gate allows.

    The gate holds accuracy and malignant recall, at noise of sigma 0 and 10, against the float model's on the validation
    part. What fails is not written. Prints every verdict that flipped, and how each runtime at hand answers.

    \b
    Example:
      leukolite convert runs/m --out bundles/m
      leukolite convert runs/m --to int8,float16 --out bundles --prove-with old-venv/bin/python
      leukolite convert --keras net.keras --labels labels.txt --unit cell --values 0..1 --data cells --out bundles/net
    """
    if (run is None) == (keras_file is None):
        raise click.UsageError("give a RUN, or a model with --keras FILE")
    its_own = {"--labels": labels, "--unit": unit, "--values": values}
    if keras_file is not None and (missing := [option for option, value in {**its_own, "--data": data}.items() if value is None]):
        raise click.UsageError(f"--keras needs {', '.join(missing)}: leukolite does not guess them")
    if run is not None and (
        given := [option for option, value in {**its_own, "--malignant": malignant}.items() if value is not None]
    ):
        raise click.UsageError(f"{', '.join(given)} goes with --keras; a run says it itself")
    if keras_file is not None and (study or auto or "int8-qat" in (variants or ())):
        raise click.UsageError("--auto, --calibration-study and int8-qat need a RUN of leukolite's, not --keras")
    if (out is None) != study:
        raise click.UsageError(
            "Missing option '--out'." if out is None else "--calibration-study writes no bundle: leave out --out."
        )
    if targets and (auto or not {*(variants or ("int8",))} <= {"int8", "int8-qat"}):
        raise click.UsageError("--target compiles int8 or int8-qat: name one of them with --to.")
    if auto and variants is not None:
        raise click.UsageError("--auto chooses the variant: leave out --to.")
    if on_black and cell_window is None:
        raise click.UsageError("--on-black goes with --cell-window")
    check_file_place(json_path)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_keras("leukolite convert")
    from leukolite.bundle import CellPicture
    from leukolite.convert import report
    from leukolite.convert.external import Foreign, open_foreign
    from leukolite.convert.make_bundle import convert_run
    from leukolite.convert.study import study_calibration
    from leukolite.convert.trained import Settings, open_trained

    settings = Settings(
        variants=variants or ("int8",),
        auto=auto,
        sigmas=noise,
        calibration=calibration,
        seed=seed,
        max_drop=max_drop,
        max_recall_drop=max_recall_drop,
        target_error=abstain_error / 100,
        abstains=abstain,
        qat_epochs=qat_epochs,
        prove_with=prove_with,
        dense_per_channel="edgetpu" not in targets,
        cell=None if cell_window is None else CellPicture(window=cell_window, background="black" if on_black else "kept"),
    )
    if keras_file is not None:
        foreign = Foreign(
            model=keras_file,
            labels=labels or Path(),
            unit=unit or "cell",
            values=VALUES[values or ""],
            malignant=None if malignant is None else [label.strip() for label in malignant.split(",")],
            data=data or Path(),
        )
    console = stdout()
    with progress_bar() as bar:
        task = add_task(bar, "model")

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total or None)

        if study and run is not None:
            rows = study_calibration(run, data=data, settings=settings, progress=progress)
        else:
            assert out is not None
            opened = open_foreign(foreign, settings, progress) if run is None else open_trained(run, data, settings, progress)
            result = convert_run(opened, out, name=name or out.resolve().name, settings=settings)
    if study:
        console.print(report.study_table(rows))
        if json_path is not None:
            write_json(json_path, report.study_json(rows))
        return
    for outcome in result.outcomes:
        for line in report.outcome_lines(outcome, result.float_bytes):
            console.print(line)
        if targets and outcome.path is not None:
            for compiled in compile_bundle(outcome.path, tuple(dict.fromkeys(targets))):
                for note in compiled.notes:
                    console.print(f"  {compiled.record.target}: {note}")
    console.print(report.parity_table(result))
    for line in report.refusals(result):
        console.print(line)
    if json_path is not None:
        write_json(json_path, report.conversion_json(result))
    missing = [outcome.variant for outcome in result.outcomes if outcome.path is None]
    if missing and not (auto and result.written):
        raise ConversionError(f"not written: {', '.join(missing)}; see above why, or loosen --max-drop and --max-recall-drop")
