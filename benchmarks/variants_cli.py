"""`leukolite variants`."""

import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from leukolite.convert.cli import Variants
from leukolite.convert.variants import VARIANTS
from leukolite.files import write_file
from leukolite.terminal import SEED, Command, add_task, check_file_place, import_keras, progress_bar, stdout, write_json

SIGMAS = (0.0, 10.0)


@click.command(cls=Command)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Where the runs' images are now.  [default: where they were]")
@click.option("--to", "variants", type=Variants(), default=tuple(VARIANTS), help="Which of them.  [default: all]")
@click.option("--calibration", type=click.IntRange(100, 500), default=200, show_default=True, help="Images for the ranges.")
@click.option("--qat-epochs", type=click.IntRange(1, 100), default=1, show_default=True, help="Of fine-tuning for int8-qat.")
@click.option(
    "--prove-with", multiple=True, type=click.Path(path_type=Path), help="A Python with tflite-runtime to try; repeatable."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the choice of images and the noise.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this Markdown file too.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything as JSON.")
def variants(
    runs: tuple[Path, ...],
    data: Path | None,
    variants: tuple[str, ...],
    calibration: int,
    qat_epochs: int,
    prove_with: tuple[Path, ...],
    seed: int,
    out: Path | None,
    json_path: Path | None,
) -> None:
    """The table of every variant of each RUN: size, accuracy under noise, latency, and the runtimes that run it.

    Makes each variant in a temporary folder and keeps none; `leukolite convert` makes those to keep.

    \b
    Example:
      leukolite variants runs/m runs/light --prove-with old-venv/bin/python --out variants.md
    """
    check_file_place(out)
    check_file_place(json_path)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_keras("leukolite variants")
    from leukolite.benchmarks.variants import Tried, markdown, to_json
    from leukolite.convert.make_bundle import convert_run
    from leukolite.convert.trained import Settings, open_trained

    settings = Settings(
        variants=variants, sigmas=SIGMAS, calibration=calibration, seed=seed, qat_epochs=qat_epochs, prove_with=prove_with
    )
    tried = []
    with progress_bar() as bar, tempfile.TemporaryDirectory(prefix="leukolite-variants-") as place:
        task = add_task(bar, "model")
        for k, run in enumerate(runs):
            name = run.resolve().name

            def progress(stage: str, done: int, total: int, name: str = name) -> None:
                bar.update(task, description=f"{name}: {stage}", completed=done, total=total or None)

            conversion = convert_run(
                open_trained(run, data, settings, progress), Path(place) / str(k), name="tried", settings=settings
            )
            tried.append(Tried(name, conversion))
    text = markdown(tried, command=_command(sys.argv[1:]), host=_host())
    stdout().print(text)
    if out is not None:
        write_file(out, text)
    if json_path is not None:
        write_json(json_path, to_json(tried, host=_host()))


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
