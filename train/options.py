"""The options of labels in a table, which several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from leukolite.lists import typed_list
from leukolite.options import FunctionT
from leukolite.train.label_table import ROLES, LabelTable
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


def labels_csv_options(command: FunctionT) -> FunctionT:
    """`--labels-csv FILE` and `--csv-columns`; the command gets them as `table`, a `LabelTable` or None."""

    @wraps(command)
    def with_table(*, labels_csv: Path | None, csv_columns: dict[str, str] | None, **given: Any) -> Any:
        if csv_columns and labels_csv is None:
            raise click.UsageError("--csv-columns goes with --labels-csv")
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
