"""Tables for the terminal."""

from rich import box
from rich.table import Table


def results_table(title: str, caption: str | None = None) -> Table:
    """An empty table that fits 80 columns with nine narrow ones."""
    return Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
