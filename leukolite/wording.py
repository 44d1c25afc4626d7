"""How figures, counts and the notice are written, the same in every table, page, card and file."""

import textwrap

RESEARCH_USE = "Research use only; never a diagnosis."


def percent(value: float | None) -> str:
    """'98.7%'; '-' where the value is undefined."""
    return "-" if value is None else f"{100 * value:.1f}%"


def percent_with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """'98.7% (96.2-99.6)', the 95% interval in brackets."""
    if value is None or interval is None:
        return percent(value)
    return f"{percent(value)} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """'1 frame', '2,000 frames'."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def wrapped(text: str, width: int = 80) -> list[str]:
    """A long sentence as lines that end between words; neither a name with hyphens nor an interval is broken."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def shown_label(label: str) -> str:
    """A class's label for people: C-NMC calls its blasts `all`, which reads like 'all of them'."""
    return "all (ALL blast)" if label == "all" else label
