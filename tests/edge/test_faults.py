"""What goes wrong beside a microscope, tried on the command itself: processes of `edge-run` that record a session.

After each fault the journal must verify, and every verdict in it must be the one that the very same picture gets in a session
that nothing disturbed. docs/evidence/recording.md has the table of all faults.
"""

import contextlib
import http.client
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from live_pages import PageAddress
from PIL import Image

from leukolite.cli import main as leukolite
from leukolite.edge.ending import EndedBy
from leukolite.edge.journal.format import file_name, journal_files, read, read_frames, verify
from leukolite.edge.journal.records import EventRecord, FrameRecord, GapRecord, Record, VerdictRecord
from leukolite.errors import JournalError
from leukolite.synthetic import LABELS, render_cell

EDGE_RUN = "from leukolite.edge.cli import main; main()"
NEW = ("--bundle", "synthetic-cells", "--every-frame")
HELPERS = Path(__file__).parent.parent / "helpers"
PICTURES = 8

ImageVerdict = tuple[object, ...]
Begin = Callable[..., "subprocess.Popen[str]"]


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[list[str], list[str]]:
    """The lines of stdout and stderr that nobody has read yet, once it has ended by itself."""
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return said.splitlines(), errors.splitlines()


def records(folder: Path) -> list[Record]:
    """What is recorded by now; empty before a session has begun."""
    return [entry.record for entry in read(folder)] if (folder / file_name(0)).is_file() else []


def frames(folder: Path) -> int:
    return sum(isinstance(record, FrameRecord) for record in records(folder))


def events(folder: Path) -> list[str]:
    return [record.event for record in records(folder) if isinstance(record, EventRecord)]


def gaps(folder: Path) -> list[str]:
    return [record.reason for record in records(folder) if isinstance(record, GapRecord)]


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(JournalError):  # a line that is just being written
            if happened():
                return
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.03)


def verdicts_of(verdicts: Sequence[VerdictRecord]) -> list[ImageVerdict]:
    return [(said.box, said.sigma, said.label, said.probabilities, said.excluded) for said in verdicts]


@pytest.fixture(scope="module")
def begin() -> Iterator[Begin]:
    """Starts processes of `edge-run`, or of other Python code, that find modules in the folders `path` first."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: object, code: str = EDGE_RUN, path: Sequence[Path] = ()) -> subprocess.Popen[str]:
        places = os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")])
        command, environment = [sys.executable, "-u", "-c", code, *map(str, options)], os.environ | {"PYTHONPATH": places}
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def said_of_each_picture(folder: Path) -> dict[str | None, list[ImageVerdict]]:
    return {frame.pixels_sha256: verdicts_of(verdicts) for frame, verdicts in read_frames(read(folder))}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JPEG files, one cell in each."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(PICTURES):
        pixels = render_cell(np.random.default_rng([17, i]), LABELS[i % 2], size=256)
        Image.fromarray(pixels).save(folder / f"{i:02}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def undisturbed(begin: Begin, tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> dict[str | None, list[ImageVerdict]]:
    """The verdicts on each picture that these tests show, by the picture's SHA-256."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(begin(*NEW, "--source", pictures, "--journal", folder / "pictures", "--quiet"))
    finish(begin(*NEW, "--camera", "synthetic", "--frames", 400, "--journal", folder / "camera", "--quiet"))
    return said_of_each_picture(folder / "pictures") | said_of_each_picture(folder / "camera")


@pytest.fixture
def checked(undisturbed: dict[str | None, list[ImageVerdict]]) -> Callable[..., int]:
    def check(folder: Path, *, ended: bool = True) -> int:
        """How many frames a journal holds that verifies and has no verdict but the right one."""
        assert verify(folder).ended == ended
        found = list(read_frames(read(folder)))
        for frame, verdicts in found:
            assert frame.excluded is None
            assert verdicts_of(verdicts) == undisturbed[frame.pixels_sha256]
        return len(found)

    return check


# killed


@pytest.mark.long
def test_kill_9_at_20_random_moments_loses_nothing_that_was_said(begin, tmp_path, checked, call):
    folder, pick, held = tmp_path / "session", random.Random(5), 0
    for attempt in range(20):
        how = ("--resume", folder) if attempt else (*NEW, "--camera", "synthetic:50", "--journal", folder)
        process = begin(*how, "--keep-frames")
        if attempt % 4 == 3:  # on its way up
            time.sleep(pick.uniform(0.2, 0.7))
        else:
            process.stdout.readline()  # the session has begun
            time.sleep(pick.uniform(0, 0.25))
        process.kill()
        shown, errors = process.stdout.read(), process.stderr.read()  # communicate() forgets what readline() has read ahead
        assert (process.wait(), errors) == (-9, "")
        said = len(re.findall(r"^ *\d+ synthetic ", shown, re.MULTILINE))
        before, held = held, checked(folder, ended=False)
        assert said <= held - before  # what is said was written before
    finish(begin("--resume", folder, "--frames", 3, "--keep-frames", "--quiet"))
    assert checked(folder) == held + 3
    assert events(folder).count("resumed") >= 15
    assert "each checked" in call(leukolite, "journal", "verify", folder).stdout
    said = call(leukolite, "journal", "replay", folder).stdout.splitlines()
    assert said[-1].endswith(f"{held + 3} frames classified again, {held + 3} verdicts compared, 0 differ")


