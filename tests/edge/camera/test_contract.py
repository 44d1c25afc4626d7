"""The contract of `FrameSource`: one suite that every source runs. A camera that is not plugged in is skipped."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_items import everything, first, jpeg, picture, video
from fake_picamera2 import FakePicamera2
from fake_v4l2 import FakeVideo
from fakes import a_frame

from leukolite.edge.camera import stream, v4l2
from leukolite.edge.camera.ahead import ReadAhead
from leukolite.edge.camera.folder import ImageFolder
from leukolite.edge.camera.picamera import PiCamera, plugged_in_picamera2
from leukolite.edge.camera.remaining import RemainingFrames
from leukolite.edge.camera.scripted import Scripted, ScriptedCamera
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Items, Note
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.camera.v4l2 import V4l2Camera, plugged_in_v4l2
from leukolite.edge.camera.video import VideoFile
from leukolite.errors import SourceError
from leukolite.synthetic import LABELS

SEEN = 3  # frames and gaps that are looked at; one image has one
PASSWORD = "geheim"


@dataclass
class Case:
    """A source under test.

    Attributes:
        source: gives three frames or more, gaps among them.
        is_closed: whether its device is.
        lost: shows the same pictures, until its device is lost or a file of it is damaged; None where there is nothing to lose.
        seen: frames and gaps it gives at least.
        first_index: of its first frame.
    """

    source: FrameSource
    is_closed: Callable[[], bool]
    lost: FrameSource | None = None
    seen: int = SEEN
    first_index: int = 0


class Sources:
    """Makes each kind's case; a new kind of camera is one method here."""

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self._folder, self._request = folder, request
        self._patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")

    def synthetic_on_demand(self) -> Case:
        return Case(SyntheticCamera("cell", LABELS, 0), no_device)

    def synthetic_live(self) -> Case:
        return Case(SyntheticCamera("cell", LABELS, 0, rate=200), no_device)

    def folder(self) -> Case:
        return Case(ImageFolder(self._images("whole")), self._no_file_open, ImageFolder(self._images("damaged", damaged=True)))

    def one_image(self) -> Case:
        damaged = self._folder / "damaged.png"
        damaged.write_bytes(picture(self._folder / "whole.png").read_bytes()[:-30])
        return Case(ImageFolder(self._folder / "whole.png"), self._no_file_open, ImageFolder(damaged), seen=1)

    def read_ahead(self) -> Case:
        whole, damaged = self._images("whole"), self._images("damaged", damaged=True)
        return Case(ReadAhead(ImageFolder(whole)), self._no_file_open, ReadAhead(ImageFolder(damaged)))

    def video(self) -> Case:
        whole, cut = video(self._folder / "whole.avi", frames=30, codec="MJPG"), self._folder / "cut.avi"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        return Case(VideoFile(whole), self._no_file_open, VideoFile(cut))

    def stream(self) -> Case:
        opened: list[cv2.VideoCapture] = []
        real = cv2.VideoCapture
        self._patch.setattr(stream.cv2, "VideoCapture", lambda *how: opened.append(real(*how)) or opened[-1])
        pictures = [jpeg(i) for i in range(6)]
        pictures[1] = pictures[1][:700]
        serve = self._request.getfixturevalue("serve")
        whole, short = (serve(parts, 0.01).url.replace("//", f"//doctor:{PASSWORD}@") for parts in (pictures, pictures[:3]))
        return Case(StreamCamera(whole), lambda: not opened[-1].isOpened(), StreamCamera(short))

    def v4l2(self) -> Case:
        device = self._request.getfixturevalue("v4l2")
        self._patch.setattr(FakeVideo, "gives", 6)
        return Case(V4l2Camera(device), lambda: FakeVideo.opened.released, V4l2Camera(device))

    def v4l2_plugged_in(self) -> Case:
        return Case(V4l2Camera(plugged_in_v4l2()[0][0].name.partition(":")[2]), no_device)

    def picamera2(self) -> Case:
        plug = self._request.getfixturevalue("picamera2")
        plug(breaks_after=6)

        def is_closed() -> bool:
            return FakePicamera2.made[-1].calls[-1] == "close"

        return Case(PiCamera(0, (66, 50)), is_closed, PiCamera(0, (66, 50)))

    def picamera2_plugged_in(self) -> Case:
        return Case(PiCamera(), no_device)

    def remaining(self) -> Case:
        source = scripted()
        lost = RemainingFrames(scripted(SourceError("scripted", "unplugged")), 2)
        return Case(RemainingFrames(source, 2), lambda: source.opened == source.closed, lost, first_index=2)

    def scripted(self) -> Case:
        source = scripted()
        return Case(source, lambda: source.opened == source.closed, scripted(SourceError("scripted", "unplugged")))

    def _images(self, name: str, *, damaged: bool = False) -> Path:
        for number in range(6):
            picture(self._folder / name / f"{number}.png", (number, 30, 60))
        if damaged:
            (self._folder / name / "2.png").write_text("not an image")
        return self._folder / name

    def _no_file_open(self) -> bool:
        return not any(target.startswith(str(self._folder)) for target in open_files())


def no_device() -> bool:
    """There is none to close."""
    return True


def open_files() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        try:
            yield str(link.readlink())
        except OSError:  # the listing's own
            continue


class Now:
    """Frames that are made when they are asked for, one of them a gap, as often as they are."""

    def __init__(self, *ends: Scripted) -> None:
        self._ends = ends

    def __iter__(self) -> Iterator[Scripted]:
        yield Note("scripted", "opened")
        for index in range(6):
            is_gap = index == 3
            yield Gap(index, "scripted", "damaged") if is_gap else a_frame(index, captured_at=time.perf_counter_ns())
        yield from self._ends


