"""The journal: what was written stays whole, whatever happens, and no byte of it changes unseen."""

import errno
import hashlib
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import frame, left_out, start, verdict, write_sealed

from leukolite.classes import Classes
from leukolite.cli import main as leukolite
from leukolite.edge.journal.format import GENESIS, GROUP_RECORDS, Entry, file_name, journal_files, read, read_frames, seal, verify
from leukolite.edge.journal.records import EventRecord, Record, printable
from leukolite.edge.journal.sink import check_resumable
from leukolite.edge.journal.writer import GROUP_SECONDS, GroupCommit, create_journal, is_begun, resume_journal
from leukolite.errors import JournalError
from leukolite.runtime import RuntimeOptions
from leukolite.wording import shown

SECOND = 1_000_000_000


class Clocks:
    """A monotonic and a wall clock that tests set."""

    def __init__(self) -> None:
        self.up_ns, self.wall_s = 5 * SECOND, 1_700_000_000.0

    def pass_seconds(self, seconds: float) -> None:
        self.up_ns += round(seconds * SECOND)
        self.wall_s += seconds

    def options(self) -> dict[str, object]:
        return {"clock": lambda: self.up_ns, "wall": lambda: self.wall_s}


def record(folder: Path, n: int, **options: object) -> Path:
    """A closed session of `n` verdicts after its start record, before its end."""
    journal = create_journal(folder, start(), **options)
    for i in range(n):
        journal.append(verdict(i))
    journal.append(EventRecord(event="end"))
    journal.close()
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(JournalError) as caught:
        verify(folder)
    return str(caught.value)


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in journal_files(folder) for line in path.read_bytes().splitlines(keepends=True)]


# --- what is written can be read


def test_what_was_appended_is_read_back_in_order(tmp_path):
    said: list[Record] = [frame(0, verdicts=2), verdict(0), left_out(0), EventRecord(event="paused", detail="by the user")]
    journal = create_journal(tmp_path / "s", start())
    for item in said:
        assert journal.append(item)
    journal.close()
    entries = list(read(tmp_path / "s"))
    assert [entry.record for entry in entries] == [start(), *said]
    assert [entry.seq for entry in entries] == list(range(5))


@given(probability=st.floats(0, 1), text=st.text(min_size=1, max_size=50), age=st.floats(-1e9, 1e9))
def test_any_number_and_text_survives_sealing(probability, text, age):
    wanted = frame(source=printable(text), age_ms=age)
    line, sha256 = seal(wanted, 0, GENESIS, 1.7e9, 0.0)
    entry = Entry.model_validate_json(line)
    assert (entry.record, entry.sha256) == (wanted, sha256)
    said = verdict(probability=probability)
    assert Entry.model_validate_json(seal(said, 0, GENESIS, 1.7e9, 0.0)[0]).record == said


def test_a_journal_on_a_terminal_is_shown_and_not_obeyed(tmp_path):
    classes = Classes.of(("bl\u2066ast", "healthy"), ("bl\u2066ast",))
    said = start(bundle="a\u202eb\x9b31m\u2028\u200f\u00b5\U000e0001", classes=classes)
    create_journal(tmp_path / "s", said).close()
    text = (tmp_path / "s" / "journal-000000.jsonl").read_text()
    assert shown(text.removesuffix("\n")) == text.removesuffix("\n")
    assert r"a\u202eb\u009b31m" in text
    assert "\u00b5" in text
    assert verify(tmp_path / "s").start == said


def test_a_journal_of_before_with_such_characters_is_read_as_it_is(tmp_path):
    said = start(bundle="a\u202eb\x9b31m")
    body = f'{{"seq":0,"at":"2026-11-21T05:05:42Z","up_ms":1.5,"prev":"{GENESIS}","record":{said.model_dump_json()}'.encode()
    (tmp_path / "s").mkdir()
    line = body + f',"sha256":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    (tmp_path / "s" / "journal-000000.jsonl").write_bytes(line)
    journal, found = resume_journal(tmp_path / "s")
    journal.close()
    assert found.start == said
    assert verify(tmp_path / "s").records == 2


def test_odd_bytes_of_a_file_name_are_kept_readable():
    assert printable(os.fsdecode(b"a\xff\n.png")) == "a\\udcff\\n.png"