def test_a_service_that_is_killed_again_and_again_goes_on_with_one_command(begin, tmp_path, checked):
    folder, pick = tmp_path / "session", random.Random(7)
    command = (*NEW, "--camera", "synthetic:50", "--record", folder, "--quiet")
    for _ in range(8):
        process = begin(*command)
        time.sleep(pick.uniform(0.2, 2.5))
        process.kill()
        process.communicate()
    finish(begin(*command, "--frames", 3))
    assert checked(folder) >= 3


@pytest.mark.parametrize("camera", ["synthetic", "synthetic:50"])
def test_sigterm_ends_the_journal_properly(begin, tmp_path, checked, camera):
    folder = tmp_path / "session"
    process = begin(*NEW, "--camera", camera, "--journal", folder, "--quiet")
    wait_until(lambda: frames(folder) > 3, process)
    process.terminate()
    said, errors = finish(process)
    assert errors == ["stopped by SIGTERM"]
    assert checked(folder) > 3
    assert records(folder)[-1] == EventRecord(event="end", by=EndedBy.SIGTERM)
    assert said[-1].endswith(f"{verify(folder).records} records; the last is {verify(folder).anchor}")


# a full disk


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    other = disk / "other"
    other.write_bytes(bytes(shutil.disk_usage(disk).free - left))
    return other


@pytest.mark.parametrize("kept", [(), ("--keep-frames",)], ids=["records", "pictures"])
def test_a_full_disk_ends_the_session_and_it_goes_on_once_there_is_room(begin, small_disk, checked, kept):
    folder, other = small_disk / "session", fill(small_disk, 150_000)
    _, errors = finish(begin(*NEW, "--camera", "synthetic", "--journal", folder, "--quiet", *kept), code=1)
    why = "a frame cannot be kept (disk full)" if kept else "disk full"
    n = verify(folder).records
    assert errors == [
        f"recording stopped: {why}; {n} records in {folder} are kept",
        f"Error: {folder}: recording stopped: {why}; make room and resume the session",
    ]
    held = checked(folder, ended=False)
    assert held > 0
    assert records(folder)[-1] == EventRecord(event="recording stopped", detail=why)
    before = b"".join(path.read_bytes() for path in journal_files(folder))

    _, errors = finish(begin("--resume", folder, "--frames", 1, "--quiet", *kept), code=1)  # nobody has made room
    *stopped, refused = errors
    assert "disk full" in refused
    assert all(line.startswith(f"recording stopped: {why}; ") for line in stopped)
    assert len(stopped) in ((1,) if kept else (0, 1)), "the last block may still have room for the record 'resumed'"

    other.unlink()
    finish(begin("--resume", folder, "--frames", 1, "--quiet", *kept))
    assert checked(folder) == held + 1
    assert b"".join(path.read_bytes() for path in journal_files(folder)).startswith(before)
    indices = [record.index for record in records(folder) if isinstance(record, FrameRecord)]
    assert indices == list(range(held + 1))  # the frame that could not be recorded came again


def test_with_keep_running_a_full_disk_stops_the_recording_alone(begin, small_disk, checked):
    pytest.importorskip("uvicorn")
    folder, other = small_disk / "session", fill(small_disk, 110_000)
    options = ("--camera", "synthetic:50", "--journal", folder, "--keep-running", "--serve", "0", "--quiet")
    process = begin(*NEW, *options)
    page = PageAddress.of(process.stderr.readline())
    viewer = page.connect()
    wait_until(lambda: page.look(viewer)["recording"]["stopped"] is not None, process)
    then = page.look(viewer)["slide"]["frames"]
    wait_until(lambda: page.look(viewer)["slide"]["frames"] >= then + 5, process)  # it goes on
    seen = page.look(viewer)
    assert seen["state"] == "running"
    assert seen["recording"]["stopped"] == "disk full"
    assert seen["recording"]["unrecorded"] >= 5
    viewer.close()
    process.terminate()
    said, errors = finish(process)
    found = verify(folder)
    assert errors == [f"recording stopped: disk full; {found.records} records in {folder} are kept", "stopped by SIGTERM"]
    assert re.search(rf": {found.records} records, \d+ more could not be kept; the last is {found.anchor}$", said[-1])
    assert records(folder)[-1] == EventRecord(event="recording stopped", detail="disk full")
    held = checked(folder, ended=False)

    other.unlink()
    finish(begin("--resume", folder, "--frames", 2, "--quiet"))
    assert checked(folder) == held + 2


# cameras and pictures


# gives the pictures over and over, and after the last of them half a one
SERVER = """
import sys
from pathlib import Path
from fakes import StreamServer
parts = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
server = StreamServer([*parts, parts[0][:999]] * 1000, 0.02, int(sys.argv[2]))
print(server.url, flush=True)
server.serve_forever()
"""


