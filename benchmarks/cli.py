"""`leukolite evaluate`, `leukolite overhead` and `leukolite throughput`."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from rich.table import Table

from leukolite.benchmarks import evaluate as evaluation_of
from leukolite.benchmarks.occlusion import OCCLUSIONS
from leukolite.benchmarks.overhead import measure_overhead
from leukolite.benchmarks.plots import write_pictures
from leukolite.files import write_file, write_json
from leukolite.image_files import describe_unusable
from leukolite.imports import require
from leukolite.noise import NOISE_PLACES, NoisePlace
from leukolite.options import (
    BundlePath,
    SizeType,
    force_option,
    json_option,
    noise_at_option,
    noise_option,
    runtime_option,
    seed_option,
    threads_option,
)
from leukolite.outputs import check_outputs
from leukolite.preprocess import KERNELS, Kernel
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn
from leukolite.train.backend import import_keras
from leukolite.train.label_table import LabelTable
from leukolite.train.options import SplitBy, check_folds, folds_option, labels_csv_options, subject_from_option
from leukolite.train.people_report import people_lines, people_tables
from leukolite.train.recipes import RECIPES
from leukolite.train.subjects import SubjectPattern
from leukolite.usefulness import no_better_than_guessing
from leukolite.wording import count, percent, percent_with_interval


@click.command(cls=Command)
@click.argument("model", metavar="BUNDLE|RUN|FOLDS", type=BundlePath())
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Labelled image folder; its layout is recognised.")
@labels_csv_options
@subject_from_option
@click.option(
    "--split",
    "split_by",
    type=SplitBy(),
    help="Folds on which the baselines beside figures over people are fitted: leave-one-subject-out, or image or subject with"
    " --folds, all of the measured images; folders or a run: its test part is measured, its training part fits."
    "  [default: leave-one-subject-out; of a folder of folds theirs]",
)
@folds_option
@noise_option("to add", (0.0,))
@noise_at_option()
@seed_option("the noise")
@click.option(
    "--unseen",
    is_flag=True,
    help="Leave out the images that trained or chose the model, and where its split was by subject all of those people.",
)
@click.option("--occlude", type=click.Choice(list(OCCLUSIONS)), help="Part of every picture to cover: a check for shortcuts.")
@click.option("--saliency", type=click.Path(path_type=Path), help="PNG to write: what verdicts depend on.")
@click.option("--plots", type=click.Path(path_type=Path), help="Folder to write: pictures of noise, ROC, reliability, confusion.")
@threads_option
@runtime_option
@json_option("the result")
@force_option
def evaluate(
    model: Path,
    data: Path,
    table: LabelTable | None,
    subject_from: SubjectPattern | None,
    split_by: str | None,
    folds: int | None,
    noise: tuple[float, ...],
    noise_at: NoisePlace,
    seed: int,
    unseen: bool,
    occlude: str | None,
    saliency: Path | None,
    plots: Path | None,
    threads: int,
    runtime: str,
    json_path: Path | None,
    force: bool,
) -> None:
    """Accuracy under Gaussian noise beside latency, on a labelled folder.

    Where it is known whose blood the pictures are of, also figures over people, beside the majority class and the cell's area.
    Of FOLDS, a folder of `leukolite train --folds`, each run classifies its own test part.

    \b
    Example:
      leukolite evaluate bundles/m --data taleqani --unseen --noise 0,2,5,8,10 --json result.json
      leukolite evaluate bundles/m --data taleqani --unseen --occlude scale-bar --saliency depends-on.png
      leukolite evaluate runs/folds --data C-NMC_Leukemia
    """
    check_folds(split_by, folds)
    check_outputs(
        files=[json_path, saliency],
        folders={plots: "noise.png"},
        inputs=[model, None if table is None else table.path],
        data=[data],
        force=force,
    )
    require("leukolite evaluate", "scipy.sparse", extra="report")
    if plots is not None:
        require("--plots", "matplotlib.figure", "sklearn.metrics", "sklearn.calibration", extra="report")
    opened = evaluation_of.open_model(find_bundle(model), RuntimeOptions(name=runtime, threads=threads))
    with progress_bar() as bar:
        task = add_task(bar, "images")
        evaluation = evaluation_of.evaluate(
            opened,
            data,
            noise,
            seed=seed,
            unseen_only=unseen,
            noise_at=noise_at,
            occlude=occlude,
            table=table,
            subject_from=subject_from,
            split_by=split_by,
            folds=folds,
            on_start=lambda total: bar.reset(task, total=total),
            on_image=lambda: bar.advance(task),
        )
    if unseen:
        for line in _left_out(opened, evaluation):
            warn(line)
    for line in describe_unusable(evaluation.unusable):
        warn(line)
    for line in evaluation.notes:
        warn(f"note: {line}")
    if evaluation.part is not None:
        warn(
            f"note: {data} is split by {evaluation.splits_by}: the {evaluation.part} part is measured;"
            " give the folder of another part to measure that"
        )
    if evaluation.seen:
        warn(
            f"note: {evaluation.seen} of {'this' if evaluation.n == 1 else 'these'} {count(evaluation.n, 'image')}"
            " trained or chose the model, so the figures flatter;"
            " --unseen leaves them out"
        )
    if json_path is not None:
        write_json(json_path, evaluation.to_json(), force=force)
    console = stdout(json_path)
    for measured in _tables(evaluation):
        console.print(measured)
    for line in _guessing_lines(evaluation):
        console.print(line)
    if evaluation.people is not None:
        for table_of_people in people_tables(evaluation.people):
            console.print(table_of_people)
        for line in people_lines(evaluation.people):
            console.print(line)
    if saliency is not None:
        write_file(saliency, evaluation_of.saliency_sheet(evaluation), force=force)
    if plots is not None:
        write_pictures(evaluation, plots, force=force)


@click.command(cls=Command)
@click.argument("bundle", type=BundlePath())
@threads_option
@click.option("--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Rounds to measure.")
@click.option("--frames", type=click.IntRange(10, 100_000), default=200, show_default=True, help="Frames per round.")
@click.option("--size", type=SizeType(), default=(224, 224), help="Width and height of the frames, pixels.  [default: 224x224]")
@click.option("--kernel", type=click.Choice(KERNELS), help="Resize kernel to measure.  [default: the bundle's]")
@json_option("every round")
@force_option
def overhead(
    bundle: Path,
    threads: int,
    rounds: int,
    frames: int,
    size: tuple[int, int],
    kernel: Kernel | None,
    json_path: Path | None,
    force: bool,
) -> None:
    """What edge-run adds to the bare invoke() of a BUNDLE, as ratios measured in turns in one process.

    \b
    Example:
      leukolite overhead mobilenet_m-taleqani
      leukolite overhead mobilenet_m-cnmc --size 640x480 --kernel halve-linear
    """
    check_outputs(files=[json_path], force=force)
    with progress_bar() as bar:
        task = add_task(bar, "rounds", total=rounds)
        result = measure_overhead(
            find_bundle(bundle),
            RuntimeOptions(threads=threads),
            rounds=rounds,
            frames=frames,
            size=size,
            kernel=kernel,
            on_round=lambda: bar.advance(task),
        )
    console = stdout(json_path)
    width, height = result.frame
    console.print(f"{result.model}, {width}x{height} frames, kernel {result.kernel}, {result.runtime}")
    console.print(f"{count(rounds, 'round')} of {count(frames, 'frame')}; the middle round, the least and the most")
    for name, values, ratio in (
        ("invoke() alone", result.invoke_ms, None),
        ("gate and classifier", result.classify_ms, result.classify_ratio),
        ("edge-run's loop", result.runner_ms, result.ratio),
    ):
        console.print(f"  {name:<20} p50 {_spread(values, 'ms', 3)}" + ("" if ratio is None else f", ratio {ratio:.3f}"))
    if json_path is not None:
        write_json(json_path, result.to_json(), force=force)


@click.command(cls=Command)
@click.argument("recipe", type=click.Choice(sorted(RECIPES)))
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Rounds to measure.")
@click.option("--steps", type=click.IntRange(2, 1000), default=20, show_default=True, help="Batches per round.")
@json_option("every round")
@force_option
def throughput(recipe: str, rounds: int, steps: int, json_path: Path | None, force: bool) -> None:
    """Images per second that RECIPE trains, as a ratio to the same network on one ready batch.

    \b
    Example:
      leukolite throughput mobilenet_m
    """
    check_outputs(files=[json_path], force=force)
    import_keras("leukolite throughput")
    from leukolite.benchmarks.throughput import measure_throughput

    with progress_bar() as bar:
        task = add_task(bar, "rounds", total=rounds)
        result = measure_throughput(recipe, RECIPES[recipe], rounds=rounds, steps=steps, on_round=lambda: bar.advance(task))
    console = stdout(json_path)
    console.print(f"{recipe} on {result.backend}, {count(rounds, 'round')} of {count(result.images_per_round, 'image')}")
    for name, values in (("a ready batch", result.ready), ("augmented", result.augmented)):
        console.print(f"  {name:<14} {_spread(values, 'images/s', 1)}")
    console.print(f"  ratio {result.ratio:.3f}")
    if json_path is not None:
        write_json(json_path, result.to_json(), force=force)


def _spread(values: Sequence[float], unit: str, digits: int) -> str:
    """The middle round, and the smallest and largest."""
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _left_out(opened: evaluation_of.EvaluatedModel, evaluation: evaluation_of.Evaluation) -> list[str]:
    """What `--unseen` left out, by how it was known, and what it cannot know."""
    lines = []
    if evaluation.dropped:
        ways = [f"{evaluation.seen_by[way]} as {words}" for way, words in evaluation_of.WAYS_OF_SEEING.items()]
        lines.append(f"note: {count(evaluation.dropped, 'image')} left out that trained or chose the model: {', '.join(ways)}")
    if not opened.knows_copies:
        ways = [way for way, seen in (("bytes", opened.seen), ("pixels", opened.seen_pictures)) if seen]
        how = (
            f"knows its training images by their {' and '.join(ways)} alone"
            if ways
            else "records no hashes of its training images"
        )
        lines.append(
            f"note: {opened.name} {how}, so turned, cropped or otherwise changed copies of them are not known; what is trained"
            " and converted now knows those too"
        )
    return lines


def _tables(evaluation: evaluation_of.Evaluation) -> list[Table]:
    results = evaluation.results
    positive = results[0].positive
    runtime = evaluation.classifier.runtime
    whose = f"positive class {positive}" if positive else "macro averages"
    covered = f", {evaluation.occlude} covered" if evaluation.occlude else ""
    table = results_table(
        f"{evaluation.name}: {count(evaluation.n, 'image')}{covered}, {whose}",
        caption=f"{runtime.info.name} {runtime.info.version}; p50, p99: preprocess to verdict, ms",
    )
    for heading in ("sigma", "accuracy (95%)", "prec.", "recall", "spec.", "F1", "AUC", "p50", "p99"):
        table.add_column(heading, justify="right", no_wrap=heading != "accuracy (95%)")
    for row in results:
        accuracy = percent_with_interval(row.accuracy, row.accuracy_interval)
        rates = [percent(value) for value in (row.precision, row.recall, row.specificity, row.f1, row.auc)]
        total = evaluation.latency(row.sigma)["total"]
        table.add_row(f"{row.sigma:g}", accuracy, *rates, f"{total['p50']:.2f}", f"{total['p99']:.2f}")
    averages = results_table(
        "Averages over the classes; balanced accuracy is the mean recall",
        caption=f"noise {NOISE_PLACES[evaluation.noise_at]}; reached: its sigma at the network's input, measured",
    )
    for heading in ("sigma", "reached", "balanced accuracy", "prec. (macro)", "F1 (macro)", "F1 (weighted)"):
        averages.add_column(heading, justify="right")
    for row in results:
        reached = "-" if row.effective_sigma is None else f"{row.effective_sigma:.1f}"
        rates = [percent(value) for value in (row.balanced_accuracy, row.macro_precision, row.macro_f1, row.weighted_f1)]
        averages.add_row(f"{row.sigma:g}", reached, *rates)
    first = results[0]
    confusion = results_table(f"Confusion at sigma {first.sigma:g} (row: truth, column: verdict)")
    for heading in ("", *evaluation.classifier.classes.labels):
        confusion.add_column(heading, justify="right")
    classes = results_table(f"Each class against the rest at sigma {first.sigma:g}")
    for heading in ("", "n", "recall (95%)", "acc.", "prec.", "spec.", "F1", "AUC"):
        classes.add_column(heading, justify="right")
    for one, counts in zip(first.classes, first.confusion, strict=True):
        confusion.add_row(one.label, *map(str, counts))
        rates = [percent(value) for value in (one.accuracy, one.precision, one.specificity, one.f1, one.auc)]
        classes.add_row(one.label, str(one.n), percent_with_interval(one.recall, one.recall_interval), *rates)
    return [table, averages, confusion, classes]


def _guessing_lines(evaluation: evaluation_of.Evaluation) -> list[str]:
    """One line at the lowest noise level where the model is no better than guessing; none: it is of use at each of them.

    A further guess that it has to beat, as the area of a cell alone, adds its line here.
    """
    for row in evaluation.results:
        if reason := no_better_than_guessing(np.array(row.confusion), evaluation.classifier.classes):
            return [f"no better than guessing: at sigma {row.sigma:g} {evaluation.name} {reason}"]
    return []