def test_each_line_names_the_hash_of_the_one_before(tmp_path):
    entries = list(read(record(tmp_path / "s", 5)))
    assert [entry.prev for entry in entries] == [GENESIS, *(entry.sha256 for entry in entries[:-1])]
    assert verify(tmp_path / "s").anchor == entries[-1].sha256


def test_a_file_that_would_grow_too_long_is_followed_by_another_and_the_chain_goes_on(tmp_path):
    record(tmp_path / "s", 200, file_bytes=20_000)
    files = journal_files(tmp_path / "s")
    assert len(files) > 3
    assert all(path.stat().st_size <= 20_000 for path in files)
    found = verify(tmp_path / "s")
    assert (found.records, found.files, found.ended) == (202, len(files), True)


# --- nothing changes unseen


def test_a_changed_byte_is_found_and_its_file_and_line_are_named(tmp_path):
    record(tmp_path / "s", 60, file_bytes=8_000)
    pick = random.Random(1)
    for _ in range(40):
        path = pick.choice(journal_files(tmp_path / "s"))
        whole = path.read_bytes()
        place = pick.randrange(len(whole) - 1)
        line = whole[:place].count(b"\n") + 1
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << pick.randrange(7)]) + whole[place + 1 :])
        assert refusal(tmp_path / "s").startswith(f"{path}: line {line}: ")
        path.write_bytes(whole)
    assert verify(tmp_path / "s").records == 62


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: lines[:3] + lines[4:], id="one taken out"),
        pytest.param(lambda lines: [*lines[:3], lines[2], *lines[3:]], id="one repeated"),
        pytest.param(lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], id="two exchanged"),
        pytest.param(lambda lines: lines[1:], id="the first taken out"),
        pytest.param(lambda lines: [*lines, lines[-2]], id="one added after the end"),
    ],
)
def test_records_cannot_be_taken_out_put_in_or_moved(tmp_path, change):
    path = record(tmp_path / "s", 10) / file_name(0)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    assert "records were taken out, put in or moved" in refusal(tmp_path / "s")


def test_a_forged_record_after_the_end_is_refused_even_with_a_right_hash(tmp_path):
    found = verify(record(tmp_path / "s", 3))
    line, _ = seal(verdict(9), found.records, found.anchor, 1.7e9, 1.0)
    with (tmp_path / "s" / file_name(0)).open("ab") as file:
        file.write(line)
    assert "follows the session's end" in refusal(tmp_path / "s")


def test_a_missing_file_is_named(tmp_path):
    record(tmp_path / "s", 100, file_bytes=8_000)
    (tmp_path / "s" / file_name(2)).unlink()
    assert f"expected {file_name(2)}, found {file_name(3)}" in refusal(tmp_path / "s")


def test_records_cut_off_at_the_end_show_in_the_last_hash(tmp_path):
    path = record(tmp_path / "s", 10) / file_name(0)
    noted = verify(tmp_path / "s").anchor
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-4]))
    found = verify(tmp_path / "s")
    assert (found.ended, found.anchor == noted) == (False, False)


def test_no_session_and_no_journal_are_told_apart(tmp_path):
    assert "no such session" in refusal(tmp_path / "nowhere")
    assert "no journal here" in refusal(tmp_path)


# --- groups


def test_a_journal_of_a_newer_schema_asks_for_a_newer_leukolite(tmp_path):
    newer = start().model_dump(mode="json") | {"schema_version": 99, "lens": "oil"}
    write_sealed(tmp_path / "s", [newer])
    said = refusal(tmp_path / "s")
    assert "line 1: of schema 99; leukolite " in said
    assert said.endswith("reads schemas 1 to 2: update leukolite")


def test_at_most_a_group_is_ever_unsynced(tmp_path):
    on_disk: list[int] = []
    journal = create_journal(tmp_path / "s", start(), sync=lambda fd: on_disk.append(os.fstat(fd).st_size), **Clocks().options())
    for size in (1, 60, 60, 99, 100, 3, 250, 1, 0):
        journal.append(*(verdict(i) for i in range(size)))
        assert journal.unsynced <= GROUP_RECORDS
        lines = (tmp_path / "s" / file_name(0)).read_bytes()
        assert lines[on_disk[-1] :].count(b"\n") == journal.unsynced
    journal.close()


def test_a_record_older_than_a_second_is_synced_with_the_next(tmp_path):
    clocks = Clocks()
    journal = create_journal(tmp_path / "s", start(), **clocks.options())
    journal.append(verdict(0))
    clocks.pass_seconds(GROUP_SECONDS * 0.9)
    journal.append(verdict(1))
    assert journal.unsynced == 2
    clocks.pass_seconds(GROUP_SECONDS * 0.2)
    journal.append(verdict(2))
    assert journal.unsynced == 0
    journal.close()


