"""`leukolite train` and `leukolite synthetic`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from leukolite import __version__
from leukolite import synthetic as smears
from leukolite.class_folders import PARTS
from leukolite.classes import choose_malignant
from leukolite.files import new_folder, write_file, write_json
from leukolite.image_files import SYNTHETIC_MARK, describe_unusable
from leukolite.imports import require
from leukolite.manifest import Unit
from leukolite.metrics import wilson_interval
from leukolite.options import SEED, force_option, malignant_option
from leukolite.outputs import check_outputs
from leukolite.path_text import path_of_text, text_of_path
from leukolite.people import keeps_people_apart
from leukolite.sheets import encode_png
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn
from leukolite.train.backend import import_keras
from leukolite.train.cache import cache_folder
from leukolite.train.datasets import Dataset, open_dataset
from leukolite.train.label_table import LabelTable
from leukolite.train.models import weights_file
from leukolite.train.options import SplitBy, check_folds, folds_option, labels_csv_options, subject_from_option
from leukolite.train.people import describe_people
from leukolite.train.people_report import people_lines, people_tables
from leukolite.train.preview import preview_sheet
from leukolite.train.recipes import RECIPES, resolve
from leukolite.train.runs import RUN, fold_places_of, load_run
from leukolite.train.splits import LEAVE_ONE_OUT, Split
from leukolite.train.subjects import SubjectPattern
from leukolite.usefulness import no_better_than_guessing
from leukolite.wording import count, percent, percent_with_interval

if TYPE_CHECKING:
    from leukolite.train.runs import Run


LIBRARIES = ("scipy.sparse",)  # which know copies
OF_FOLDS = ("sklearn.linear_model", "sklearn.model_selection")  # which make folds, and fit what a network must beat


def as_override(text: str) -> tuple[str, str]:
    """A `--set`'s field and value. Raises: BadParameter."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"expected FIELD=VALUE, found {text!r}", param_hint="--set")
    return key.strip(), value.strip()


