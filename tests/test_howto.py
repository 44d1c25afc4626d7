"""The guides in docs/how-to know all that they claim to list."""

import re
from pathlib import Path

import pytest

from leukolite.edge.field.exclusion import ExclusionKind

HOW_TO = Path(__file__).parent.parent / "docs" / "how-to"


def reasons() -> dict[str, tuple[str, str]]:
    """By reason, what it means and what to do, from the table of excluded frames and cells."""
    page = (HOW_TO / "fields-and-cells.md").read_text(encoding="utf-8")
    table = page.partition("## Why something was excluded")[2]
    return {
        name: (meaning.strip(), remedy.strip())
        for name, meaning, remedy in re.findall(r"^\| `([^`]+)` \|(.*)\|(.*)\|$", table, re.M)
    }


@pytest.mark.parametrize("kind", ExclusionKind)
def test_every_reason_for_an_exclusion_has_a_meaning_and_a_remedy(kind: ExclusionKind) -> None:
    assert all(reasons()[kind.value])


def test_the_page_lists_no_reason_that_is_not_there() -> None:
    assert set(reasons()) == {kind.value for kind in ExclusionKind}