def test_an_idle_session_is_synced_within_the_groups_time(tmp_path):
    journal = create_journal(tmp_path / "s", start())
    commit = GroupCommit(journal)
    journal.append(verdict(0))
    waited = 0.0
    while journal.unsynced and waited < 10:
        time.sleep(0.02)
        waited += 0.02
    commit.close()
    journal.close()
    assert journal.unsynced == 0


def test_after_a_power_cut_no_more_than_a_group_is_lost_and_resuming_says_what_was_cut(tmp_path):
    """The disk is cut at every byte after the last fsync."""
    on_disk = [0]
    journal = create_journal(tmp_path / "s", start(), sync=lambda fd: on_disk.append(os.fstat(fd).st_size), **Clocks().options())
    for i in range(150):
        journal.append(verdict(i))
    whole = (tmp_path / "s" / file_name(0)).read_bytes()
    pick = random.Random(2)
    for length in [on_disk[-1], len(whole) - 1, *(pick.randrange(on_disk[-1], len(whole)) for _ in range(30))]:
        cut = tmp_path / f"cut-{length}"
        shutil.rmtree(cut, ignore_errors=True)
        cut.mkdir()
        (cut / file_name(0)).write_bytes(whole[:length])
        kept = whole[:length].count(b"\n")
        resumed, found = resume_journal(cut)
        assert found.records == kept >= journal.records - GROUP_RECORDS
        resumed.append(verdict(999))
        resumed.close()
        torn = whole[:length].rpartition(b"\n")[2]
        assert [path.read_bytes() for path in cut.glob("torn-*")] == ([torn] if torn else [])
        assert lines_of(cut)[:kept] == whole.splitlines(keepends=True)[:kept]
        assert verify(cut).records == kept + 2
    journal.close()


def test_zeros_that_a_file_system_leaves_after_a_power_cut_are_torn_too(tmp_path):
    path = record(tmp_path / "s", 20) / file_name(0)
    lines = path.read_bytes().splitlines(keepends=True)
    hole = b"".join(lines[:15]) + bytes(len(lines[15])) + b"".join(lines[16:])
    path.write_bytes(hole)
    journal, found = resume_journal(tmp_path / "s")
    journal.close()
    assert (found.records, found.torn is not None) == (15, True)
    assert verify(tmp_path / "s").records == 16


def test_zeros_before_what_was_certainly_synced_are_damage_and_nothing_is_cut(tmp_path):
    path = record(tmp_path / "s", 3 * GROUP_RECORDS) / file_name(0)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join(lines[:15]) + bytes(len(lines[15])) + b"".join(lines[15:])
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="line 16: record 15 is not what was written"):
        resume_journal(tmp_path / "s")
    assert path.read_bytes() == damaged


def record_until_killed(folder: Path, pipe: int) -> None:
    """In the child: go on with the session for ever, and tell of each record that was appended."""
    journal, _ = resume_journal(folder, file_bytes=50_000)
    GroupCommit(journal)
    pick = random.Random(os.getpid())
    while True:
        journal.append(*(verdict(i) for i in range(pick.choice((1, 1, 5, 40, 150)))))
        os.write(pipe, journal.records.to_bytes(8, "little"))


