"""Tables for the terminal, whose words and figures are never cut."""

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table


class WholeTable(Table):
    """A table that wraps between words alone, and that is wider than the terminal where this is not enough.

    rich makes columns narrower than their longest word, and cuts figures with an ellipsis.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for column in self.columns:
            column.width = None
        free = options.update(max_width=10_000, no_wrap=False, overflow="fold")
        needed = [_needed(console, free, column) for column in self.columns]
        least, most = sum(one.minimum for one in needed), sum(one.maximum for one in needed)
        between = Measurement.get(console, free, self).maximum - most  # padding and rules
        spare = max(options.max_width - between - least, 0)
        if spare < most - least:
            for column, one in zip(self.columns, needed, strict=True):
                column.width = one.minimum + spare * (one.maximum - one.minimum) // (most - least)
        width = between + (sum(column.width or 0 for column in self.columns) if spare < most - least else most)
        return super().__rich_console__(console, free.update(width=max(options.max_width, width)))


def _needed(console: Console, options: ConsoleOptions, column: Column) -> Measurement:
    """The longest word and the longest line of a column."""
    cells = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    most = max(cell.maximum for cell in cells)
    return Measurement(most if column.no_wrap else max(cell.minimum for cell in cells), most)


def results_table(title: str, caption: str | None = None) -> Table:
    """An empty table that fits 80 columns with nine narrow ones."""
    return WholeTable(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
