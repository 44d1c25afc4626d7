"""What others do to a session's folder while it is recorded is seen and said; what is called kept is there."""

import errno
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journals import start, verdict

from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.events import SessionEnd
from leukolite.edge.journal.folder import RESERVE, is_recorded_now, locked
from leukolite.edge.journal.format import file_name, read, verify
from leukolite.edge.journal.open import create_journal, is_begun, resume_journal
from leukolite.edge.journal.records import EventRecord
from leukolite.edge.journal.sink import open_recording
from leukolite.edge.journal.writer import GroupCommit, Journal
from leukolite.errors import JournalError


def recorded(folder: Path, n: int = 20, **options: object) -> tuple[Journal, list[str]]:
    """A journal in hand with `n` verdicts on the disk, and what it says when it stops."""
    said: list[str] = []
    journal = create_journal(folder, start(), on_stop=said.append, **options)
    for i in range(n):
        journal.append(verdict(i))
    journal.sync()
    return journal, said


def swap(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    shutil.copytree(path.with_name("elsewhere"), path)


def replace(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


FILE = file_name(0)
CHANGES: dict[str, tuple[Callable[[Path], object], str, int]] = {
    "folder removed": (shutil.rmtree, f"{FILE} was removed", 0),
    "file removed": (lambda s: (s / FILE).unlink(), f"{FILE} was removed", 0),
    "file renamed": (lambda s: (s / FILE).rename(s / "mine"), f"{FILE} was renamed or moved", 0),
    "file replaced": (lambda s: replace(s / FILE), f"another file was put in the place of {FILE}", 21),
    "file emptied": (lambda s: os.truncate(s / FILE, 0), f"{FILE} was cut: ", 0),
    "file cut": (lambda s: os.truncate(s / FILE, (s / FILE).stat().st_size - 5), f"{FILE} was cut: ", 20),
    "file written": (lambda s: os.truncate(s / FILE, (s / FILE).stat().st_size + 5), f"{FILE} was written by another", 21),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_another_does_to_the_file_stops_recording_with_the_reason_and_what_is_left(tmp_path, change):
    do, reason, left = CHANGES[change]
    journal, said = recorded(tmp_path / "s")
    do(tmp_path / "s")
    journal.append(verdict(90))
    journal.sync()
    assert journal.stopped is not None
    assert journal.stopped.startswith(reason)
    assert journal.stopped.endswith(" while it was being recorded")
    assert len(said) == 1
    # a record that went into a file which had no name any more is none of those that are left
    assert journal.left in ((left,) if "cut" in reason or "written" in reason else (left, left + 1))
    assert f"{journal.left} of " in said[0]
    assert not journal.append(verdict(91))
    journal.close()
    assert len(said) == 1


@pytest.mark.parametrize("place", ["s/mine", FILE])
def test_records_in_a_file_that_was_renamed_are_said_to_lie_there(tmp_path, place):
    sink = open_recording(tmp_path / "s", start(), resume=False, on_stop=(said := []).append)
    sink._journal.append(*(verdict(i) for i in range(20)))
    sink._journal.sync()
    (tmp_path / "s" / FILE).rename(tmp_path / place)
    sink._journal.append(verdict(90))
    sink._journal.sync()
    n = (tmp_path / place).read_bytes().count(b"\n")
    where = f"; {n} lie in {tmp_path / place}"
    assert said[0].endswith(f"; 0 of {n} records are left in {tmp_path / 's'}{where}")
    with pytest.raises(JournalError):
        sink.close()
    assert sink.outcome == f"0 of {n} records are left, 1 more could not be kept{where}"


@pytest.mark.parametrize("change", ["folder removed", "file removed", "file emptied", "file cut", "file written"])
def test_nothing_is_said_to_lie_elsewhere_that_does_not(tmp_path, change):
    journal, said = recorded(tmp_path / "s")
    CHANGES[change][0](tmp_path / "s")
    journal.append(verdict(90))
    journal.sync()
    assert " lie in " not in said[0]


@pytest.mark.parametrize("change", ["file emptied", "file cut"])
def test_nothing_is_written_behind_what_was_cut_off_so_the_rest_goes_on(tmp_path, change):
    do, _, left = CHANGES[change]
    journal, _ = recorded(tmp_path / "s")
    do(tmp_path / "s")
    before = (tmp_path / "s" / FILE).read_bytes()
    journal.append(verdict(90))
    journal.append(verdict(91))
    journal.close()
    assert (tmp_path / "s" / FILE).read_bytes() == before
    if left:
        resumed, found = resume_journal(tmp_path / "s")
        resumed.close()
        assert found.records == left
    else:
        assert not is_begun(tmp_path / "s")


@pytest.mark.parametrize(
    ("move", "words"), [(lambda s: s.rename(s.with_name("elsewhere")), "renamed or moved"), (swap, "replaced")]
)
def test_a_folder_that_was_moved_keeps_its_records_and_is_said_to_lie_elsewhere(tmp_path, move, words):
    journal, said = recorded(tmp_path / "s")
    move(tmp_path / "s")
    journal.append(verdict(90))
    journal.sync()
    assert said[0].startswith(f"recording stopped: its folder was {words}")
    assert f"while it was being recorded; 23 records in {tmp_path / 'elsewhere'} are kept" in said[0]
    journal.close()
    last = list(read(tmp_path / "elsewhere"))[-1].record
    assert isinstance(last, EventRecord)
    assert last.event == "recording stopped"


@pytest.mark.parametrize("move", [lambda s: s.rename(s.with_name("elsewhere")), swap])
def test_a_folder_that_is_moved_after_the_last_sync_is_named_where_it_lies(tmp_path, move):
    sink = open_recording(tmp_path / "s", start(), resume=False)
    sink.take(SessionEnd("camera", Ending(EndedBy.SOURCE)))
    sink._journal.sync()
    move(tmp_path / "s")
    sink.close()
    assert sink.folder == tmp_path / "elsewhere"
    assert sink.outcome.startswith("2 records; the last is ")
    assert verify(sink.folder).ended


def test_an_earlier_file_that_is_gone_is_said_when_the_next_begins(tmp_path):
    journal, said = recorded(tmp_path / "s", 50, file_bytes=5_000)
    (tmp_path / "s" / file_name(1)).unlink()
    for i in range(20):
        journal.append(verdict(i))
    journal.close()
    assert said[0].startswith(f"recording stopped: {file_name(1)} was removed or renamed while it was being recorded; ")
    assert journal.left == (tmp_path / "s" / FILE).read_bytes().count(b"\n")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: os.truncate(path, 100)])
def test_an_earlier_file_that_is_gone_is_said_at_the_latest_at_the_end(tmp_path, change):
    sink = open_recording(tmp_path / "s", start(), resume=False, file_bytes=50_000)
    for i in range(150):
        sink._journal.append(verdict(i))
    change(tmp_path / "s" / file_name(0))
    sink.take(SessionEnd("camera", Ending(EndedBy.SOURCE)))
    with pytest.raises(JournalError, match=r"recording stopped: journal-000000.jsonl was (removed|changed)"):
        sink.close()
    assert sink.outcome.startswith(f"{sink._journal.left} of 152 records are left")
    assert sink.state.records < 152


def test_a_session_that_nobody_touches_is_never_called_disturbed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    journal, said = recorded(tmp_path / "link", 300, file_bytes=9_000)
    (tmp_path / "real" / "notes.txt").write_text("mine")
    journal.append(verdict(1))
    journal.close()
    assert said == []
    assert verify(tmp_path / "link").records == 302


# --- what is kept for certain


class Dying:
    """Stands for os.fsync: fails from call number `after` on."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, fd: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)


@pytest.mark.parametrize("n", [1, 14, 99])
def test_on_a_dead_disk_the_records_after_the_last_sync_are_those_that_may_be_lost(tmp_path, n):
    sync = Dying(10**9)
    journal, said = recorded(tmp_path / "s", 30, sync=sync)
    anchor = verify(tmp_path / "s").anchor
    sync.left = 0
    for i in range(n):
        journal.append(verdict(i))
    journal.close()
    assert said == [f"recording stopped: Input/output error; 31 records in {tmp_path / 's'} are kept, {n} more may be lost"]
    assert (journal.synced, journal.unsynced, journal.synced_anchor) == (31, n, anchor)


def test_a_dead_disk_is_an_error_of_the_sink_and_its_outcome_tells_what_is_certain(tmp_path):
    sync = Dying(1)
    sink = open_recording(tmp_path / "s", start(), resume=False, sync=sync)
    anchor = sink.anchor
    sync.left = 0
    sink.take(SessionEnd("camera", Ending(EndedBy.SOURCE)))
    with pytest.raises(JournalError, match="recording stopped: Input/output error; mend that, then resume the session"):
        sink.close()
    assert sink.outcome == f"1 record, 1 more may be lost; the last is {anchor}"
    assert sink.state.records == 1
    sink.close()


@pytest.mark.parametrize("name", ["unlink", "close", "fstat"])
def test_closing_never_raises_whatever_the_disk_says(tmp_path, monkeypatch, name):
    journal, _ = recorded(tmp_path / "s")
    held = journal._held.fd
    whole = getattr(os, name)

    def fail(what: object, *rest: object, **how: object) -> object:
        if what in (RESERVE, held, journal._fd) or isinstance(what, str):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(what, *rest, **how)

    monkeypatch.setattr(os, name, fail)
    journal.append(verdict(1))
    journal.close()
    monkeypatch.undo()
    assert journal.stopped is not None


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Every number that is free up to the limit is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (top, hard))
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_free_descriptor_records_are_kept_synced_and_closed_and_a_full_file_grows_on(tmp_path):
    journal, said = recorded(tmp_path / "s", 5, file_bytes=4_000)
    files = len(list((tmp_path / "s").glob("journal-*")))
    with no_descriptors():
        for i in range(40):
            assert journal.append(verdict(i))
        journal.sync()
        assert journal.unsynced == 0
    for i in range(20):
        assert journal.append(verdict(i))
    journal.close()
    assert said == []
    assert verify(tmp_path / "s").records == 66
    assert len(list((tmp_path / "s").glob("journal-*"))) > files  # with descriptors again, the next file begins


def test_a_thread_that_syncs_never_dies_in_silence(tmp_path):
    def broken(fd: int) -> None:
        raise ValueError("a bug")

    journal, said = recorded(tmp_path / "s")
    journal._sync_file = broken
    journal.append(verdict(0))
    commit = GroupCommit(journal)
    for _ in range(500):
        if journal.stopped is not None:
            break
        time.sleep(0.01)
    assert commit._thread.is_alive()
    commit.close()
    assert said == [f"recording stopped: ValueError: a bug; 21 records in {tmp_path / 's'} are kept, 1 more may be lost"]
    journal.close()


def test_who_cannot_be_told_of_a_stop_keeps_nobody_from_seeing_it(tmp_path):
    def fails(line: str) -> None:
        raise BrokenPipeError

    journal = create_journal(tmp_path / "s", start(), on_stop=fails)
    journal.stop("for a reason")
    journal.close()
    assert journal.stopped == "for a reason"


# --- two at once, and what a crash leaves


def test_of_many_who_begin_in_one_folder_at_once_one_records(tmp_path):
    for attempt in range(20):
        folder, outcomes, go = tmp_path / f"s{attempt}", [], threading.Barrier(4)

        def begin(folder: Path = folder, outcomes: list[object] = outcomes, go: threading.Barrier = go) -> None:
            go.wait()
            try:
                outcomes.append(create_journal(folder, start()))
            except JournalError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        journals = [one for one in outcomes if isinstance(one, Journal)]
        assert len(journals) == 1
        assert all("another process is recording this session" in one for one in outcomes if isinstance(one, str))
        journals[0].close()
        assert verify(folder).records == 1


def test_a_start_that_fails_takes_its_file_away_before_another_may_begin(tmp_path, monkeypatch):
    order: list[str] = []
    monkeypatch.setattr("leukolite.edge.journal.folder.SessionFolder.remove_file", lambda self, n: order.append("removed"))
    monkeypatch.setattr("leukolite.edge.journal.folder.SessionFolder.close", lambda self: order.append("unlocked"))
    with pytest.raises(JournalError, match="cannot begin"):
        create_journal(tmp_path / "s", start(), sync=Dying(0))
    assert order[:2] == ["removed", "unlocked"]


def test_record_looks_at_the_folder_once_it_is_locked(tmp_path):
    sink = open_recording(tmp_path / "s", start(), resume=None)
    with pytest.raises(JournalError, match="another process is recording"):
        open_recording(tmp_path / "s", start(), resume=None)
    sink.take(SessionEnd("camera", Ending(EndedBy.SOURCE)))
    sink.close()
    again = open_recording(tmp_path / "s", start(), resume=None)
    assert (sink.resumed, again.resumed) == (False, True)
    again.close()


def test_a_folder_that_is_removed_while_it_is_waited_for_is_not_recorded_into(tmp_path, monkeypatch):
    import fcntl

    whole, calls = fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        whole(fd, how)
        if not calls:
            calls.append(fd)
            (tmp_path / "s").rmdir()

    monkeypatch.setattr(fcntl, "flock", flock)
    journal = create_journal(tmp_path / "s", start())
    journal.append(verdict(0))
    journal.close()
    assert verify(tmp_path / "s").records == 2


@pytest.mark.parametrize("left", [RESERVE, "salt", ".salt.0123456789abcdef", "salt.broken-01234567", "torn-after-000000000.bin"])
def test_what_a_crash_left_refuses_no_session(tmp_path, left):
    (tmp_path / left).write_bytes(b"")
    create_journal(tmp_path, start()).close()
    assert verify(tmp_path).records == 1


def test_a_folder_is_known_to_be_recorded_in_while_it_is(tmp_path):
    journal, _ = recorded(tmp_path / "s")
    assert is_recorded_now(tmp_path / "s")
    journal.close()
    assert not is_recorded_now(tmp_path / "s")
    assert not is_recorded_now(tmp_path / "nowhere")
    with locked(tmp_path / "s") as held:
        held.close()


def test_a_pipe_in_the_place_of_a_journal_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / file_name(0))
    with pytest.raises(JournalError, match=r"journal-000000\.jsonl: .*not a file"):
        verify(tmp_path)
    with pytest.raises(JournalError):
        create_journal(tmp_path, start())