def scripted(*ends: Scripted) -> ScriptedCamera:
    return ScriptedCamera(Now(*ends), truths=LABELS)


HARDWARE = {"v4l2_plugged_in": plugged_in_v4l2, "picamera2_plugged_in": plugged_in_picamera2}
ABSENT = [name for name, plugged_in in HARDWARE.items() if not plugged_in()[0]]
KINDS = [name for name in vars(Sources) if not name.startswith("_")]


@pytest.mark.parametrize("name", HARDWARE)
def test_a_camera_of_this_machine_keeps_the_contract_too(name):
    if name in ABSENT:
        pytest.skip("no such camera is plugged in")


@pytest.fixture(params=[name for name in KINDS if name not in ABSENT])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return getattr(Sources(tmp_path, request), request.param)()


def taken(items: Items, count: int) -> list[Frame | Gap]:
    """The next frames and gaps, without the notes."""
    return list(itertools.islice((item for item in items if not isinstance(item, Note)), count))


def opened(case: Case) -> list[Frame | Gap]:
    with closing(case.source.frames()) as items:
        return taken(items, case.seen)


def frames_of(case: Case) -> list[Frame]:
    found = [item for item in opened(case) if isinstance(item, Frame)]
    assert found
    return found


def is_served(case: Case) -> int:
    """Threads of the server in this very process, which may still be sending."""
    return 1 if isinstance(case.source, StreamCamera) else 0


def test_its_name_its_truths_and_whether_it_is_live_are_known_before_it_is_opened(case):
    assert isinstance(case.source.name, str)
    assert case.source.name
    assert isinstance(case.source.truths, tuple)
    assert isinstance(case.source.live, bool)


def test_frames_are_r_g_b_bytes_in_one_piece(case):
    for frame in frames_of(case):
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.ndim == 3
        assert frame.pixels.shape[2] == 3
        assert frame.pixels.flags.c_contiguous


def test_frames_and_gaps_are_numbered_without_holes(case):
    assert [item.index for item in opened(case)] == list(range(case.first_index, case.first_index + case.seen))


def test_a_frame_is_of_the_past_and_none_is_older_than_the_one_before(case):
    times = [frame.captured_at for frame in frames_of(case)]
    assert times == sorted(times)
    assert times[-1] <= time.perf_counter_ns()
    assert times[0] > time.perf_counter_ns() - 60e9


def test_a_frame_says_what_it_took_where_it_is_from_and_what_it_is_known_to_show(case):
    for frame in frames_of(case):
        assert frame.capture_ms >= 0
        assert frame.source
        assert frame.timed_by in ("sensor", "arrival")
        assert frame.truth is None or frame.truth in case.source.truths


def test_a_frame_that_is_kept_does_not_change(case):
    kept: list[tuple[Frame, np.ndarray]] = []
    with closing(case.source.frames()) as items:
        for item in taken(items, case.seen):
            if isinstance(item, Frame):
                assert not any(np.shares_memory(item.pixels, before.pixels) for before, _ in kept)
                kept.append((item, item.pixels.copy()))
    assert all(np.array_equal(frame.pixels, as_it_was) for frame, as_it_was in kept)


def test_closing_it_after_a_frame_closes_the_device_and_leaves_no_thread(case):
    threads = threading.active_count()
    items = case.source.frames()
    taken(items, 1)
    items.close()
    assert case.is_closed()
    assert threading.active_count() <= threads + is_served(case)


def test_it_can_be_opened_again_and_counts_on_if_it_is_live(case):
    before, after = opened(case), opened(case)
    assert len(after) == len(before)
    if case.source.live:
        assert [item.index for item in after] == list(range(before[-1].index + 1, before[-1].index + 1 + case.seen))
    else:
        assert [item.index for item in after] == [item.index for item in before]
    assert case.is_closed()


def test_a_lost_device_or_a_damaged_file_is_an_error_or_a_gap_and_never_a_made_up_frame(case):
    if case.lost is None:
        pytest.skip("there is nothing to lose")
    items, error = everything(case.lost, ends=True)
    frames = [item for item in items if isinstance(item, Frame)]
    assert error or any(isinstance(item, Gap) for item in items)
    assert len({frame.index for frame in frames}) == len(frames)
    whole = {item.index: item.pixels for item in everything(case.source, ends=True)[0] if isinstance(item, Frame)}
    assert all(np.array_equal(frame.pixels, whole[frame.index]) for frame in frames)


def test_what_is_shown_and_recorded_names_no_password(case):
    items = first(case.source, case.seen + 1)
    assert PASSWORD not in case.source.name
    assert not any(PASSWORD in text for item in items for text in (item.source, getattr(item, "text", "")))
    if case.lost is not None:
        _, error = everything(case.lost, ends=True)
        assert PASSWORD not in error


def test_every_kind_of_source_is_in_this_suite():
    kinds = {path.stem for path in Path(v4l2.__file__).parent.glob("*.py")}
    without = {
        "__init__",
        "source",
        "open",
        "opencv",
        "capture",
        "discover",
        "diagnosis",
        "boundary",
        "login",
    }  # the seam, and what reads and opens
    without |= {
        "containers",
        "video_reader",
        "opencv_video",
        "pyav_video",
        "bare_mjpeg",
        "nal_units",
        "torn",
        "decoder_memory",
    }  # of `video`
    files = {"ahead": "read_ahead", "picamera": "picamera2", "synthetic": "synthetic_live"}
    assert {files.get(kind, kind) for kind in kinds - without} <= set(KINDS)
