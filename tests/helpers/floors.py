"""The lowest versions that pyproject.toml allows, by extra.

python tests/helpers/floors.py [EXTRA...]     prints them as pip's requirements, name==version
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,.-]+)\])?\s*(?:(>=|==)\s*([\w.]+))?\s*(?:<\s*[\w.]+)?\s*(?:;.*)?")


def requirements(*extras: str) -> list[tuple[str, str | None]]:
    """Name and lowest version, None where it has none, of every requirement of leukolite and its extras, theirs included."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    found: list[tuple[str, str | None]] = []
    waiting, done = ["", *extras], set()
    while waiting:
        extra = waiting.pop()
        if extra in done:
            continue
        done.add(extra)
        for line in project["dependencies"] if not extra else project["optional-dependencies"][extra]:
            match = REQUIREMENT.fullmatch(line)
            assert match is not None, f"{line}: expected a name and its lowest version"
            name, inner, _, version = match.groups()
            if name == "leukolite":
                waiting.extend(inner.split(","))
            else:
                found.append((name, version))
    return found


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def floors(*extras: str) -> dict[str, str]:
    """Package -> its lowest version; the highest where leukolite and an extra name one each."""
    lowest: dict[str, str] = {}
    for name, version in requirements(*extras):
        if version is not None and number(version) >= number(lowest.get(name, "0")):
            lowest[name] = version
    return dict(sorted(lowest.items()))


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}=={version}\n" for name, version in floors(*sys.argv[1:]).items()))
