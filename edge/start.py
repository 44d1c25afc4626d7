"""Where the `edge-run` process begins."""

from leukolite.imports import import_explained
from leukolite.start import interrupts_end_it


def main() -> None:
    """The `edge-run` command. Until the session begins, and takes signals itself, there is nothing to lose."""
    with interrupts_end_it():
        import_explained("leukolite.streams").guard_streams()
        import_explained("leukolite.edge.host.allocator").return_large_buffers()
        import_explained("leukolite.edge.cli").main()
