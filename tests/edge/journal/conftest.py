"""A recorded session for the commands' tests."""

from pathlib import Path

import pytest
from journals import frame, left_out, start, verdict

from leukolite.edge.journal.open import create_journal
from leukolite.edge.journal.records import EventRecord


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A closed session of two slides."""
    journal = create_journal(tmp_path / "session", start(), file_bytes=3_000)
    journal.append(frame(0, verdicts=2), verdict(0), left_out(0, "too small"))
    journal.append(EventRecord(event="new slide", slide="fedcba9876543210"))
    journal.append(frame(1, verdicts=1, source='a,"b".png', truth="healthy"), verdict(1, "abstain", 0.5))
    journal.append(frame(2, verdicts=0, excluded="blurred (focus 3)"))
    journal.append(EventRecord(event="end"))
    journal.close()
    return tmp_path / "session"
