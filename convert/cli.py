"""`leukolite convert` and `leukolite convert-keras`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click
from rich.console import Console

from leukolite.convert.options import (
    RESIZE,
    BundleOptions,
    Values,
    bundle_options,
    fitting_options,
    qat_epochs_option,
    remedy,
    run_data_option,
    stage_bar,
    start_keras,
)
from leukolite.convert.targets import compile_bundle
from leukolite.convert.variants import AUTO_ORDER, VARIANTS
from leukolite.errors import ConversionError
from leukolite.files import write_json
from leukolite.image_files import describe_unusable
from leukolite.network_input import Channels, NetworkInput, Triple
from leukolite.options import malignant_option, moved_option
from leukolite.terminal import Command, stdout, warn
from leukolite.train.label_table import LabelTable
from leukolite.train.options import labels_csv_options

if TYPE_CHECKING:
    from leukolite.convert.make_bundle import Conversion
    from leukolite.convert.settings import ConversionSettings
    from leukolite.convert.source import ConversionSource
    from leukolite.progress import OnProgress

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
    part. What fails is not written, nor is anything of a float model that is no better than the commonest class. Prints every
    verdict that flipped, and how each runtime at hand answers.

    \b
    Example:
      leukolite convert runs/m --out bundles/m
      leukolite convert runs/m --to int8,float16 --out bundles --check-with old-venv/bin/python
    """
    if auto and options.variants is not None:
        raise click.UsageError("--auto chooses the variant: leave out --to.")
    options.check(auto=auto, inputs=(run, data))
    start_keras("leukolite convert", variants=AUTO_ORDER if auto else options.variants or ())
    from leukolite.convert.source import declared_malignant, source_of_run
    from leukolite.train.runs import load_run

    record = load_run(run)
    chosen = declared_malignant(malignant, record.labels, record.malignant, run)
    settings = options.settings(auto=auto, qat_epochs=qat_epochs)
    _convert(run, options, settings, lambda _: source_of_run(run, data, chosen))


@click.command("convert-keras", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    required=True,
    type=click.Path(path_type=Path),
    help="Text file of the model's labels, one per line, in the order of its outputs.",
)
@click.option("--unit", required=True, type=click.Choice(["cell", "field"]), help="What one image shows.")
@click.option(
    "--values",
    required=True,
    type=Values(),
    metavar="VALUES",
    help="What black and white are to the model: 0..1, -1..1, 0..255, imagenet (its mean and deviation), or mean=R,G,B:std=R,G,B"
    " of levels from 0 to 1, with :of=255 behind it of levels from 0 to 255.",
)
@click.option(
    "--channels", type=click.Choice(get_args(Channels)), default="RGB", show_default=True, help="Order of the model's channels."
)
@click.option(
    "--resize",
    type=click.Choice(list(RESIZE)),
    default="crop",
    show_default=True,
    help="What the model sees of a picture that is not square: the centre square, all of it stretched, or all with black beside.",
)
@click.option("--positive", help="Label that a model's one sigmoid is the probability of.  [default: told by the pictures]")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of labelled images: 40% calibrate, 30% gate and fit the decision, 30% measure the bundle; or as its train,"
    " validation and test folders say.",
)
@labels_csv_options
@malignant_option("those of the data's layout")
@bundle_options(variants=UNTRAINED, seed="the split and choice of images, and of the noise")
def convert_keras(
    file: Path,
    labels: Path,
    unit: Literal["cell", "field"],
    values: tuple[Triple, Triple],
    channels: Channels,
    resize: str,
    positive: str | None,
    data: Path,
    table: LabelTable | None,
    malignant: tuple[str, ...],
    options: BundleOptions,
) -> None:
    """Make bundles of a Keras model that leukolite did not train: FILE, .keras or .h5 of Keras 2 or 3, or a SavedModel.

    Nothing about it is guessed: its labels, what an image shows, what black and white are to it. All of it is held against the
    labelled images, beside other values, channel orders, crops and orders of the labels: where one of those is clearly right, or
    the model no better than the commonest class, it is refused with the options that fit. The gate and what is printed are
    those of `leukolite convert`. What the model saw in training is not known, and the bundle's card says so.

    \b
    Example:
      leukolite convert-keras net.keras --labels labels.txt --unit cell --values 0..1 --data cells --out bundles/net
      leukolite convert-keras resnet.keras --labels labels.txt --unit field --values imagenet --resize stretch --data fields \\
      --out bundles/resnet
    """
    if trained := [name for name in options.variants or () if name not in UNTRAINED]:
        raise click.UsageError(f"{trained[0]} fine-tunes a run of `leukolite train`, not a Keras file: leave it out of --to.")
    options.check(inputs=(file, labels, None if table is None else table.path), data=data)
    start_keras("leukolite convert-keras", "scipy.sparse")
    from leukolite.convert.external import ExternalModel, source_of_keras

    external = ExternalModel(
        model=file,
        labels=labels,
        unit=unit,
        wanted=NetworkInput(channels=channels, mean=values[0], deviation=values[1]),
        malignant=malignant,
        data=data,
        table=table,
        crop=RESIZE[resize],
        positive=positive,
        allow_useless=options.allow_useless,
    )
    settings = options.settings()

    def open_source(progress: "OnProgress") -> "ConversionSource":
        source = source_of_keras(external, settings.seed, progress)
        if source.split_by.startswith("folders"):
            warn("note: the data's folders are the split: train calibrates, validation gates, test measures")
        found = source.examination
        if found is not None and found.suggested:
            warn(f"note: {found.suggestion}; {fitting_options(found.suggested)} if it was trained so")
        return source

    _convert(file, options, settings, open_source)


def _convert(
    model: Path, options: BundleOptions, settings: "ConversionSettings", open_source: "Callable[[OnProgress], ConversionSource]"
) -> None:
    """Convert and print what came of it. Raises: ConversionError, if a bundle that was asked for is not written."""
    from leukolite.convert.make_bundle import make_bundles
    from leukolite.convert.report import conversion_json
    from leukolite.convert.usefulness import UselessModelError

    try:
        with stage_bar() as progress:
            result = make_bundles(
                open_source, options.out, name=options.bundle_name, settings=settings, progress=progress, force=options.force
            )
    except UselessModelError as error:
        raise ConversionError(f"{error}; {remedy(error.remedies)}") from error
    for line in describe_unusable(result.unusable):
        warn(line)
    _print(result, options.targets, stdout(options.json_path))
    if options.json_path is not None:
        write_json(options.json_path, conversion_json(result), force=options.force)
    missing = [outcome.variant for outcome in result.outcomes if outcome.path is None]
    if missing and not (settings.auto and result.written):
        raise ConversionError(
            f"{model}: not written: {', '.join(missing)}; see above why, or loosen --max-drop and --max-recall-drop"
        )


def _print(result: "Conversion", targets: tuple[str, ...], console: Console) -> None:
    """Each variant's lines, with what accelerators' compilers make of it, then the runtimes beside the float model."""
    from leukolite.convert import report

    for line in result.notes:
        console.print(line)
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
