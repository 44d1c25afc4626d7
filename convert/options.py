"""What the commands that convert share: the options of a bundle, each declared once, and the bar of their progress."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leukolite.bundle import MANIFEST
from leukolite.convert.targets import TARGETS
from leukolite.convert.variants import VARIANTS, bundle_places
from leukolite.errors import LeukoliteError
from leukolite.imports import package_of
from leukolite.lists import typed_list
from leukolite.network_input import Triple, parse_values
from leukolite.noise import NoisePlace
from leukolite.options import (
    DEFAULT_SIGMAS,
    SEED,
    Finite,
    FunctionT,
    Sigmas,
    force_option,
    json_option,
    moved_option,
    noise_at_option,
)
from leukolite.outputs import check_outputs
from leukolite.preprocess import Crop
from leukolite.terminal import add_task, progress_bar
from leukolite.train.backend import import_keras

if TYPE_CHECKING:
    from leukolite.convert.settings import ConversionSettings
    from leukolite.progress import OnProgress

DEFAULT_VARIANTS = ("int8",)
FINE_TUNING = ("tensorflow_model_optimization", "tf_keras")
COMPILED = {"int8", "int8-qat"}  # what accelerators take


class Variants(click.ParamType):
    """A comma-separated list of variants, as 'int8,float16'."""

    name = "list"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        wanted = tuple(dict.fromkeys(typed_list(str(value))))
        if unknown := [name for name in wanted or (str(value),) if name not in VARIANTS]:
            self.fail(f"expected some of {', '.join(VARIANTS)}, found {unknown[0]!r}", param, ctx)
        return wanted


class Values(click.ParamType):
    """What a network takes for the levels of R, G and B, as `leukolite.network_input.parse_values` reads it."""

    name = "values"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Triple, Triple]:
        try:
            return parse_values(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


RESIZE: dict[str, Crop] = {"crop": "centre-square", "stretch": "stretch", "pad": "pad"}


def fitting_options(remedies: Iterable[tuple[str, str]]) -> str:
    """What a user can give instead; empty: nothing fits. Of an `UselessModelError`'s remedies."""
    options, labels = [], ""
    for what, value in remedies:
        if what == "labels":
            labels = f"write the labels in the order {value} into the file of --labels"
        elif what == "crop":
            options.append(f"--resize {next(name for name, crop in RESIZE.items() if crop == value)}")
        else:
            options.append(f"--{what} {shlex.quote(value)}")
    given = f"give {' '.join(options)}" if options else ""
    return " and ".join(words for words in (given, labels) if words)


def remedy(remedies: Iterable[tuple[str, str]]) -> str:
    """What a user can do about an `UselessModelError`: the options that fit, or to insist."""
    fitting = fitting_options(remedies)
    return f"{fitting}, or insist with --allow-useless" if fitting else "--allow-useless insists"


@dataclass(frozen=True)
class BundleOptions:
    """The options of `bundle_options`, as they were given; `variants` is None where `--to` was not."""

    out: Path
    variants: tuple[str, ...] | None
    name: str | None
    calibration: int
    max_drop: float
    max_recall_drop: float
    allow_useless: bool
    abstain: bool
    abstain_error: float
    check_with: tuple[Path, ...]
    targets: tuple[str, ...]
    cell_window: float | None
    on_black: bool
    noise: tuple[float, ...]
    noise_at: NoisePlace
    seed: int
    json_path: Path | None
    force: bool

    @property
    def bundle_name(self) -> str:
        return self.name or self.out.resolve().name

    def check(self, *, auto: bool = False, inputs: Sequence[Path | None] = (), data: Path | None = None) -> None:
        """Before the work begins.

        Args:
            inputs: what the command reads; `data`: the folder whose files it lists.

        Raises:
            UsageError: options contradict each other.
            LeukoliteError: a result cannot be written, or would replace something.
        """
        if self.targets and (auto or not {*(self.variants or DEFAULT_VARIANTS)} <= COMPILED):
            raise click.UsageError("--target compiles int8 or int8-qat: name one of them with --to.")
        if self.on_black and self.cell_window is None:
            raise click.UsageError("--on-black goes with --cell-window")
        places = bundle_places(self.out, self.variants or DEFAULT_VARIANTS, auto=auto)
        check_outputs(
            files=[self.json_path], folders=dict.fromkeys(places.values(), MANIFEST), inputs=inputs, data=[data], force=self.force
        )

    def settings(self, *, auto: bool = False, qat_epochs: int = 1) -> "ConversionSettings":
        """The same as a conversion takes them, with those that only a run's conversion has."""
        from leukolite.convert.settings import ConversionSettings
        from leukolite.manifest import CellPicture

        background = "black" if self.on_black else "kept"
        return ConversionSettings(
            variants=self.variants or DEFAULT_VARIANTS,
            auto=auto,
            sigmas=self.noise,
            noise_at=self.noise_at,
            calibration=self.calibration,
            seed=self.seed,
            max_drop=self.max_drop,
            max_recall_drop=self.max_recall_drop,
            target_error=self.abstain_error / 100,
            abstains=self.abstain,
            qat_epochs=qat_epochs,
            other_pythons=self.check_with,
            dense_per_channel="edgetpu" not in self.targets,
            allow_useless=self.allow_useless,
            cell=None if self.cell_window is None else CellPicture(window=self.cell_window, background=background),
        )