def test_kill_9_at_20_random_moments_loses_no_record_that_was_appended(tmp_path):
    folder, pick = tmp_path / "s", random.Random(3)
    create_journal(folder, start()).close()
    before = lines_of(folder)
    for _ in range(20):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                record_until_killed(folder, writer)
            finally:
                os._exit(1)
        os.close(writer)
        counts = os.read(reader, 8)  # the child is at work
        time.sleep(pick.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with os.fdopen(reader, "rb") as rest:
            counts += rest.read()
        acknowledged = int.from_bytes(counts[len(counts) // 8 * 8 - 8 :][:8], "little")
        found = verify(folder)
        assert found.records >= acknowledged > len(before)
        after = lines_of(folder)
        assert after[: len(before)] == before
        before = after[: found.records]
    journal, _ = resume_journal(folder)
    journal.append(EventRecord(event="end"))
    journal.close()
    assert verify(folder).ended
    resumptions = sum(isinstance(entry.record, EventRecord) and entry.record.event == "resumed" for entry in read(folder))
    assert resumptions == 21


# --- full and failing disks


class FailingWrite:
    """Stands for os.write: after `room` bytes, half of what is left fits, then the disk is full."""

    def __init__(self, room: int, code: int = errno.ENOSPC) -> None:
        self._room, self._code, self._write = room, code, os.write

    def __call__(self, fd: int, data: memoryview) -> int:
        if self._room <= 0:
            raise OSError(self._code, os.strerror(self._code))
        written = self._write(fd, data[: self._room])
        self._room -= written
        return written


def test_a_full_disk_stops_recording_and_keeps_what_was_written(tmp_path, monkeypatch):
    reasons: list[str] = []
    journal = create_journal(tmp_path / "s", start(), on_stop=reasons.append)
    monkeypatch.setattr(os, "write", FailingWrite(5_000))
    results = [journal.append(verdict(i)) for i in range(30)]
    monkeypatch.undo()
    kept = results.count(True)
    assert 0 < kept < 30
    assert results == [True] * kept + [False] * (30 - kept)
    assert (journal.stopped, journal.unrecorded, journal.unsynced) == ("disk full", 30 - kept, 0)
    assert reasons == [f"recording stopped: disk full; {kept + 1} records in {tmp_path / 's'} are kept"]
    journal.close()
    found = verify(tmp_path / "s")
    assert (found.records, found.torn) == (kept + 1, None)


def test_a_failed_fsync_stops_recording_since_nothing_is_certain_then(tmp_path):
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal, reasons = create_journal(tmp_path / "s", start()), []
    journal._sync_file, journal._on_stop = fail, reasons.append
    journal.append(verdict(0))
    journal.sync()
    assert journal.stopped == "Input/output error; the last 1 record may be lost"
    assert not journal.append(verdict(1))
    assert len(reasons) == 1
    journal.close()


def test_a_session_that_cannot_begin_says_so_and_leaves_the_place_free(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", FailingWrite(10))
    with pytest.raises(JournalError, match="cannot begin"):
        create_journal(tmp_path / "s", start())
    monkeypatch.undo()
    create_journal(tmp_path / "s", start()).close()


def test_on_a_really_full_disk_the_last_record_says_so_and_the_session_goes_on_once_there_is_room(small_disk):
    (small_disk / "other").write_bytes(bytes(40_000))
    journal = create_journal(small_disk / "s", start(), file_bytes=30_000)
    while journal.append(verdict(0), verdict(1)):
        pass
    journal.append(verdict(2))
    assert (journal.stopped, journal.unrecorded) == ("disk full", 3)
    journal.close()
    last = list(read(small_disk / "s"))[-1].record
    assert last == EventRecord(event="recording stopped", detail="disk full")
    (small_disk / "other").unlink()
    before = verify(small_disk / "s").records
    again, _ = resume_journal(small_disk / "s", file_bytes=30_000)
    assert again.append(verdict(3))
    again.close()
    assert verify(small_disk / "s").records == before + 2


# --- clocks, locks, resuming


def test_a_clock_that_jumps_is_recorded_and_the_order_and_the_monotonic_time_stay(tmp_path):
    clocks = Clocks()
    journal = create_journal(tmp_path / "s", start(), **clocks.options())
    for jump in (0.0, -86_400.0, 0.5, 3_600.0):
        clocks.pass_seconds(1.0)
        clocks.wall_s += jump
        journal.append(verdict(0))
    journal.close()
    entries = list(read(tmp_path / "s"))
    jumps = [entry.record.detail for entry in entries if isinstance(entry.record, EventRecord)]
    assert jumps == ["by -86400.000 s", "by +3600.500 s"]
    up = [entry.up_ms for entry in entries]
    assert up == sorted(up)
    assert up[-1] == 4000.0


def test_two_processes_cannot_record_one_session(tmp_path):
    journal = create_journal(tmp_path / "s", start())
    with pytest.raises(JournalError, match="another process is recording this session"):
        resume_journal(tmp_path / "s")
    journal.close()
    resume_journal(tmp_path / "s")[0].close()


def test_a_new_session_is_not_written_into_a_folder_that_holds_anything(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(JournalError, match="not empty"):
        create_journal(tmp_path, start())
    with pytest.raises(JournalError, match="is a file"):
        create_journal(tmp_path / "holiday.jpg", start())


def test_a_resumed_session_says_so_and_goes_on_counting(tmp_path):
    record(tmp_path / "s", 3)
    journal, found = resume_journal(tmp_path / "s", "numpy 1 -> 2")
    journal.append(verdict(4))
    journal.close()
    assert (found.records, found.ended) == (5, True)
    entries = list(read(tmp_path / "s"))
    assert [entry.record for entry in entries[5:]] == [EventRecord(event="resumed", detail="numpy 1 -> 2"), verdict(4)]
    assert entries[-1].seq == 6


def test_a_damaged_record_is_not_gone_on_with_and_the_line_says_what_to_do(tmp_path):
    file = record(tmp_path / "s", 3) / "journal-000000.jsonl"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"source"', b'"sourcE"', 1))
    for attempt in (resume_journal, is_begun):
        with pytest.raises(JournalError, match=r"line 1: .*; keep this folder as it is, and record into a new one"):
            attempt(tmp_path / "s")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_sha256": "d" * 64}, "model sha256 bbbbbbbbbbbb of .*, not model sha256 dddddddddddd of "),
        ({"sigmas": (0.0, 5.0)}, "sigmas"),
        ({"settings": {"cell diameter": "40"}}, "settings"),
        ({"runtime": RuntimeOptions(name="edgetpu", threads=1)}, "runtime litert, not runtime edgetpu"),
    ],
)
def test_a_session_is_resumed_only_as_it_began(tmp_path, changes, named):
    check_resumable(tmp_path, start(), start(runtime=RuntimeOptions(name="litert", threads=2), versions={"leukolite": "9"}))
    with pytest.raises(JournalError, match=named):
        check_resumable(tmp_path, start(), start(**changes))


def test_a_frame_whose_verdicts_a_crash_cut_off_is_left_out(tmp_path):
    journal = create_journal(tmp_path / "s", start())
    for item in (frame(0, verdicts=2), verdict(0), verdict(0), frame(1, verdicts=2), verdict(1)):
        journal.append(item)
    journal.close()
    for item in (frame(2, verdicts=0, excluded="blurred"), frame(3, verdicts=1), verdict(3)):
        again, _ = resume_journal(tmp_path / "s")
        again.append(item)
        again.close()
    assert [(found.index, len(said)) for found, said in read_frames(read(tmp_path / "s"))] == [(0, 2), (2, 0), (3, 1)]


def test_several_threads_may_append(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    journal = create_journal(tmp_path / "s", start(), file_bytes=20_000)
    commit = GroupCommit(journal)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: journal.append(verdict(i), verdict(i)), range(200)))
    commit.close()
    journal.close()
    assert all(results)
    assert verify(tmp_path / "s").records == 401


# --- the command


def test_verify_counts_and_gives_the_last_hash(call: Callable, session):
    result = call(leukolite, "journal", "verify", session)
    assert result.exit_code == 0, result.output
    assert f"9 records in {len(journal_files(session))} files, each checked" in result.stdout
    assert result.stdout.splitlines()[-1] == f"last record {verify(session).anchor}"
    assert "not closed" not in result.stdout


def test_verify_names_the_first_bad_record_in_one_line(refuses: Callable, session):
    path = session / file_name(0)
    path.write_bytes(path.read_bytes().replace(b'"label":"blast"', b'"label":"blase"', 1))
    line = refuses(leukolite, "journal", "verify", session)
    assert f"{path}: line 3: record 2 is not what was written" in line


def test_verify_reports_a_torn_end_and_of_a_session_that_was_not_closed(call: Callable, session):
    path = journal_files(session)[-1]
    path.write_bytes(path.read_bytes()[:-10])
    result = call(leukolite, "journal", "verify", session)
    assert result.exit_code == 0
    assert "8 records" in result.stdout
    assert "torn end" in result.stdout
    assert "not closed" in result.stdout


@pytest.mark.parametrize("arguments", [["verify"], ["export", "x"], ["nothing"], ["summary", "x"], ["verify", "x", "--deep"]])
def test_a_wrong_call_is_one_line_and_code_2(refuses: Callable, arguments):
    assert "Try 'main journal" in refuses(leukolite, "journal", *arguments, code=2)


def test_every_subcommand_has_help_and_an_example(call: Callable):
    for name in ("verify", "export", "summary", "replay"):
        result = call(leukolite, "journal", name, "--help")
        assert result.exit_code == 0
        assert "Example:" in result.stdout
    assert isinstance(leukolite, click.Group)
