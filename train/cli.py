"""`leukolite train` and `leukolite synthetic`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import cv2
import numpy as np

from leukolite import __version__
from leukolite import synthetic as smears
from leukolite.errors import DatasetError
from leukolite.files import new_folder
from leukolite.terminal import Command, add_task, import_keras, percent_with_interval, progress_bar, stdout, warn, write_json
from leukolite.train.datasets import SYNTHETIC_MARK, Dataset, describe_unusable, open_dataset
from leukolite.train.recipes import RECIPES, resolve

if TYPE_CHECKING:
    from leukolite.train.runs import Run


def _as_override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"expected FIELD=VALUE, found {text!r}", param_hint="--set")
    return key.strip(), value.strip()


@click.command(cls=Command)
@click.argument("model", type=click.Choice(sorted(RECIPES)))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Labelled image folder; its layout is recognised.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Run folder to write.")
@click.option("--weights", help="imagenet, none, or a .weights.h5 file.  [default: the recipe's]")
@click.option("--epochs", type=click.IntRange(1), help="At most so many.  [default: the recipe's]")
@click.option("--batch-size", type=click.IntRange(1), help="Images a step.  [default: the recipe's]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of split, weights, order, augmentation.")
@click.option("--unit", type=click.Choice(["cell", "field"]), help="What an image shows.  [default: the layout's, else field]")
@click.option("--malignant", help="Labels that mean leukaemia, comma-separated.  [default: the layout's]")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a field of the recipe; may be repeated.")
def train(
    model: str,
    data: Path,
    out: Path,
    weights: str | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    unit: str | None,
    malignant: str | None,
    settings: tuple[str, ...],
) -> None:
    """Train MODEL on a labelled image folder and leave a run folder.

    The run folder holds the .keras model, the split, the history, the metrics and every setting.

    \b
    Example:
      leukolite train mobilenet_m --data taleqani --out runs/m --weights imagenet --epochs 14 --set schedule=cosine
    """
    overrides: dict[str, object] = {"weights": weights, "epochs": epochs, "batch_size": batch_size}
    recipe = resolve(model, {k: v for k, v in overrides.items() if v is not None} | dict(map(_as_override, settings)))
    dataset = open_dataset(data)
    chosen_malignant = _malignant(dataset, malignant)
    chosen_unit = unit or dataset.unit or "field"
    import_keras("leukolite train")
    from leukolite.train import fit

    with progress_bar() as bar:
        task = add_task(bar, "images")

        def show(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
            bar.update(task, description=stage, completed=done, total=total)
            if values:
                note = f"validation {values['val_accuracy']:.3f}"
                bar.update(task, note=note)
                if not bar.console.is_terminal:
                    warn(f"{stage}: loss {values['loss']:.4f}, accuracy {values['accuracy']:.4f}, {note}")

        run = fit.train(
            dataset,
            recipe,
            out,
            unit="cell" if chosen_unit == "cell" else "field",
            malignant=chosen_malignant,
            seed=seed,
            progress=show,
        )
    for line in describe_unusable(dataset.unusable):
        warn(line)
    _print_run(out, run)


def _malignant(dataset: Dataset, given: str | None) -> tuple[str, ...]:
    chosen = dataset.malignant if given is None else tuple(label.strip() for label in given.split(",") if label.strip())
    if unknown := [label for label in chosen if label not in dataset.labels]:
        raise click.BadParameter(
            f"{', '.join(unknown)}: not among the labels {', '.join(dataset.labels)}", param_hint="--malignant"
        )
    if given is None and not chosen:
        warn("note: this layout does not say which labels are malignant; name them with --malignant")
    return chosen


def _print_run(out: Path, run: "Run") -> None:
    console = stdout()
    counts = ", ".join(f"{part} {sum(classes.values())}" for part, classes in run.split.items() if classes)
    console.print(f"{run.recipe.model} on {run.dataset}: {counts} images; epoch {run.best_epoch} kept; {run.seconds:.0f} s")
    if run.unusable:
        console.print(f"{run.unusable} files passed over")
    for part, metrics in run.metrics.items():
        console.print(f"{part} accuracy {percent_with_interval(metrics.accuracy, metrics.accuracy_interval)}, n {metrics.n}")
    console.print(f"run folder: {out}")


@click.command(cls=Command)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write: one folder a class, PNG images.")
@click.option("--count", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Images a class.")
@click.option("--size", type=click.IntRange(32, 1024), default=256, show_default=True, help="Side of an image, pixels.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def synthetic(out: Path, count: int, size: int, seed: int) -> None:
    """Render synthetic stained cells with their truth, as a folder that `leukolite train` takes.

    \b
    Example:
      leukolite synthetic --out cells --count 1000
      leukolite train small_cnn --data cells --out runs/cells
    """
    with new_folder(out) as folder, progress_bar() as bar:
        task = add_task(bar, "cells", total=count * len(smears.LABELS))
        for k, label in enumerate(smears.LABELS):
            (folder / label).mkdir()
            for i in range(count):
                pixels = smears.render_cell(np.random.default_rng([seed, k, i]), label, size=size)
                if not cv2.imwrite(str(folder / label / f"{i:05}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)):
                    raise DatasetError(f"{out}: an image could not be written; is the disk full?")
                bar.advance(task)
        write_json(folder / SYNTHETIC_MARK, {"leukolite": __version__, "seed": seed, "size": size, "count": count})
    stdout().print(f"{out}: {count} images each of {', '.join(smears.LABELS)}")
