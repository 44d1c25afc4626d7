import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from leukolite.bundle import TensorFormat
from leukolite.edge.pipeline import Session, run
from leukolite.edge.sources import Frame, Gap
from leukolite.errors import SourceError
from leukolite.judge import Judge
from leukolite.preprocess import InputSpec
from leukolite.runtime import Tensor

LABELS = ("red", "blue")
SECOND = 1_000_000_000


class Colour:
    """A runtime that says how red the picture is."""

    name, version, threads = "colour", "1", 1
    input = Tensor((1, 8, 8, 3), TensorFormat(dtype="uint8", scale=1 / 255))
    output = Tensor((1, 2), TensorFormat(dtype="float32"))

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        red, _, blue = batch[0].reshape(-1, 3).mean(axis=0) + 1
        return np.array([red, blue], np.float32) / np.float32(red + blue)


class Listed:
    """A source of the given items; an exception among them is raised in its turn."""

    name, truths = "listed", ("Red", "mauve")

    def __init__(self, items: Sequence[Frame | Gap | BaseException]) -> None:
        self._items = items

    def frames(self) -> Iterator[Frame | Gap]:
        for item in self._items:
            if isinstance(item, BaseException):
                raise item
            yield item


def frame(index: int, truth: str | None = None) -> Frame:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 0] = 200
    return Frame(pixels, index, 0, 1.5, f"{index}.png", truth)


def judge_all(items: Sequence[Frame | Gap | BaseException], sigmas=(0.0,), **options: object) -> Session:
    judge = Judge(Colour(), labels=LABELS, malignant=(), spec=InputSpec(height=8, width=8))
    silent: dict[str, Callable] = {"on_frame": lambda *_: None, "on_gap": lambda _: None}
    return run(Listed(items), judge, sigmas, seed=0, **(silent | options))


def test_every_frame_is_judged_at_every_noise_level_in_order():
    session = judge_all([frame(0), frame(1)], (0.0, 5.0))
    assert [(item.index, item.sigma) for item in session.judged] == [(0, 0.0), (0, 5.0), (1, 0.0), (1, 5.0)]
    assert {item.verdict.label for item in session.judged} == {"red"}
    assert session.frames == 2


def test_noise_changes_the_probability_and_not_the_clean_verdict():
    clean, noisy = judge_all([frame(0)], (0.0, 50.0)).judged
    assert clean.verdict.probability == judge_all([frame(0)]).judged[0].verdict.probability
    assert noisy.verdict.probability != clean.verdict.probability


def test_a_frame_is_judged_alike_whatever_came_before_it():
    alone, after = judge_all([frame(7)], (9.0,)), judge_all([frame(0), frame(7)], (9.0,))
    assert alone.judged[0].verdict.probability == after.judged[1].verdict.probability


def test_the_capture_is_part_of_the_total_latency():
    latency = judge_all([frame(0)]).judged[0].verdict.latency
    assert latency.capture == 1.5
    assert latency.total >= 1.5 + latency.preprocess + latency.invoke


def test_it_stops_after_max_frames_and_asks_for_no_more():
    session = judge_all([frame(0), frame(1), AssertionError("one frame too many")], max_frames=2)
    assert (session.frames, session.interrupted) == (2, False)


def test_gaps_do_not_count_as_frames():
    session = judge_all([Gap(0, "a.png", "damaged"), frame(1), frame(2)], max_frames=1)
    assert [item.index for item in session.judged] == [1]
    assert session.gaps == (Gap(0, "a.png", "damaged"),)


def test_it_stops_once_max_seconds_have_passed():
    ticks = itertools.count(0, SECOND)  # every look at the clock is a second later
    session = judge_all([frame(i) for i in range(100)], max_seconds=3, clock=lambda: next(ticks))
    assert session.frames == 3
    assert session.seconds == 4.0


def test_it_stops_in_time_even_where_only_gaps_come():
    ticks = itertools.count(0, SECOND)
    gaps = itertools.chain([frame(0)], (Gap(i, "x", "dark") for i in range(1, 100)))
    session = judge_all(gaps, max_seconds=5, clock=lambda: next(ticks))
    assert (session.frames, len(session.gaps)) == (1, 4)


def test_a_keyboard_interrupt_ends_the_session_and_keeps_what_was_judged():
    session = judge_all([frame(0), frame(1), KeyboardInterrupt()])
    assert (session.frames, session.interrupted) == (2, True)


def test_an_interrupt_while_a_verdict_is_shown_keeps_every_noise_level_of_it():
    def interrupt(shown: Frame, verdicts: object) -> None:
        if shown.index == 1:
            raise KeyboardInterrupt

    session = judge_all([frame(0), frame(1), frame(2)], (0.0, 5.0), on_frame=interrupt)
    assert session.interrupted
    assert len(session.judged) == 2 * session.frames


def test_an_interrupt_before_the_first_frame_is_no_error():
    session = judge_all([KeyboardInterrupt()])
    assert (session.frames, session.judged, session.interrupted) == (0, (), True)


def test_only_gaps_are_an_error_that_names_the_first():
    with pytest.raises(SourceError, match=r"listed: not one frame could be read: a\.png: damaged"):
        judge_all([Gap(0, "a.png", "damaged"), Gap(1, "b.png", "empty")])


def test_a_source_without_any_item_is_an_error():
    with pytest.raises(SourceError, match="not one frame"):
        judge_all([])


def test_a_truth_is_matched_whatever_its_case_and_an_unknown_one_is_left_open():
    session = judge_all([frame(0, "Red"), frame(1, "mauve"), frame(2, None)])
    assert [item.truth for item in session.judged] == [0, None, None]
    assert session.unknown_truths == ("mauve",)


def test_a_programming_error_in_a_sink_keeps_its_traceback():
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judge_all([frame(0)], on_frame=broken)
