"""Live cameras: the newest frame, signal loss, reopening. Cameras are lists here; clocks are real only where threads meet."""

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fakes import Item, Listed, a_frame

from leukolite.edge.camera.capture import Capture, ReconnectPolicy, arrivals
from leukolite.edge.camera.source import Arriving, Frame, Gap, Note
from leukolite.edge.control import Control
from leukolite.errors import BundleError, ImageError, LeukoliteError, RuntimeUnavailable, SourceError

QUICK = ReconnectPolicy(first_s=0.0, longest_s=0.0, times=3)


def given(source: Listed, count: int, reopening: ReconnectPolicy = QUICK, control: Control | None = None) -> list[object]:
    """The first items, waiting for each."""
    items = (arrival.item for arrival in arrivals(source, control or Control(), reopening) if arrival is not None)
    return list(itertools.islice(items, count))


# the newest frame


def test_an_older_frame_is_forgotten_for_a_newer_one_and_counted():
    shown = threading.Event()
    capture = Capture(Listed([a_frame(0), a_frame(1), a_frame(2), shown.set], live=True))
    assert shown.wait(10)
    arrival = capture.get(1)
    assert (arrival.item.index, arrival.skipped) == (2, 2)
    assert capture.get(0) is None


def test_a_large_frame_that_waits_makes_room_when_the_next_is_decoded_and_counts_as_skipped():
    here, seen, shown = threading.Event(), threading.Event(), threading.Event()

    def decode() -> None:
        here.set()
        assert seen.wait(10)

    capture = Capture(Listed([a_frame(0), Arriving(), decode, a_frame(1), shown.set], live=True))
    assert here.wait(10)
    assert capture.get(0) is None
    seen.set()
    assert shown.wait(10)
    arrival = capture.get(1)
    assert (arrival.item.index, arrival.skipped) == (1, 1)


def test_gaps_and_notes_are_not_overtaken_by_frames():
    shown = threading.Event()
    capture = Capture(Listed([Note("x", "opened"), a_frame(0), Gap(1, "x", "damaged"), a_frame(2), shown.set], live=True))
    assert shown.wait(10)
    assert [type(capture.get(1).item) for _ in range(3)] == [Note, Gap, Frame]


def test_memory_holds_one_frame_however_many_come():
    shown = threading.Event()
    source = Listed(itertools.chain((a_frame(i) for i in range(5000)), [shown.set]), live=True)
    capture = Capture(source)
    assert shown.wait(30)
    arrival = capture.get(1)
    assert (arrival.item.index, arrival.skipped) == (4999, 4999)
    assert capture.get(0) is None


def waits() -> None:
    threading.Event().wait(0.2)


def test_whatever_a_driver_raises_is_a_reason_why_the_camera_is_lost():
    for error in (ZeroDivisionError("theirs"), MemoryError(), RecursionError("deep"), SystemExit(3), KeyError("Sensor\nName")):
        source = Listed([a_frame(0), error], [a_frame(1), waits], live=True)
        items = given(source, 4)
        text = str(error).replace("\n", " ").replace("\\n", "\\n")
        reason = f"the driver fails ({type(error).__name__}{f': {text}' if text else ''})"
        assert items[1] == Gap(1, "listed", f"signal lost: {reason}")
        assert items[3].index == 1


class Panic(BaseException):
    """As of a library in Rust: no Exception."""