def _list_recipes(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    table = results_table("Recipes; every field can be replaced with --set FIELD=VALUE")
    for heading in ("recipe", "what and where from"):
        table.add_column(heading)
    for name, recipe in RECIPES.items():
        table.add_row(name, recipe.source)
    stdout().print(table)
    ctx.exit()


@click.command(cls=Command)
@click.argument("model", metavar="[RECIPE]", required=False, type=click.Choice(sorted(RECIPES)))
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_recipes, help="List the recipes.")
@click.option("--data", type=click.Path(path_type=Path), help="Labelled image folder; its layout is recognised.")
@labels_csv_options
@subject_from_option
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to write.")
@click.option("--from", "from_run", type=click.Path(path_type=Path), help="Repeat this run: its recipe, data, split, seed.")
@click.option("--weights", help="Weights to begin with: imagenet, none, or a .weights.h5 file.  [default: the recipe's]")
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs, at most.  [default: the recipe's]")
@click.option("--batch-size", type=click.IntRange(1), help="Number of images per step.  [default: the recipe's]")
@click.option("--seed", type=SEED, help="Seed of split, weights, order and augmentation.  [default: 0]")
@click.option(
    "--split",
    "split_by",
    type=SplitBy(),
    help="What no two parts share: image or subject; leave-one-subject-out: a fold a person; folders: as the data's train,"
    " validation and test folders say; or a run or split.json to repeat.  [default: folders where there are such, else image]",
)
@folds_option
@click.option("--unit", type=click.Choice(["cell", "field"]), help="What an image shows.  [default: the layout's, else field]")
@malignant_option("the layout's")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a field of the recipe; may be repeated.")
@click.option("--resume", is_flag=True, help="Go on where the same command was stopped.")
@click.option("--cache", help="Folder where decoded images are kept, or none.  [default: ~/.cache/leukolite]")
@click.option("--preview", type=click.Path(path_type=Path), help="Write what the network would see, as PNG, and do not train.")
@force_option
def train(
    model: str | None,
    data: Path | None,
    table: LabelTable | None,
    subject_from: SubjectPattern | None,
    out: Path | None,
    from_run: Path | None,
    weights: str | None,
    epochs: int | None,
    batch_size: int | None,
    seed: int | None,
    split_by: str | None,
    folds: int | None,
    unit: str | None,
    malignant: tuple[str, ...],
    settings: tuple[str, ...],
    resume: bool,
    cache: str | None,
    preview: Path | None,
    force: bool,
) -> None:
    """Train by RECIPE on a labelled image folder and leave a run folder.

    The run folder holds the .keras model, the split, the history, the metrics and every setting.

    \b
    Example:
      leukolite train mobilenet_m --data taleqani --out runs/m --weights imagenet --epochs 14 --set schedule=cosine
      leukolite train --from runs/m --out runs/again
      leukolite train mobilenet_m --data C-NMC_Leukemia --out runs/folds --split subject --folds 5
      leukolite train mobilenet_m --data C-NMC_Leukemia --preview seen.png
    """
    check_folds(split_by, folds)
    repeated = load_run(from_run) if from_run is not None else None
    if (model is None) == (repeated is None):
        raise click.UsageError("name a RECIPE, or a run to repeat with --from; `leukolite train --list` shows the recipes")
    data = data or (path_of_text(repeated.data) if repeated is not None else None)
    if data is None or (out is None and preview is None):
        raise click.UsageError("give --data DIR, and --out RUN or --preview FILE")
    weights = None if weights is None else text_of_path(weights)
    overrides: dict[str, object] = {"weights": weights, "epochs": epochs, "batch_size": batch_size}
    base = repeated.recipe if repeated is not None else RECIPES[str(model)]
    recipe = resolve(base, {k: v for k, v in overrides.items() if v is not None} | dict(map(as_override, settings)))
    if table is None and repeated is not None and repeated.labels_csv is not None:
        table = LabelTable(path_of_text(repeated.labels_csv), repeated.csv_columns)
    if subject_from is None and repeated is not None and repeated.subject_from is not None:
        subject_from = SubjectPattern(repeated.subject_from)
    read = [None if table is None else table.path]
    has_folds = folds is not None or split_by == LEAVE_ONE_OUT
    first = fold_places_of(out, 2)[0] if out is not None and has_folds else out
    if preview is not None:
        check_outputs(files=[preview], inputs=read, data=[data], force=force)
    else:
        check_outputs(folders={first: RUN}, inputs=read, data=[data], force=force or resume)
    dataset = open_dataset(data, table, subject_from)
    for line in dataset.notes:
        warn(f"note: {line}")
    chosen_malignant = _malignant(dataset, malignant, dataset.malignant if repeated is None else repeated.malignant)
    said_unit = unit or (repeated.unit if repeated is not None else dataset.unit) or "field"
    chosen_unit: Unit = "cell" if said_unit == "cell" else "field"
    chosen_seed = seed if seed is not None else (repeated.seed if repeated is not None else 0)
    chosen_split = split_by or (str(from_run) if from_run is not None else "folders" if dataset.parts else "image")
    if recipe.weights not in ("none", "imagenet"):
        weights_file(recipe.weights)
    libraries = (*LIBRARIES, *OF_FOLDS) if has_folds or dataset.names_people else LIBRARIES
    if preview is None:
        import_keras("leukolite train", *libraries, "matplotlib.figure")
    else:
        require("--preview", *libraries, extra="report")
    from leukolite.train import fit

    with progress_bar() as bar:
        task = add_task(bar, "images")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        def show_epoch(stage: str, values: Mapping[str, float]) -> None:
            note = f"validation {values['val_accuracy']:.3f}"
            bar.update(task, note=note)
            if not bar.console.is_terminal:
                warn(f"{stage}: loss {values['loss']:.4f}, accuracy {values['accuracy']:.4f}, {note}")

        prepared = fit.prepare(dataset, recipe, show, cache=cache_folder(cache))
        for line in describe_people(prepared.dataset):
            warn(f"note: {line}")
        planned = fit.make_splits(prepared, recipe, chosen_split, chosen_seed, folds=folds)
        given = Path(chosen_split)
        if (given / RUN).is_file() and load_run(given).keeps_subjects_apart and not keeps_people_apart(planned.by):
            warn(f"note: {given} was split by subject; by what is known now one person is on two sides, so this is by image")
        if chosen_split == "folders":
            sizes = ", ".join(f"{part} {len(planned.splits[0].part(part)):,}" for part in PARTS)
            own = "" if "validation" in dataset.parts else "; validation is split off train"
            warn(f"note: split by {dataset.splits_by}, {', '.join(dataset.parts)}{own}: {sizes} images")
        if planned.moved:
            whose = "the folders' split" if chosen_split == "folders" else chosen_split
            warn(f"note: moved to training: {count(planned.moved, 'image')} of {whose}, copies of images on another side")
        if planned.left_out:
            warn(f"note: left out: {count(planned.left_out, 'image')} of {data}, not in the split {chosen_split}")
        if preview is not None:
            write_file(preview, preview_sheet(prepared, recipe, planned.splits[0], chosen_seed), force=force)
        places = _places(out, planned.splits) if preview is None else []
        check_outputs(folders={place: RUN for _, place in places}, inputs=read, force=force or resume)
        runs = [
            fit.train(
                prepared,
                recipe,
                split,
                place,
                split_by=planned.by,
                unit=chosen_unit,
                malignant=chosen_malignant,
                seed=chosen_seed,
                # of the folds, some are finished, one was stopped, and the others have not begun
                resume=resume and (len(places) == 1 or fit.has_begun(place)),
                force=force,
                cache=cache_folder(cache),
                progress=show,
                on_epoch=show_epoch,
            )
            for split, place in places
        ]
        people = None
        if keeps_people_apart(planned.by) and places:
            from leukolite.train.people_of_runs import people_of_runs

            people = people_of_runs(
                prepared, places, chosen_malignant, chosen_unit, lambda done: show("people", done, len(places))
            )
    for line in describe_unusable(prepared.dataset.unusable):
        warn(line)
    for run, (_, place) in zip(runs, places, strict=True):
        _print_run(place, run)
    if len(runs) > 1:
        _print_folds(runs)
    if people is not None:
        for table_of_people in people_tables(people):
            stdout().print(table_of_people)
        for line in people_lines(people):
            stdout().print(line)
    if preview is not None:
        stdout().print(f"{preview}: what the network would see")


def _places(out: Path | None, splits: Sequence[Split]) -> list[tuple[Split, Path]]:
    """Where each split's run goes: OUT, or OUT/fold-K."""
    return [] if out is None else list(zip(splits, fold_places_of(out, len(splits)), strict=True))


def _print_folds(runs: "Sequence[Run]") -> None:
    accuracies = [run.metrics["test"].accuracy or 0.0 for run in runs]
    correct, n = (sum(getattr(run.metrics["test"], name) for run in runs) for name in ("correct", "n"))
    pooled = percent_with_interval(correct / n, wilson_interval(correct, n))
    spread = ", ".join(percent(accuracy) for accuracy in accuracies)
    stdout().print(f"{count(len(runs), 'fold')}: test accuracy {spread}; all {count(n, 'image')} together {pooled}")
    confusion = np.sum([run.metrics["test"].confusion for run in runs], axis=0)
    if reason := no_better_than_guessing(confusion, runs[0].classes):
        stdout().print(f"no better than guessing: of all folds together, the network {reason}")


def _malignant(dataset: Dataset, said: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """What was said, or the default. Raises: BadParameter, where it is not of the dataset's labels."""
    try:
        chosen = choose_malignant(said or default, dataset.labels)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--malignant") from error
    if not said and not chosen:
        warn("note: this layout does not say which labels are malignant; name them with --malignant, or in the conversion")
    return chosen


def _kept(run: "Run") -> str:
    """'epoch 7 kept', or which strength of a head was."""
    if run.recipe.head is None:
        return f"epoch {run.best_epoch} kept"
    return f"C {run.recipe.head.strengths[run.best_epoch - 1]:g} of the head kept"


def _print_run(out: Path, run: "Run") -> None:
    console = stdout()
    counts = ", ".join(f"{part} {sum(classes.values())}" for part, classes in run.split.items() if classes)
    console.print(f"recipe {run.recipe.title} on {run.dataset}: {counts} images; {_kept(run)}; {run.seconds:.0f} s")
    if run.unusable:
        console.print(f"{count(run.unusable, 'file')} skipped")
    for part, metrics in run.metrics.items():
        console.print(f"{part} accuracy {percent_with_interval(metrics.accuracy, metrics.accuracy_interval)}, n {metrics.n}")
    console.print(f"run folder: {out}")
    part, metrics = list(run.metrics.items())[-1]  # the test part, where there is one
    if reason := no_better_than_guessing(np.array(metrics.confusion), run.classes):
        console.print(f"no better than guessing: on its {part} part the network {reason}")


@click.command(cls=Command)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write: one folder per class, PNG images.")
@click.option("--count", type=click.IntRange(1, 100_000), default=500, show_default=True, help="Number of images per class.")
@click.option("--size", type=click.IntRange(32, 1024), default=256, show_default=True, help="Side of an image, pixels.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the rendered cells.")
@force_option
def synthetic(out: Path, count: int, size: int, seed: int, force: bool) -> None:
    """Render synthetic stained cells with their truth, as a folder that `leukolite train` takes.

    \b
    Example:
      leukolite synthetic --out cells --count 1000
      leukolite train small_cnn --data cells --out runs/cells
    """
    check_outputs(folders={out: SYNTHETIC_MARK}, force=force)
    with new_folder(out, replace_if_holds=SYNTHETIC_MARK, force=force) as folder, progress_bar() as bar:
        task = add_task(bar, "cells", total=count * len(smears.LABELS))
        for k, label in enumerate(smears.LABELS):
            (folder / label).mkdir()
            for i in range(count):
                pixels = smears.render_cell(np.random.default_rng([seed, k, i]), label, size=size)
                (folder / label / f"{i:05}.png").write_bytes(encode_png(pixels))
                bar.advance(task)
        write_json(folder / SYNTHETIC_MARK, {"leukolite": __version__, "seed": seed, "size": size, "count": count})
    stdout().print(f"{out}: {count} {'image' if count == 1 else 'images'} each of {', '.join(smears.LABELS)}")
