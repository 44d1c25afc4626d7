"""`leukolite data`: what a data folder holds."""

from pathlib import Path

import click

from leukolite.files import write_json
from leukolite.image_files import describe_unusable
from leukolite.imports import require
from leukolite.options import SEED, force_option, json_option
from leukolite.outputs import check_outputs
from leukolite.tables import results_table
from leukolite.terminal import Command, add_task, progress_bar, stdout, warn
from leukolite.train.datasets import open_dataset
from leukolite.train.label_table import LabelTable
from leukolite.train.options import labels_csv_options, subject_from_option
from leukolite.train.subjects import SubjectPattern
from leukolite.train.survey import Survey, contact_sheet, survey
from leukolite.wording import count, percent

EXAMPLES_SHOWN = 5


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@labels_csv_options
@subject_from_option
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet, random images of each class, as PNG.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the contact sheet's choice.")
@json_option("all of it, every copy named")
@force_option
def data(
    folder: Path,
    table: LabelTable | None,
    subject_from: SubjectPattern | None,
    sheet: Path | None,
    seed: int,
    json_path: Path | None,
    force: bool,
) -> None:
    """Say what the data folder DIR holds before you train on it.

    Layout, classes, sizes, unreadable files, copies, subjects, imbalance, burnt-in marks such as a scale bar.

    \b
    Example:
      leukolite data taleqani --sheet taleqani.png
    """
    check_outputs(files=[json_path, sheet], inputs=[None if table is None else table.path], data=[folder], force=force)
    require("leukolite data", "scipy.sparse", extra="report")
    dataset = open_dataset(folder, table, subject_from)
    for line in dataset.notes:
        warn(f"note: {line}")
    with progress_bar() as bar:
        task = add_task(bar, "images", total=len(dataset.samples))
        found = survey(dataset, lambda: bar.advance(task))
    for line in describe_unusable(found.unusable):
        warn(line)
    console = stdout(json_path)
    classes = results_table(f"{folder}: layout {found.layout}, one {found.unit or 'unknown unit'} per image")
    for heading in ("class", "images", "subjects"):
        classes.add_column(heading, justify="left" if heading == "class" else "right")
    for label, n in found.counts.items():
        mark = "*" if label in found.malignant else ""
        classes.add_row(f"{label}{mark}", str(n), str(found.subjects[label]) if found.subjects else "not named")
    console.print(classes)
    for line in summary_lines(found, dataset.splits_by):
        console.print(line)
    if sheet is not None:
        contact_sheet(dataset, sheet, seed=seed, force=force)
    if json_path is not None:
        write_json(json_path, found.to_json(), force=force)


def summary_lines(found: Survey, splits_by: str = "its folders") -> list[str]:
    """What the table does not say, a line each."""
    sizes = list(found.sizes.items())
    shown = ", ".join(f"{size} ({n})" for size, n in sizes[:4]) + (f", {len(sizes) - 4} more" if len(sizes) > 4 else "")
    lines = [f"* malignant: {', '.join(found.malignant) or 'the layout does not say'}"]
    lines.append(f"imbalance: the largest class has {found.imbalance:.1f} times the images of the smallest")
    lines.append(f"sizes: {shown}")
    if found.parts:
        lines.append(f"split by {splits_by}: {', '.join(f'{part} {n:,}' for part, n in found.parts.items())} images")
    lines.append(f"byte-identical files: {count(len(found.exact_copies), 'group')}")
    lines += [f"  {' = '.join(names)}" for names in found.exact_copies[:EXAMPLES_SHOWN]]
    lines.append(
        f"near-identical pictures: {count(len(found.near_copies), 'pair')}, {found.across_subjects} of them across subjects"
    )
    lines += [f"  {first} ~ {second}" for first, second in found.near_copies[:EXAMPLES_SHOWN]]
    if found.subjects:
        lines.append(f"people: {found.people}")
        lines += [f"  {' = '.join(ids)}: pictures of theirs are the same" for ids in found.linked]
    for corner, shares in found.marks.items():
        by_class = ", ".join(f"{label} {percent(share)}" for label, share in shares.items())
        lines.append(f"burnt-in mark, {corner}: {by_class} of the images; a network can learn it")
    return lines
