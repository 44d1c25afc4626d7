"""The attacks of tests/attack, each small enough for every day."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "attack"))
import memory
from manifest_bits import CHANGED, REFUSED, SAME, WAYS, flip

from leukolite.shipped import shipped_path


@pytest.mark.parametrize("name", ["mobilenet_m-allidb2", "mobilenet_m-cnmc"])
def test_a_flipped_bit_of_a_manifest_is_refused_and_without_sums_changes_no_verdict(name: str) -> None:
    content = (shipped_path(name) / "manifest.json").read_bytes()
    decides = content.index(b'"training"') * 8  # of what comes before, most decides
    bits = np.random.default_rng(1).choice(decides, 60, replace=False).tolist()
    bits += [8 * content.index(b'"threshold": 0.') + 8 * 15, 8 * content.index(b'"light": [') + 8 * 14]  # their digits
    counts = flip(name, bits)
    assert counts[WAYS[0]] == {REFUSED: len(bits)}
    for way in WAYS[1:]:
        assert counts[way][CHANGED] == 0
        assert counts[way][REFUSED] + counts[way][SAME] == len(bits)


def test_a_session_of_several_pictures_with_a_page_holds_no_more_than_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "largest", lambda kind: 8e6)
    outcome = memory.measured(next(session for session in memory.sessions() if session.name == "3 TIFF, noise, page"))
    assert outcome.became == "classified"
    assert outcome.peak_kib < 260_000  # 227,000; of them 165,000 without any picture
