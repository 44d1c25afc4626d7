"""`leukolite reproduce`."""

from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Group
from rich.table import Table

from leukolite.benchmarks.reproduce import RESULT, TABLES, departures, load_published, tables
from leukolite.files import write_file
from leukolite.noise import NoisePlace
from leukolite.options import DEFAULT_SIGMAS, SEED, Sigmas, force_option, noise_at_option
from leukolite.path_text import text_of_path
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn
from leukolite.train.backend import import_keras
from leukolite.train.cache import cache_folder
from leukolite.train.cli import as_override
from leukolite.train.options import SplitBy, check_folds, folds_option, subject_from_option
from leukolite.train.people_report import people_lines, people_tables
from leukolite.train.recipes import RECIPES, resolve
from leukolite.train.splits import BY_IMAGE, BY_SUBJECT, LEAVE_ONE_OUT
from leukolite.train.subjects import SubjectPattern


@click.command(cls=Command)
@click.argument("recipe", type=click.Choice(sorted(RECIPES)))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="C-NMC 2019: any of its three folds.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for runs, pictures and tables.")
@click.option("--weights", help="Weights to begin with: imagenet, none, or a .weights.h5 file.  [default: the recipe's]")
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs, at most.  [default: the recipe's]")
@click.option(
    "--split",
    "split_by",
    type=SplitBy(),
    default=BY_IMAGE,
    show_default=True,
    help="How each fold is split: by image, as the paper, by subject, or leave-one-subject-out, which trains a network a person.",
)
@folds_option
@subject_from_option
@click.option("--noise", type=Sigmas(), default=DEFAULT_SIGMAS, help="Noise levels.  [default: 0,2,5,8,10]")
@noise_at_option("input")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the folds, the training and the noise.")
@click.option("--published", type=click.Path(path_type=Path), help="The paper's figures, JSON; see docs/how-to/train.md.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a field of the recipe; may be repeated.")
@click.option("--cache", help="Folder where decoded images are kept, or none.  [default: ~/.cache/leukolite]")
@force_option
def reproduce(
    recipe: str,
    data: Path,
    out: Path,
    weights: str | None,
    epochs: int | None,
    split_by: str,
    folds: int | None,
    subject_from: SubjectPattern | None,
    noise: tuple[float, ...],
    noise_at: NoisePlace,
    seed: int,
    published: Path | None,
    settings: tuple[str, ...],
    cache: str | None,
    force: bool,
) -> None:
    """Reproduce the MobileNet_M paper's tables: metrics per fold and noise level, with and without its protocol.

    Each fold is split 70/10/20 and trained twice: as the paper does, and imbalanced without augmentation. Every cell shows
    ours|the paper's. Called again after a stop, it goes on.

    \b
    Example:
      leukolite reproduce mobilenet_m --data C-NMC_Leukemia --out tables --weights imagenet
    """
    check_folds(split_by, folds)
    if split_by not in (BY_IMAGE, BY_SUBJECT, LEAVE_ONE_OUT):
        wanted = f"{BY_IMAGE}, {BY_SUBJECT} or {LEAVE_ONE_OUT}"
        raise click.BadParameter(f"expected {wanted}, found {split_by!r}", param_hint="--split")
    weights = None if weights is None else text_of_path(weights)
    overrides: dict[str, object] = {"weights": weights, "epochs": epochs}
    chosen = resolve(RECIPES[recipe], {k: v for k, v in overrides.items() if v is not None} | dict(map(as_override, settings)))
    figures = load_published(published)
    import_keras("leukolite reproduce", "scipy.sparse", "matplotlib.figure", "sklearn.metrics", "sklearn.linear_model")
    from leukolite.benchmarks.reproduce import reproduce as run

    with progress_bar() as bar:
        task = add_task(bar, "images")

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        def show_epoch(stage: str, values: Mapping[str, float]) -> None:
            bar.update(task, note=f"validation {values['val_accuracy']:.3f}")
            if not bar.console.is_terminal:
                warn(f"{stage}: loss {values['loss']:.4f}, validation {values['val_accuracy']:.3f}")

        measured = run(
            chosen,
            data,
            out,
            sigmas=noise,
            noise_at=noise_at,
            split_by=split_by,
            folds=folds,
            subject_from=subject_from,
            seed=seed,
            cache=cache_folder(cache),
            published=figures,
            progress=show,
            on_epoch=show_epoch,
            force=force,
        )
    for line in departures(measured):
        warn(f"note: {line}")
    shown: list[Table | str] = [*tables(measured, figures, noise, noise_at)]
    for one in measured:
        if one.people is not None:
            shown += [f"{one.fold}, {one.arm}", *people_tables(one.people), *people_lines(one.people)]
    made = Group(*shown)
    console = stdout()
    console.print(made)
    console.print(
        "macro: averages over both classes, as the paper's figures are; the AUC of the curve is of the class all;"
        " '-': the paper's figure is not known here"
    )
    with console.capture() as capture:
        console.print(made)
    write_file(out / TABLES, capture.get(), force=True)  # of the tables that were just written
    console.print(f"{out / TABLES}, {out / RESULT}")
