"""Where the `edge-run` process begins."""

import importlib

from leukolite.start import interrupts_end_it


def main() -> None:
    """The `edge-run` command. Until the session begins, and takes signals itself, there is nothing to lose."""
    with interrupts_end_it():
        importlib.import_module("leukolite.streams").guard_streams()
        importlib.import_module("leukolite.edge.cli").main()
