"""The options of labels in a table, of whose blood a picture is and of splits, which several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from leukolite.lists import typed_list
from leukolite.options import FunctionT, MovedError
from leukolite.train.label_table import ROLES, LabelTable
from leukolite.train.splits import BY_IMAGE, BY_SUBJECT, LEAVE_ONE_OUT
from leukolite.train.subjects import SubjectPattern
from leukolite.wording import is_utf8


class Columns(click.ParamType):
    """Which columns of a table are which, as 'file=new_names,label=labels'."""

    name = "ROLE=COLUMN,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        columns: dict[str, str] = {}
        for pair in typed_list(str(value)):
            role, _, column = (text.strip() for text in pair.partition("="))
            if role not in ROLES or not column or role in columns or not is_utf8(column):
                self.fail(f"expected each of {', '.join(ROLES)} once at most, as file=NAME, found {pair!r}", param, ctx)
            columns[role] = column
        return columns


class Pattern(click.ParamType):
    """A regular expression whose one group is a subject's id."""

    name = "PATTERN"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> SubjectPattern:
        if isinstance(value, SubjectPattern):
            return value
        try:
            return SubjectPattern(str(value))
        except ValueError as error:
            self.fail(f"{error}", param, ctx)


subject_from_option = click.option(
    "--subject-from",
    type=Pattern(),
    help="Regular expression whose one group is the subject's id, searched in each file's path below the data folder,"
    " whatever its case, as 'UID_(\\w+?)_'.  [default: C-NMC's names or the table say it]",
)


class SplitBy(click.ParamType):
    """A way to split, or the run whose split is repeated; a spelling of before is refused with the new one."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        kind, colon, n = text.partition(":")
        if colon and kind.lower() == "kfold":
            folds = n if n.isdecimal() and int(n) > 1 else "N"
            raise MovedError(
                f"`--split {text}` has moved: use `--split {BY_SUBJECT} --folds {folds}`, or `--split {BY_IMAGE} --folds {folds}`"
                " where nobody knows whose blood it is"
            )
        return text


FOLDS = click.IntRange(2, 1000)
folds_option = click.option(
    "--folds",
    type=FOLDS,
    help=f"Number of folds, each tested once, stratified by class; goes with --split {BY_IMAGE} or {BY_SUBJECT}.",
)


def check_folds(split_by: str | None, folds: int | None) -> None:
    """Raises: UsageError, where folds are wanted of a split that has none, or has its own."""
    if folds is not None and split_by not in (BY_IMAGE, BY_SUBJECT):
        found = "no --split" if split_by is None else f"--split {split_by}"
        own = ", which has a fold a person" if split_by == LEAVE_ONE_OUT else ""
        raise click.UsageError(f"--folds goes with --split {BY_IMAGE} or --split {BY_SUBJECT}, found {found}{own}")


def labels_csv_options(command: FunctionT) -> FunctionT:
    """`--labels-csv FILE` and `--csv-columns`; the command gets them as `table`, a `LabelTable` or None."""

    @wraps(command)
    def with_table(*, labels_csv: Path | None, csv_columns: dict[str, str] | None, **given: Any) -> Any:
        if csv_columns and labels_csv is None:
            raise click.UsageError("--csv-columns goes with --labels-csv")
        if given.get("subject_from") is not None and "subject" in (csv_columns or {}):
            raise click.UsageError("--subject-from and the subject of --csv-columns both say whose blood it is; give one of them")
        table = None if labels_csv is None else LabelTable(labels_csv, csv_columns or {})
        return command(table=table, **given)

    declare: list[Callable[[Any], Any]] = [
        click.option(
            "--labels-csv",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="CSV file that says each image's label, and whose blood it is.  [default: folders and names say it]",
        ),
        click.option(
            "--csv-columns",
            type=Columns(),
            help="Columns of that file, as file=NAME,label=NAME,subject=NAME.  [default: recognised by their names]",
        ),
    ]
    for option in reversed(declare):
        with_table = option(with_table)
    return with_table  # type: ignore[return-value]