run_data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="Folder where the run's images are now.  [default: where they were]"
)
calibration_option = click.option(
    "--calibration",
    type=click.IntRange(100, 500),
    default=200,
    show_default=True,
    help="Number of images that set the ranges of the activations.",
)
_CHECK_WITH = click.option(
    "--check-with",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PYTHON",
    help="Python interpreter whose TFLite runtime is checked too; may be repeated.",
)


def other_pythons_option(command: FunctionT) -> FunctionT:
    """`--check-with PYTHON`, and the name that it had before."""
    return moved_option("", "--prove-with", "--check-with", multiple=True)(_CHECK_WITH(command))


qat_epochs_option = click.option(
    "--qat-epochs", type=click.IntRange(1, 100), default=1, show_default=True, help="Epochs of fine-tuning for int8-qat."
)

_OUT = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the bundle to write; of several variants the folder of one bundle each.",
)
_JSON = json_option("the result, with every flipped verdict")
_BETWEEN = (
    click.option("--name", help="Name of the bundle.  [default: that of its folder]"),
    calibration_option,
    click.option(
        "--max-drop",
        type=Finite(0, 100),
        default=0.5,
        show_default=True,
        help="Points of accuracy that a variant may lose against the float model.",
    ),
    click.option(
        "--max-recall-drop",
        type=Finite(0, 100),
        default=0.5,
        show_default=True,
        help="Points of recall that a variant may lose in any malignant class.",
    ),
    click.option(
        "--allow-useless",
        is_flag=True,
        help="Write a bundle although labelled pictures speak against the model, or against how it is taken.",
    ),
    click.option("--abstain", is_flag=True, help="Put the fitted abstain band in force: no verdict within it."),
    click.option(
        "--abstain-error",
        type=Finite(0, 50),
        default=1.0,
        show_default=True,
        help="Percentage of wrong verdicts that the abstain band leaves outside it.",
    ),
    other_pythons_option,
    click.option(
        "--target",
        "targets",
        multiple=True,
        type=click.Choice(TARGETS),
        metavar="NAME",
        help="Accelerator to compile for, edgetpu or an Ethos-U such as ethos-u55-256; may be repeated.",
    ),
    click.option(
        "--cell-window",
        type=Finite(1, 20, min_open=True),
        metavar="RED_CELLS",
        help="Side of a training picture of one cell, in diameters of a red cell.  [default: that of the data's layout]",
    ),
    click.option("--on-black", is_flag=True, help="The training pictures are black around the cell; goes with --cell-window."),
    click.option(
        "--noise",
        type=Sigmas(),
        default=DEFAULT_SIGMAS,
        help="Noise levels at which the bundle is measured, in grey levels.  [default: 0,2,5,8,10]",
    ),
    noise_at_option(),
)


def bundle_options(*, variants: Iterable[str], seed: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Declare the options of a bundle on a command, which gets them as `options`, a `BundleOptions`.

    Args:
        variants: keys of `VARIANTS` that the command can make.
        seed: what the seed is of, as a phrase.
    """

    def declare(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**given: Any) -> None:
            shared = {field.name: given.pop(field.name) for field in fields(BundleOptions)}
            command(options=BundleOptions(**shared), **given)

        to = f"Variants to make, comma-separated, of {', '.join(variants)}.  [default: int8]"
        to_option = click.option("--to", "variants", type=Variants(), help=to)
        seed_option = click.option("--seed", type=SEED, default=0, show_default=True, help=f"Seed of {seed}.")
        for option in reversed((_OUT, to_option, *_BETWEEN, seed_option, _JSON, force_option)):
            option(with_options)
        return with_options

    return declare


def start_keras(command: str, *others: str, variants: Iterable[str] = ()) -> None:
    """Load Keras on TensorFlow, which alone converts.

    Args:
        others: modules that the command needs too.
        variants: that will be made; some need libraries which cannot be loaded beside Keras.

    Raises:
        LeukoliteError: one is not installed, or does not load.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_keras(command, "tensorflow", "h5py", *others, extra="convert")
    for module in FINE_TUNING if "int8-qat" in variants else ():
        if find_spec(module) is None:
            raise LeukoliteError(f"int8-qat needs {package_of(module)}, which is not installed; pip install 'leukolite[convert]'")


@contextmanager
def stage_bar() -> "Iterator[OnProgress]":
    """A progress bar that shows one stage at a time."""
    with progress_bar() as bar:
        task = add_task(bar, "model")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total or None)

        yield show
