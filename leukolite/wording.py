"""How figures, counts, names and the notice are written, the same in every table, page, card and file."""

import re
import textwrap
import unicodedata
from typing import Any

# letters and marks without any ink
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")

# an underscore within a word is none, nor an ampersand that begins no entity
_MARKUP = re.compile(r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")

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


def shown(text: str) -> str:
    """Text in one line that a terminal, page or table shows as it is, for names and labels come from anywhere.

    Line ends, control characters, escape sequences, direction marks, characters without width and the bytes of a name that is
    not UTF-8 are escaped as Python escapes them: `\\n`, `\\x1b`, `\\u202e`, `\\udce9`. A space of any width stays.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_plain(char) else char.encode("unicode_escape").decode() for char in text)


def shown_json(text: str) -> str:
    """JSON with what `shown` would escape written as JSON's own `\\uXXXX`: it reads equal, and a terminal obeys nothing in it."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(char if char == "\n" or _is_plain(char) else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _is_plain(char: str) -> bool:
    return (char.isprintable() or unicodedata.category(char) == "Zs") and char not in _UNSEEN


def is_utf8(text: str) -> bool:
    """False for a name with bytes that are not UTF-8, which Python holds as single surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def all_shown(value: Any) -> Any:
    """What becomes JSON, with every text in it, names of fields too, as `shown`."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {all_shown(name): all_shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [all_shown(one) for one in value]
    return value


def drawn(text: str) -> str:
    """A name as Matplotlib shall draw it: `shown`, no formula between dollar signs, and in the legend whatever it begins with."""
    plain = shown(text).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def markdown(text: str) -> str:
    """A name within a line or a table's cell of Markdown: `shown`, and no character of it is markup."""
    return _MARKUP.sub(r"\\\g<0>", shown(text))


def wrapped(text: str, width: int = 80) -> list[str]:
    """A long sentence as lines that end between words; neither a name with hyphens nor an interval is broken."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def shown_label(label: str) -> str:
    """A class's label for people: C-NMC calls its blasts `all`, which reads like 'all of them'."""
    return "all (ALL blast)" if label == "all" else shown(label)