def test_a_stream_server_that_is_killed_and_comes_back_is_a_gap_and_no_verdict(begin, tmp_path, pictures, checked):
    folder = tmp_path / "session"
    server = begin(pictures, 0, code=SERVER, path=[HELPERS])
    url = server.stdout.readline().strip()
    process = begin(*NEW, "--camera", url, "--cells", "one", "--journal", folder, "--quiet")
    wait_until(lambda: frames(folder) > 10, process)
    server.kill()
    wait_until(lambda: any("signal lost" in reason for reason in gaps(folder)), process)
    before = frames(folder)
    begin(pictures, urlsplit(url).port, code=SERVER, path=[HELPERS])
    wait_until(lambda: frames(folder) > before + 10, process)
    process.terminate()
    finish(process)
    assert checked(folder) > 20
    assert any("truncated" in reason for reason in gaps(folder))
    kinds = [record.kind for record in records(folder)]
    lost = next(i for i, record in enumerate(records(folder)) if "signal lost" in getattr(record, "reason", ""))
    back = kinds.index("frame", lost)
    assert "reopening, attempt 1" in records(folder)[lost + 1].detail
    assert "verdict" not in kinds[lost:back]


UNPLUGGED = """
import time
import numpy as np
from pathlib import Path
from PIL import Image
from fake_picamera2 import FakePicamera2

PICTURES = [np.asarray(Image.open(path)) for path in sorted(Path({folder!r}).iterdir())]

class Picamera2(FakePicamera2):
    breaks_after = len(PICTURES)
    breaks_with = RuntimeError("the camera has been unplugged")

    def scene(self, width, height):
        time.sleep(0.03)
        return PICTURES[self.released]
"""


def test_a_camera_that_is_unplugged_and_comes_back_is_a_gap_and_no_verdict(begin, tmp_path, pictures, checked):
    (tmp_path / "picamera2.py").write_text(UNPLUGGED.format(folder=str(pictures)))
    folder, path = tmp_path / "session", (tmp_path, HELPERS)
    options = ("--camera", "picamera2", "--camera-size", "256x256", "--cells", "one", "--frames", PICTURES + 1, "--quiet")
    finish(begin(*NEW, *options, "--journal", folder, path=path))
    assert checked(folder) == PICTURES + 1
    assert "signal lost: the camera is lost (the camera has been unplugged)" in gaps(folder)[0]
    indices = [record.index for record in records(folder) if isinstance(record, FrameRecord)]
    assert indices == sorted(set(indices))


def test_damaged_pictures_among_good_ones_are_gaps_and_change_no_other_verdict(begin, tmp_path, pictures, checked, call):
    source, folder = tmp_path / "pictures", tmp_path / "session"
    shutil.copytree(pictures, source)
    whole = (pictures / "01.jpg").read_bytes()
    (source / "01-cut.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "02-empty.png").write_bytes(b"")
    (source / "05-text.tif").write_bytes(b"not a picture")
    _, errors = finish(begin(*NEW, "--source", source, "--journal", folder, "--quiet"))
    assert sum("skipped" in line for line in errors) == 3
    assert checked(folder) == PICTURES
    found = {Path(record.source).name: record.index for record in records(folder) if isinstance(record, GapRecord)}
    names = sorted(path.name for path in source.iterdir())
    assert found == {name: names.index(name) for name in ("01-cut.jpg", "02-empty.png", "05-text.tif")}
    said = call(leukolite, "journal", "replay", folder).stdout.splitlines()
    assert said[-1].endswith(f"{PICTURES} verdicts compared, 0 differ")


# viewers


def test_ten_viewers_of_whom_one_never_reads_take_no_frame_from_a_recorded_session(begin, tmp_path, checked):
    pytest.importorskip("uvicorn")
    folder, seen = tmp_path / "session", [[0] for _ in range(9)]
    options = ("--camera", "synthetic:20", "--frames", 60, "--journal", folder, "--serve", "0", "--quiet")

    def watch(shown: list[int]) -> None:
        viewer = page.connect()
        with contextlib.suppress(OSError, http.client.HTTPException):  # until the session's end
            while True:
                shown.append(page.look(viewer)["slide"]["frames"])
                time.sleep(0.1)
        viewer.close()

    process = begin(*NEW, *options)
    with socket.socket() as deaf:
        page = PageAddress.of(process.stderr.readline())
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", page.port))
        viewers = [threading.Thread(target=watch, args=(shown,)) for shown in seen]
        for viewer in viewers:
            viewer.start()
        wait_until(lambda: frames(folder) > 2, process)
        deaf.sendall(page.view * 600)  # more than all buffers hold
        finish(process)
        for viewer in viewers:
            viewer.join(30)
    assert checked(folder) == 60
    skipped = sum(record.skipped for record in records(folder) if isinstance(record, FrameRecord))
    assert skipped < 30  # one frame waits at the most, so what is overtaken is how late a verdict can be
    assert all(shown == sorted(shown) for shown in seen)
    assert all(shown[-1] > 30 for shown in seen)
