"""Reading ahead: what a source gives comes unchanged, a little of it is read early, and nothing of it lasts."""

import itertools
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from camera_items import picture
from fakes import Item, Listed, Remembers, a_frame, colour_classifier

from leukolite.edge.camera import ahead
from leukolite.edge.camera.ahead import LARGE_BYTES, MOST_AHEAD, ReadAhead
from leukolite.edge.camera.capture import arrivals
from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.remaining import RemainingFrames
from leukolite.edge.camera.source import Frame, Gap, Items, Note
from leukolite.edge.control import Control
from leukolite.edge.pipeline import Limits, run
from leukolite.errors import SourceError


class Counting:
    """Frames without end, and how many of them were made."""

    def __init__(self, side: int = 8) -> None:
        self.made, self._side = 0, side

    def __iter__(self) -> Iterator[Item]:
        for index in itertools.count():
            self.made += 1
            yield Frame(np.zeros((self._side, self._side, 3), np.uint8), index, 0, 1.5, "x", None)

    def after_a_while(self) -> int:
        """How many were made once no more come."""
        before = -1
        while before != self.made:
            before = self.made
            time.sleep(0.1)
        return self.made


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read ahead")]


# what comes


def test_items_come_in_their_order_with_their_gaps_and_latencies():
    items = [a_frame(0, "Red"), Gap(1, "1.png", "damaged"), Note("listed", "opened"), a_frame(2), Gap(3, "3.png", "empty")]
    found = list(ReadAhead(Listed(items), clock=lambda: 0).frames())
    assert found == items
    assert all(one.pixels is other.pixels for one, other in zip(found, items, strict=True) if isinstance(one, Frame))


def test_it_is_named_like_its_source_and_knows_its_truths():
    source = ReadAhead(Listed([]))
    assert (source.name, source.truths, source.live) == ("listed", ("Red", "mauve"), False)


def test_an_error_comes_after_all_that_came_before_it():
    frames = ReadAhead(Listed([a_frame(0), a_frame(1), SourceError("listed", "unplugged")])).frames()
    assert [next(frames).index for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match="listed: unplugged"):
        next(frames)


def test_a_programming_error_in_a_source_comes_out_where_frames_are_asked_for():
    with pytest.raises(ZeroDivisionError, match="mine"):
        next(ReadAhead(Listed([ZeroDivisionError("mine")])).frames())


def test_a_damaged_image_is_the_gap_in_its_place(tmp_path):
    for name in "abcdefgh":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_text("not an image")
    items = list(open_source(tmp_path).frames())
    assert [item.index for item in items] == list(range(8))
    assert [item.source.rpartition("/")[2] for item in items if isinstance(item, Gap)] == ["d.png"]
    assert isinstance(items[3], Gap)


def test_a_live_camera_is_not_read_ahead():
    with pytest.raises(ValueError, match="listed is live: its frames would be old"):
        ReadAhead(Listed([], live=True))


# early, but not too early


def test_the_next_picture_is_made_while_this_one_is_in_hand():
    next_is_made = threading.Event()
    frames = ReadAhead(Listed([a_frame(0), next_is_made.set, a_frame(1)])).frames()
    assert next(frames).index == 0
    assert next_is_made.wait(10), "nobody has asked for the next one"


def test_few_pictures_are_made_that_nobody_asked_for():
    source = Counting()
    frames = ReadAhead(Listed(source)).frames()
    for asked in (1, 2, 3):
        next(frames)
        assert source.after_a_while() == asked + MOST_AHEAD
    frames.close()


def test_of_large_pictures_none_is_made_ahead():
    source = Counting(side=int((LARGE_BYTES / 3) ** 0.5) + 1)
    frames = ReadAhead(Listed(source)).frames()
    for asked in (1, 2):
        next(frames)
        assert source.after_a_while() == asked
    frames.close()


