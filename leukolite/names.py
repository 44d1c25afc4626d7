"""Names that look alike and are not the same: by case, spaces, letters of another script, or Unicode's several spellings."""

import unicodedata
from collections.abc import Sequence

# letters that nobody can tell from Latin ones by eye, the commonest: Unicode's confusables.txt has all
_CYRILLIC = "\u0410\u0412\u0415\u0417\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0405\u0421\u0422\u0423\u0425"
_CYRILLIC_SMALL = "\u0430\u0435\u043e\u0440\u0456\u0458\u0455\u0441\u0443\u0445\u0501\u04bb\u04cf\u051b\u04af\u043a\u0442\u043c"
_GREEK = "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf"
_GREEK_SMALL = "\u03b1\u03b9\u03ba\u03bd\u03c1\u03c4\u03c5\u03c7\u03b3\u03f2"
_ARMENIAN = "\u0578\u057d\u0585\u0581\u0570"
_OTHER = "\u0131\u0251\u0261\u0269\u0138\u01c0\u2010\u2011\u2012\u2013\u2014\u2212"
_LATIN = str.maketrans(
    _CYRILLIC + _CYRILLIC_SMALL + _GREEK + _GREEK_SMALL + _ARMENIAN + _OTHER,
    "ABE3IJKMHOPSCTYX" + "aeopijscyxdhlqyktm" + "ABEZHIKMNOPTYXo" + "aikvptuxyc" + "nuogh" + "iagikl------",
)


def skeleton(name: str) -> str:
    """What is left of a name to the eye: names that look alike have the same."""
    plain = unicodedata.normalize("NFKC", name).translate(_LATIN).casefold()
    seen = "".join(char for char in plain if unicodedata.category(char) not in ("Cf", "Cc", "Mn"))
    return " ".join(seen.split())


def resembles(first: str, second: str) -> bool:
    """True for two names that differ and that a person would read as one."""
    return first != second and skeleton(first) == skeleton(second)


def look_alikes(found: Sequence[str], expected: Sequence[str]) -> str:
    """A clause for an error that lists both: which of `found` only looks like one of `expected`, written so that the difference
    is seen; empty where none does."""
    pairs = ((one, next((other for other in expected if resembles(one, other)), None)) for one in found if one not in expected)
    return "".join(f"; expected {other!a}, found {one!a}" for one, other in pairs if other is not None)
