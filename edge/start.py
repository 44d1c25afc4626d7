"""Where the `edge-run` process begins."""

from leukolite.start import run


def main() -> None:
    """The `edge-run` command."""
    run("leukolite.edge.cli")
