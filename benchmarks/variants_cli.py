"""`leukolite variants`."""

import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leukolite.convert.options import (
    Variants,
    calibration_option,
    other_pythons_option,
    qat_epochs_option,
    run_data_option,
    stage_bar,
    start_keras,
)
from leukolite.convert.variants import VARIANTS
from leukolite.files import short_names, write_file, write_json
from leukolite.options import SEED, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.terminal import Command, stdout

if TYPE_CHECKING:
    from leukolite.benchmarks.variants import VariantTrial
    from leukolite.convert.settings import ConversionSettings
    from leukolite.progress import OnProgress

SIGMAS = (0.0, 10.0)


@click.command(cls=Command)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@run_data_option
@click.option(
    "--to",
    "variants",
    type=Variants(),
    default=tuple(VARIANTS),
    help=f"Variants to make, comma-separated: {', '.join(VARIANTS)}.  [default: all]",
)
@calibration_option
@qat_epochs_option
@other_pythons_option
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Seed of the choice of images, of the noise and of fine-tuning."
)
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file for the table.")
@json_option("everything")
@force_option
def variants(
    runs: tuple[Path, ...],
    data: Path | None,
    variants: tuple[str, ...],
    calibration: int,
    qat_epochs: int,
    check_with: tuple[Path, ...],
    seed: int,
    out: Path | None,
    json_path: Path | None,
    force: bool,
) -> None:
    """The table of every variant of each RUN: size, accuracy under noise, latency, and the runtimes that run it.

    Makes each variant in a temporary folder and keeps none; `leukolite convert` makes those to keep.

    \b
    Example:
      leukolite variants runs/m runs/light --check-with old-venv/bin/python --out variants.md
    """
    check_outputs(files=[out, json_path], inputs=[*runs, data], force=force)
    start_keras("leukolite variants", variants=variants)
    from leukolite.benchmarks.variants import for_terminal, markdown, to_json
    from leukolite.convert.settings import ConversionSettings

    settings = ConversionSettings(
        allow_useless=True,  # a study, which shows how well each is
        variants=variants,
        sigmas=SIGMAS,
        calibration=calibration,
        seed=seed,
        qat_epochs=qat_epochs,
        other_pythons=check_with,
    )
    with stage_bar() as progress, tempfile.TemporaryDirectory(prefix="leukolite-variants-") as place:
        trials = [
            _try(run, name, data, Path(place) / str(k), settings, progress)
            for k, (run, name) in enumerate(zip(runs, short_names(runs), strict=True))
        ]
    console = stdout(json_path)
    for part in for_terminal(trials):
        console.print(part)
    if out is not None:
        write_file(out, markdown(trials, command=_command(sys.argv[1:]), host=_host()), force=force)
    if json_path is not None:
        write_json(json_path, to_json(trials, host=_host()), force=force)


def _try(
    run: Path, name: str, data: Path | None, place: Path, settings: "ConversionSettings", progress: "OnProgress"
) -> "VariantTrial":
    """Make a run's variants at `place`."""
    from leukolite.benchmarks.variants import VariantTrial
    from leukolite.convert.make_bundle import make_bundles
    from leukolite.convert.source import source_of_run

    def show(stage: str, done: int, total: int) -> None:
        progress(f"{name}: {stage}", done, total)

    return VariantTrial(
        name, make_bundles(lambda _: source_of_run(run, data), place, name="tried", settings=settings, progress=show)
    )


def _command(words: Sequence[str]) -> str:
    """What was typed, without where this machine keeps things: of an absolute path its last two parts."""
    return shlex.join(["leukolite", *("/".join(Path(word).parts[-2:]) if word.startswith("/") else word for word in words)])


def _host() -> str:
    """Processor, cores and the versions that matter."""
    from importlib.metadata import version

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    packages = ("tensorflow", "keras", "tensorflow-model-optimization", "ai-edge-litert", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