class Mute(Exception):
    """Whose text fails too."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Panic("index out of bounds"), "the driver fails (Panic: index out of bounds)"),
        (Mute(), "the driver fails (Mute)"),
        (ImageError("a.jpg", "it is cut off"), "a.jpg: it is cut off"),
        (RuntimeUnavailable("no decoder"), "no decoder"),
        (BundleError("b"), "b"),
        (LeukoliteError("b"), "b"),
        (SourceError("another", "it is gone"), "another: it is gone"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_also_what_is_no_exception_has_no_text_or_is_an_error_of_ours_is_a_lost_camera(error, reason):
    source = Listed([a_frame(0), error], [a_frame(1), waits], live=True)
    assert given(source, 4)[1] == Gap(1, "listed", f"signal lost: {reason}")
    assert source.opened == 2


def test_an_interrupt_in_a_drivers_thread_is_no_lost_camera():
    with pytest.raises(KeyboardInterrupt):
        given(Listed([a_frame(0), KeyboardInterrupt()], live=True), 2)


def test_a_driver_that_fails_at_once_is_said_at_once():
    with pytest.raises(SourceError, match=r"listed: the driver fails \(ZeroDivisionError: theirs\)"):
        given(Listed([ZeroDivisionError("theirs")], live=True), 1)


def test_pixels_that_are_none_are_gaps_and_the_camera_goes_on():
    good = a_frame(0)
    wrong = [
        None,
        "pixels",
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.full((8, 8, 3), 40_000, np.uint16),
        np.zeros((0, 8, 3), np.uint8),
        np.broadcast_to(np.uint8(0), (10_000, 10_000, 3)),
    ]
    for live in (False, True):
        for pixels in wrong:
            source = Listed([good, replace(good, index=1, pixels=pixels), waits, replace(good, index=2)], live=live)
            items = given(source, 3)
            kinds = [type(item) for item in items]
            assert (Gap in kinds, kinds[-1]) == (True, Frame), (live, pixels)
            assert next(item for item in items if isinstance(item, Gap)).index == 1


def test_what_is_neither_frame_nor_gap_loses_the_source():
    with pytest.raises(SourceError, match="the driver gives dict, which is no frame"):
        given(Listed([a_frame(0), {"frame": 1}]), 2)


def test_closing_releases_the_camera_once_its_read_returns():
    held = threading.Event()
    source = Listed([a_frame(0), held.wait, a_frame(1), a_frame(2)], live=True)
    capture = Capture(source)
    capture.get(1)
    assert not capture.close(0.01)
    held.set()
    assert capture.close(10)
    assert source.closed == 1


# a camera that is lost


def test_a_camera_that_fails_is_a_gap_and_is_opened_again():
    wait = threading.Event()
    source = Listed([a_frame(0), SourceError("listed", "unplugged")], [a_frame(1), lambda: wait.wait(0.5)], live=True)
    items = given(source, 4)
    assert items[0].index == 0
    assert items[1] == Gap(1, "listed", "signal lost: unplugged")
    assert items[2].text == "reopening, attempt 1"
    assert items[3].index == 1
    assert source.overlaps == 0


def test_a_camera_whose_pictures_end_is_opened_again():
    assert [type(item) for item in given(Listed([a_frame(0)], [a_frame(1)], live=True), 4)] == [Frame, Gap, Note, Frame]


def test_a_camera_that_goes_silent_is_a_gap_and_is_opened_again_once_it_lets_go():
    let_go = threading.Event()
    source = Listed([a_frame(0), lambda: let_go.wait(10)], [a_frame(1)], live=True)
    items: list[Frame | Gap | Note] = []
    for arrival in arrivals(source, Control(), ReconnectPolicy(no_frame_s=0.1, first_s=0.02, longest_s=0.02, times=1000)):
        if arrival is not None:
            items.append(arrival.item)
        if len(items) == 4:  # frame, silence, and the driver that hangs, twice
            let_go.set()
        if items and isinstance(items[-1], Frame) and items[-1].index == 1:
            break
    gaps = [item.reason for item in items if isinstance(item, Gap)]
    assert gaps[0] == "signal lost: no frame for 0.1 s"
    assert set(gaps[1:]) == {"signal lost: the camera's driver hangs"}
    assert (source.opened, source.overlaps) == (2, 0)


def test_a_camera_may_take_longer_for_its_first_frame_than_for_the_next():
    settled = threading.Event()
    source = Listed([lambda: settled.wait(0.4), a_frame(0), lambda: settled.wait(0.5)], live=True)
    items = given(source, 2, ReconnectPolicy(no_frame_s=0.1, opening_s=30, first_s=0, longest_s=0))
    assert [type(item) for item in items] == [Frame, Gap]


def test_a_camera_that_opens_and_shows_nothing_is_opened_again():
    let_go = threading.Event()
    source = Listed([lambda: let_go.wait(10)], [a_frame(0)], live=True)
    looks = arrivals(source, Control(), ReconnectPolicy(opening_s=0.1, first_s=0, longest_s=0, times=10**6))
    seen = []
    for arrival in looks:
        if arrival is not None:
            seen.append(arrival.item)
            let_go.set()
            if isinstance(arrival.item, Frame):
                break
    assert seen[0] == Gap(0, "listed", "signal lost: no frame for 0.1 s")
    assert (source.opened, source.overlaps) == (2, 0)


def test_a_camera_that_never_opened_is_an_error_at_once():
    with pytest.raises(SourceError, match="listed: no such device"):
        given(Listed([SourceError("listed", "no such device")], live=True), 1)


def test_a_camera_that_stays_away_is_given_up():
    source = Listed([a_frame(0)], [SourceError("listed", "gone")], live=True)
    with pytest.raises(SourceError, match="listed: gone; given up after 3 reopenings"):
        given(source, 99)
    assert source.opened == 4


def test_a_frame_between_two_losses_starts_the_count_anew():
    losses = [[a_frame(i), SourceError("listed", "loose cable")] for i in range(8)]
    items = given(Listed(*losses, live=True), 22)
    assert sum(isinstance(item, Frame) for item in items) == 8


def test_the_wait_doubles_up_to_its_longest():
    assert [ReconnectPolicy().wait_s(n) for n in (1, 2, 3, 5, 6, 7, 1000)] == [1, 2, 4, 16, 30, 30, 30]


def test_while_nothing_comes_one_may_look_at_other_things():
    quiet = threading.Event()
    source = Listed([lambda: quiet.wait(10)], live=True)
    looks = arrivals(source, Control(), ReconnectPolicy())
    assert [next(looks) for _ in range(2)] == [None, None]
    quiet.set()
    looks.close()


# pausing


def test_a_paused_camera_is_not_judged_and_the_first_frame_afterwards_is_new():
    control, newest, ended = Control(), 0, threading.Event()

    def camera() -> Iterator[Item]:
        nonlocal newest
        while not ended.is_set():
            yield a_frame(newest)
            newest += 1
            time.sleep(0.001)

    items: list[Frame | Gap | Note] = []
    resumed_at = -1
    for arrival in arrivals(Listed(camera(), live=True), control, QUICK):
        if arrival is not None:
            items.append(arrival.item)
        match items:
            case [Frame()]:
                control.pause()
            case [Frame(), Note()] if resumed_at < 0 and newest > 500:
                resumed_at = newest
                control.resume()
            case [Frame(), Note(), Note(), _]:
                break
    ended.set()
    assert [item.event for item in items[1:3]] == ["paused", "unpaused"]
    assert isinstance(items[3], Frame)
    assert items[3].index >= resumed_at > 500


# another slide


def test_a_frame_captured_before_the_slide_was_changed_is_not_the_new_slides():
    control, ended = Control(), threading.Event()

    def camera() -> Iterator[Item]:
        for index in itertools.count():
            if ended.is_set():
                return
            # a slow camera: the first frames that it gives after the change were captured before
            yield a_frame(index, captured_at=time.perf_counter_ns() if index > 20 else 0)
            time.sleep(0.001)

    items: list[Frame | Gap | Note] = []
    for arrival in arrivals(Listed(camera(), live=True), control, QUICK):
        if arrival is not None:
            items.append(arrival.item)
        if len(items) == 1:
            control.begin_slide("ab" * 8)
        if len(items) > 2 and isinstance(items[-1], Frame):
            break
    ended.set()
    notes = [k for k, item in enumerate(items) if isinstance(item, Note)]
    assert [(items[k].event, items[k].slide) for k in notes] == [("new slide", "ab" * 8)]
    after = [item for item in items[notes[0] :] if isinstance(item, Frame)]
    assert after
    assert min(frame.index for frame in after) > 20


def test_each_slide_that_was_begun_is_noted_once_in_its_order():
    control = Control()
    for slide in ("aa" * 8, "bb" * 8):
        control.begin_slide(slide)
    items = [arrival.item for arrival in arrivals(Listed([a_frame(0), a_frame(1)]), control, QUICK) if arrival is not None]
    assert [item.slide if isinstance(item, Note) else item.index for item in items] == ["aa" * 8, "bb" * 8, 0, 1]
