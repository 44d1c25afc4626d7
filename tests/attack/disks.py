"""What a session keeps on disks that are full, lose their power or die, and when its process is killed.

    python tests/attack/disks.py [--kills 50] [--cuts 34] [--sizes 30]

- Full: a tmpfs of each size; recording stops, the journal verifies, and it holds as many records as were called kept.
- Power cut: a loop-mounted ext4 image is copied while a journal is being written, and the copy is mounted, as a machine finds
  its disk when it comes back: every record that was called safe is there, and the session goes on.
- Dead: from some fsync on each fails; what is called kept is what the last one that worked had put on the disk.
- Killed: `edge-run --record` is killed at random moments, again and again.

Mounting needs root; without it the first two are skipped with the reason. Nothing outside a temporary folder is touched. About
three minutes.
"""

import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))

import click
from journals import frame, start, verdict

from leukolite.edge.journal.format import read, verify
from leukolite.edge.journal.open import create_journal, resume_journal
from leukolite.edge.journal.records import EventRecord, FrameRecord
from leukolite.errors import JournalError

IMAGE_MB = 16
EDGE_RUN = "from leukolite.edge.start import main; main()"


class Skipped(Exception):
    """This machine does not allow the attempt."""


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"cannot mount ({done.stderr.strip() or 'root is needed'})")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def full_disks(place: Path, n: int, pick: random.Random) -> str:
    held = 0
    for k in range(n):
        size = 76 + 8 * k  # KiB; the reserve alone takes 64
        with mounted(place / "tmpfs", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs") as disk:
            said: list[str] = []
            try:
                journal = create_journal(disk / "s", start(), on_stop=said.append, file_bytes=pick.choice((9_000, 1 << 24)))
            except JournalError:  # too small to begin
                continue
            while journal.append(frame(0, verdicts=2), verdict(0), verdict(0)):
                pass
            journal.close()
            found = verify(disk / "s")
            *_, last = read(disk / "s")
            assert found.records == journal.synced, f"{size} KiB: {journal.synced} called kept, {found.records} there"
            assert f"{found.records} records in {disk / 's'} are kept" in said[0]
            assert last.record == EventRecord(event="recording stopped", detail="disk full") or size < 80
            held += 1
    return f"{n} sizes from 76 to {76 + 8 * (n - 1)} KiB, {held} large enough to begin: each kept what it said"


def power_cuts(place: Path, n: int, pick: random.Random) -> str:
    torn = lost = 0
    for k in range(n):
        image, copy = place / f"disk-{k}.img", place / f"copy-{k}.img"  # a loop device may outlive its umount for a moment
        with image.open("wb") as file:
            file.truncate(IMAGE_MB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        # the last one grows files before their data are there, and leaves zeros
        how = ("loop,commit=1", "loop,commit=1,nodelalloc", "loop", "loop,commit=1,nodelalloc,data=writeback")[k % 4]
        with mounted(place / "disk", "-o", how, str(image)) as disk:
            journal = create_journal(disk / "s", start(), file_bytes=pick.choice((30_000, 1 << 24)))
            for _ in range(pick.randrange(1, 30)):
                journal.append(*(verdict(i) for i in range(pick.randrange(1, 60))))
                time.sleep(pick.uniform(0, 0.02))
            if k % 4 in (1, 3):
                time.sleep(pick.uniform(0.5, 1.5))  # the file system commits by itself, once a second
            safe, records = journal.synced, journal.records
            shutil.copyfile(image, copy)  # what the disk has at this moment
            journal.close()
        with mounted(place / "disk", "-o", "loop", str(copy)) as disk:
            found = verify(disk / "s")
            assert safe <= found.records <= records, f"cut {k}: {safe} called safe, {found.records} there"
            torn, lost = torn + (found.torn is not None), lost + records - found.records
            journal, _ = resume_journal(disk / "s")
            assert journal.append(verdict(0))
            journal.close()
            assert verify(disk / "s").records == found.records + 2
        image.unlink()
        copy.unlink()
    return f"{n} cuts of an ext4 image: no record called safe was lost, {lost} others were; {torn} torn ends, all went on"


def dead_disks(place: Path, n: int, pick: random.Random) -> str:
    for k in range(n):
        calls, on_disk, dies_at = 0, 0, pick.randrange(2, 12)
        folder = place / f"dead-{k}"

        def sync(fd: int, folder: Path = folder, dies_at: int = dies_at) -> None:
            nonlocal calls, on_disk
            calls += 1
            if calls > dies_at:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            on_disk = sum(path.read_bytes().count(b"\n") for path in folder.glob("journal-*"))

        said: list[str] = []
        journal = create_journal(folder, start(), on_stop=said.append, sync=sync, file_bytes=pick.choice((20_000, 1 << 24)))
        while journal.append(*(verdict(i) for i in range(pick.randrange(1, 40)))):
            pass
        journal.close()
        assert journal.synced == on_disk, f"{journal.synced} called kept, {on_disk} were synced"
        assert f"{on_disk} record{'s' if on_disk > 1 else ''} in {folder}" in said[0]
        verify(folder)
    return f"{n} disks that died at some fsync: each called kept what the last good one had synced"


def kills(place: Path, n: int, pick: random.Random) -> str:
    command = [sys.executable, "-c", EDGE_RUN, "--bundle", "synthetic-cells", "--camera", "synthetic:50", "--every-frame"]
    command += ["--quiet", "--record", str(place / "killed")]
    begun = 0
    before = b""
    for k in range(n):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if k % 4 == 3:  # on its way up
            time.sleep(pick.uniform(0.3, 1.5))
        else:
            until = time.monotonic() + 30
            while _size(place / "killed") == len(before) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(pick.uniform(0, 0.5))
        process.kill()
        _, errors = process.communicate()
        assert (process.returncode, errors) == (-9, b""), errors
        if _size(place / "killed") == len(before):
            continue
        verify(place / "killed")
        now = b"".join(path.read_bytes() for path in sorted((place / "killed").glob("journal-*")))
        whole = before[: before.rfind(b"\n") + 1]
        assert now.startswith(whole), "a record was lost"
        begun, before = begun + 1, now
    subprocess.run([*command, "--frames", "3"], check=True, capture_output=True)
    found = verify(place / "killed")
    frames = sum(isinstance(entry.record, FrameRecord) for entry in read(place / "killed"))
    assert found.ended
    return f"{n} kills, {begun} of them while recording: {found.records} records of {frames} frames, none lost, and it ended"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("journal-*"))


@click.command()
@click.option("--kills", "n_kills", default=50, show_default=True)
@click.option("--cuts", default=34, show_default=True)
@click.option("--sizes", default=30, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(n_kills: int, cuts: int, sizes: int, seed: int) -> None:
    attempts: dict[str, tuple[Callable[[Path, int, random.Random], str], int]] = {
        "full": (full_disks, sizes),
        "power cut": (power_cuts, cuts),
        "dead": (dead_disks, 50),
        "kill -9": (kills, n_kills),
    }
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (attempt, n) in attempts.items():
            began = time.monotonic()
            try:
                said = attempt(Path(folder), n, random.Random(seed))
            except Skipped as error:
                said = f"skipped: {error}"
            except (AssertionError, JournalError) as error:
                said, wrong = f"WRONG: {error}", wrong + 1
            click.echo(f"{name}: {said} ({time.monotonic() - began:.0f} s)")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
