"""How long work tells how far it is, whoever shows it."""

from collections.abc import Callable, Mapping

OnProgress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much; a total of 0 is not known
OnEpoch = Callable[[str, Mapping[str, float]], None]  # which epoch of a training ended, and its figures


def no_progress(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def no_epoch(stage: str, values: Mapping[str, float]) -> None:
    """Shows nothing."""
