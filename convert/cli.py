"""`leukolite convert` and `leukolite convert-keras`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console

from leukolite.convert.options import BundleOptions, bundle_options, qat_epochs_option, run_data_option, stage_bar, start_keras
from leukolite.convert.targets import compile_bundle
from leukolite.convert.variants import AUTO_ORDER, VARIANTS
from leukolite.errors import ConversionError
from leukolite.files import write_json
from leukolite.options import malignant_option, moved_option
from leukolite.terminal import Command, stdout

if TYPE_CHECKING:
    from leukolite.convert.make_bundle import Conversion
    from leukolite.convert.settings import ConversionSettings
    from leukolite.convert.source import ConversionSource
    from leukolite.progress import OnProgress

VALUES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
UNTRAINED = [name for name, variant in VARIANTS.items() if not variant.is_trained]
_KERAS = "leukolite convert-keras FILE --labels FILE --unit cell|field --values RANGE --data DIR --out DIR"


@click.command(cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@bundle_options(variants=VARIANTS, seed="the choice of images, of the noise and of fine-tuning")
@run_data_option
@click.option("--auto", is_flag=True, help=f"Try {', '.join(AUTO_ORDER)} in turn and make the first that passes the gate.")
@malignant_option("those of the run")
@qat_epochs_option
@moved_option("leukolite convert", "--keras", _KERAS, is_flag=False, flag_value="FILE")
@moved_option("leukolite convert", "--labels", _KERAS)
@moved_option("leukolite convert", "--unit", _KERAS)
@moved_option("leukolite convert", "--values", _KERAS)
@moved_option("leukolite convert", "--calibration-study", "leukolite calibration-study RUN", is_flag=True)
def convert(
    run: Path, options: BundleOptions, data: Path | None, auto: bool, malignant: tuple[str, ...], qat_epochs: int
) -> None:
    """Make bundles of a finished RUN folder, each no worse than the float model by more than the gate allows.

    The gate holds accuracy and malignant recall, at noise of sigma 0 and 10, against the float model's on the validation
    part. What fails is not written. Prints every verdict that flipped, and how each runtime at hand answers.

    \b
    Example:
      leukolite convert runs/m --out bundles/m
      leukolite convert runs/m --to int8,float16 --out bundles --check-with old-venv/bin/python
    """
    if auto and options.variants is not None:
        raise click.UsageError("--auto chooses the variant: leave out --to.")
    options.check(auto=auto)
    start_keras("leukolite convert")
    from leukolite.convert.source import declared_malignant, source_of_run
    from leukolite.train.runs import load_run

    record = load_run(run)
    chosen = declared_malignant(malignant, record.labels, record.malignant, run)
    settings = options.settings(auto=auto, qat_epochs=qat_epochs)
    _convert(options, settings, lambda _: source_of_run(run, data, chosen))


@click.command("convert-keras", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    help="Text file of the model's labels, one per line, in the order of its outputs.",
)
@click.option("--unit", required=True, type=click.Choice(["cell", "field"]), help="What one image shows.")
@click.option("--values", required=True, type=click.Choice(list(VALUES)), help="What black and white are to the model.")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of labelled images: 40% calibrate, 30% gate and fit the decision, 30% measure the bundle.",
)
@malignant_option("those of the data's layout")
@bundle_options(variants=UNTRAINED, seed="the split and choice of images, and of the noise")
def convert_keras(
    file: Path,
    labels: Path,
    unit: Literal["cell", "field"],
    values: str,
    data: Path,
    malignant: tuple[str, ...],
    options: BundleOptions,
) -> None:
    """Make bundles of a Keras model that leukolite did not train: FILE, .keras or .h5 of Keras 2 or 3, or a SavedModel.

    Nothing about it is guessed: its labels, what an image shows, what black and white are to it. The gate and what is printed
    are those of `leukolite convert`. What the model saw in training is not known, and the bundle's card says so.

    \b
    Example:
      leukolite convert-keras net.keras --labels labels.txt --unit cell --values 0..1 --data cells --out bundles/net
    """
    if trained := [name for name in options.variants or () if name not in UNTRAINED]:
        raise click.UsageError(f"{trained[0]} fine-tunes a run of `leukolite train`, not a Keras file: leave it out of --to.")
    options.check()
    start_keras("leukolite convert-keras")
    from leukolite.convert.external import ExternalModel, source_of_keras

    external = ExternalModel(model=file, labels=labels, unit=unit, values=VALUES[values], malignant=malignant, data=data)
    settings = options.settings()
    _convert(options, settings, partial(source_of_keras, external, settings.seed))


def _convert(
    options: BundleOptions, settings: "ConversionSettings", open_source: "Callable[[OnProgress], ConversionSource]"
) -> None:
    """Convert and print what came of it. Raises: ConversionError, if a bundle that was asked for is not written."""
    from leukolite.convert.make_bundle import make_bundles
    from leukolite.convert.report import conversion_json

    with stage_bar() as progress:
        result = make_bundles(open_source, options.out, name=options.bundle_name, settings=settings, progress=progress)
    _print(result, options.targets, stdout(options.json_path))
    if options.json_path is not None:
        write_json(options.json_path, conversion_json(result))
    missing = [outcome.variant for outcome in result.outcomes if outcome.path is None]
    if missing and not (settings.auto and result.written):
        raise ConversionError(f"not written: {', '.join(missing)}; see above why, or loosen --max-drop and --max-recall-drop")


def _print(result: "Conversion", targets: tuple[str, ...], console: Console) -> None:
    """Each variant's lines, with what accelerators' compilers make of it, then the runtimes beside the float model."""
    from leukolite.convert import report

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