def test_a_session_of_two_frames_makes_few_more():
    source = Counting()
    session = run(ReadAhead(Listed(source)), colour_classifier(), [], limits=Limits(frames=2))
    assert session.counts.frames == 2
    assert 2 <= source.made <= 2 + MOST_AHEAD


def test_while_a_session_is_paused_few_pictures_are_made():
    source, control = Counting(), Control()
    items = arrivals(ReadAhead(Listed(source)), control)
    next(items)
    control.pause()
    assert next(items).item.event == "paused"
    assert [next(items) for _ in range(3)] == [None] * 3
    assert source.after_a_while() == 2 + MOST_AHEAD
    items.close()


# age


def test_a_frame_is_as_old_as_its_handing_over():
    ticks = itertools.count(1000)
    frames = ReadAhead(Listed([a_frame(0), a_frame(1)]), clock=lambda: next(ticks)).frames()
    assert [(frame.captured_at, frame.capture_ms) for frame in frames] == [(1000, 1.5), (1001, 1.5)]


def test_a_frame_that_was_read_early_is_not_too_old():
    sink, let_go = Remembers(), threading.Event()
    read = ReadAhead(Listed([a_frame(0), a_frame(1), a_frame(2), let_go.set]))

    class Slow(Remembers):
        def take(self, event: object) -> None:
            assert let_go.wait(10)  # all frames are read by now
            time.sleep(0.02)
            super().take(event)

    run(read, colour_classifier(), [Slow(), sink], limits=Limits(age_ms=10_000))
    assert [record.excluded for record in sink.records] == [None] * 3
    assert max(record.age_ms for record in sink.records) < 10_000
    assert [record.frame.captured_at for record in sink.records] == sorted(r.frame.captured_at for r in sink.records)
    apart = np.diff([record.frame.captured_at for record in sink.records])
    assert apart.min() >= 20e6, "each is taken up when the one before is through"


# the end


def test_closing_ends_the_thread_and_closes_the_source():
    source = Listed(Counting())
    frames = ReadAhead(source).frames()
    next(frames)
    assert threads() == ["read ahead listed"]
    frames.close()
    assert threads() == []
    assert (source.opened, source.closed) == (1, 1)


def test_nothing_is_read_before_the_first_frame_is_asked_for():
    source = Listed(Counting())
    ReadAhead(source).frames().close()
    assert (source.opened, threads()) == (0, [])


def test_the_thread_of_a_source_that_ended_is_gone():
    assert len(list(ReadAhead(Listed([a_frame(0)])).frames())) == 1
    assert threads() == []


def test_a_source_that_hangs_does_not_keep_the_session_from_ending(monkeypatch):
    monkeypatch.setattr(ahead, "ENDS_WITHIN_S", 0.05)
    let_go = threading.Event()
    frames = ReadAhead(Listed([a_frame(0), lambda: let_go.wait(30)])).frames()
    next(frames)
    started = time.monotonic()
    frames.close()
    assert time.monotonic() - started < 10
    let_go.set()


def test_it_can_be_read_again_from_the_start():
    source = ReadAhead(Listed([a_frame(0), a_frame(1)]))
    assert [[frame.index for frame in source.frames()] for _ in range(2)] == [[0, 1]] * 2


# memory


def test_a_large_picture_is_not_held_while_the_next_is_made():
    """Of large ones two would not fit into a service's memory."""
    made: list[weakref.ref[np.ndarray]] = []
    held_at_once: list[int] = []

    class Scans:
        name, truths, live = "scans", (), False

        def frames(self) -> Items:
            for index in range(4):
                held_at_once.append(sum(one() is not None for one in made))
                pixels = np.zeros((3400, 3400, 3), np.uint8)
                made.append(weakref.ref(pixels))
                frame = Frame(pixels, index, 0, 0.0, "scans", None)
                del pixels
                yield frame
                del frame

    session = run(RemainingFrames(ReadAhead(Scans()), 0), colour_classifier(), [])
    assert session.counts.frames == 4
    assert held_at_once == [0, 0, 0, 0]
