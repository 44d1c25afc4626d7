import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from fakes import Colour, Item, Listed, Remembers, a_frame, colour_classifier

from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.camera.remaining import NothingLeft
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.classify import classify_frame
from leukolite.edge.control import Control
from leukolite.edge.counts import Session
from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd
from leukolite.edge.field.exclusion import NO_WHITE_CELL, Exclusion, ExclusionKind
from leukolite.edge.field.view import Locator, QualityGate, Region, Treatment
from leukolite.edge.host.health import Health, HealthMonitor
from leukolite.edge.host.watchdog import RestartPolicy, WatchedRuntime
from leukolite.edge.pipeline import FrameProcessing, Limits, run
from leukolite.errors import JournalError, RuntimeUnavailable, SourceError
from leukolite.evaluation import classify_at_noise
from leukolite.noise import NOISE_PLACES, NoisePlace

SECOND = 1_000_000_000
SHRINK = colour_classifier().shrink


def treated(gate: QualityGate | None = None, locator: Locator | None = None, **fields: object) -> FrameProcessing:
    """Every frame is treated alike."""
    return FrameProcessing(lambda pixels: Treatment(SHRINK, gate, locator), **fields)


def classify_all(
    items: Iterable[Item],
    sigmas=(0.0,),
    *,
    processing: FrameProcessing | None = None,
    sink: Remembers | None = None,
    **options: object,
) -> tuple[Session, Remembers]:
    sink = sink or Remembers()
    classifier = options.pop("classifier", None) or colour_classifier()
    limits = Limits(**{name: options.pop(name) for name in ("frames", "seconds", "age_ms") if name in options})
    session = run(Listed(items), classifier, [sink], processing or treated(sigmas=sigmas), limits, **options)
    return session, sink


# verdicts


def test_every_frame_is_classified_at_every_noise_level_in_order():
    session, sink = classify_all([a_frame(0), a_frame(1)], (0.0, 5.0))
    said = [(record.frame.index, region.sigma, region.verdict.label) for record in sink.records for region in record.regions]
    assert said == [(0, 0.0, "red"), (0, 5.0, "red"), (1, 0.0, "red"), (1, 5.0, "red")]
    assert (session.counts.frames, session.counts.verdicts) == (2, 4)


def probability(sink: Remembers, frame: int, region: int = 0) -> float:
    return sink.records[frame].regions[region].verdict.probability


def test_noise_changes_the_probability_and_not_the_clean_verdict():
    _, noisy = classify_all([a_frame(0)], (0.0, 50.0))
    _, clean = classify_all([a_frame(0)])
    assert probability(noisy, 0) == probability(clean, 0) != probability(noisy, 0, 1)


def test_a_frame_is_classified_alike_whatever_came_before_it():
    (_, alone), (_, after) = classify_all([a_frame(7)], (9.0,)), classify_all([a_frame(0), a_frame(7)], (9.0,))
    assert probability(alone, 0) == probability(after, 1)


class Halves:
    """A locator of the left and the right half, which keeps the frames that it was given."""

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []

    def __call__(self, pixels: np.ndarray) -> list[Region]:
        self.given.append(pixels)
        cuts = (lambda frame: SHRINK(frame[:, :24]), lambda frame: SHRINK(frame[:, 24:]))
        return [Region((24 * k, 0, 24 * k + 24, 48), cut(pixels), cut=cut) for k, cut in enumerate(cuts)]


GREY = np.full((48, 48, 3), 128, np.uint8)


def noisy(sigmas: tuple[float, ...], noise_at: NoisePlace, locator: Locator | None = None) -> tuple[RegionResult, ...]:
    processing = treated(locator=locator, sigmas=sigmas, noise_at=noise_at)
    frame = Frame(GREY, 3, 0, 0.0, "x", None)
    return classify_frame(frame, colour_classifier(), processing).regions


@pytest.mark.parametrize("noise_at", NOISE_PLACES)
def test_at_sigma_zero_it_is_the_same_wherever_noise_would_be_put(noise_at):
    (region,) = noisy((0.0,), noise_at)
    assert region.effective_sigma == 0
    assert np.array_equal(region.verdict.probabilities, noisy((0.0,), "capture")[0].verdict.probabilities)


def test_noise_on_the_frame_reaches_the_network_averaged_and_noise_at_the_input_whole():
    on_frame, at_input = (noisy((10.0,), place)[0].effective_sigma for place in ("capture", "input"))
    assert on_frame == pytest.approx(10 / 6, rel=0.15)  # 48 pixels to 8
    assert at_input == pytest.approx(10, rel=0.15)


def test_the_edge_puts_the_noise_at_the_input_that_evaluation_puts_there():
    (item,) = classify_at_noise(colour_classifier(), GREY, (10.0,), seed=0, source="", index=3, truth=None, noise_at="input")
    (region,) = noisy((10.0,), "input")
    assert np.array_equal(region.verdict.probabilities, item.verdict.probabilities)
    assert region.effective_sigma == item.effective_sigma


def test_cells_are_looked_for_once_and_without_noise_where_it_is_put_at_the_input():
    on_frame, at_input = Halves(), Halves()
    noisy((0.0, 5.0, 10.0), "capture", on_frame)
    results = noisy((5.0, 10.0), "input", at_input)
    assert [np.array_equal(pixels, GREY) for pixels in on_frame.given] == [True, False, False]
    assert [np.array_equal(pixels, GREY) for pixels in at_input.given] == [True]
    assert [(region.sigma, region.box[0]) for region in results] == [(5, 0), (5, 24), (10, 0), (10, 24)]


@pytest.mark.parametrize(("noise_at", "reached"), [("capture", 10 / 3), ("input", 10)])
def test_each_cell_has_noise_of_its_own_which_is_measured_on_its_own_picture(noise_at, reached):
    left, right = noisy((10.0,), noise_at, Halves())
    assert left.effective_sigma != right.effective_sigma
    assert left.effective_sigma == pytest.approx(reached, rel=0.35)


def test_a_region_that_nothing_can_cut_again_has_no_effective_sigma_of_noise_on_the_frame():
    locate = lambda pixels: [Region((0, 0, 48, 48), SHRINK(pixels))]  # noqa: E731
    assert noisy((10.0,), "capture", locate)[0].effective_sigma is None
    assert noisy((10.0,), "input", locate)[0].effective_sigma == pytest.approx(10, rel=0.15)


def test_the_gate_sees_the_picture_without_noise_wherever_it_is_put():
    seen = []
    for noise_at in NOISE_PLACES:
        processing = treated(gate=lambda square: seen.append(square), sigmas=(30.0,), noise_at=noise_at)
        classify_frame(Frame(GREY, 3, 0, 0.0, "x", None), colour_classifier(), processing)
    assert [np.ptp(square) for square in seen] == [0, 0]


def test_the_capture_is_part_of_the_total_latency():
    _, sink = classify_all([a_frame(0)])
    latency = sink.records[0].regions[0].verdict.latency
    assert latency.capture == 1.5
    assert latency.total == pytest.approx(1.5 + latency.locate + latency.preprocess + latency.invoke, abs=1e-4)
    assert latency.total >= 1.5 + latency.preprocess + latency.invoke


def test_a_record_tells_age_runtime_machine_and_wall_clock():
    monitor = HealthMonitor(lambda: Health(throttle_mask=0x50004), lambda: 0)
    _, sink = classify_all([a_frame(0, captured_at=0)], clock=lambda: 7_000_000, wall_clock=lambda: 1234.5, health=monitor)
    record = sink.records[0]
    assert record.age_ms == 7
    assert (record.runtime.name, record.runtime.delegate) == ("colour", None)
    assert record.health.throttled is True
    assert record.wall_time == 1234.5


def test_a_truth_is_matched_whatever_its_case_and_an_unknown_one_is_left_open():
    session, sink = classify_all([a_frame(0, "Red"), a_frame(1, "mauve"), a_frame(2, None)])
    assert [record.truth for record in sink.records] == [0, None, None]
    assert session.unknown_truths == ("mauve",)


# gate and locator


def test_a_frame_that_the_gate_refuses_gets_no_verdict_and_counts_by_its_reason():
    classifier = colour_classifier()
    blurred = [Exclusion.of(ExclusionKind.BLURRED, f"focus {focus}") for focus in (3, 4)]
    reasons = iter([blurred[0], None, blurred[1]])
    session, sink = classify_all(
        [a_frame(i) for i in range(3)], processing=treated(lambda pixels: next(reasons)), classifier=classifier
    )
    assert [(record.excluded, len(record.regions)) for record in sink.records] == [(blurred[0], 0), (None, 1), (blurred[1], 0)]
    assert classifier.runtime.calls == 1
    assert session.counts.excluded == {ExclusionKind.BLURRED: 2}


def test_each_region_that_the_locator_finds_is_classified_as_it_was_cut_out():
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 2] = 200
    small = Exclusion.of(ExclusionKind.SMALL, "1 pixel")

    def locate(pixels: np.ndarray) -> list[Region]:
        return [Region((0, 0, 4, 4), SHRINK(pixels[:4, :4])), Region((4, 4, 8, 8), blue), Region((1, 1, 2, 2), None, small)]

    session, sink = classify_all([a_frame(0)], processing=treated(locator=locate))
    regions = sink.records[0].regions
    assert [region.verdict and region.verdict.label for region in regions] == ["red", "blue", None]
    assert [region.box for region in regions] == [(0, 0, 4, 4), (4, 4, 8, 8), (1, 1, 2, 2)]
    assert [region.excluded for region in regions] == [None, None, small]
    assert (session.counts.verdicts, session.counts.excluded) == (2, {ExclusionKind.SMALL: 1})


def test_a_field_without_cells_is_excluded_as_empty():
    session, sink = classify_all([a_frame(0)], processing=treated(locator=lambda pixels: []))
    assert (sink.records[0].regions, sink.records[0].excluded) == ((), NO_WHITE_CELL)
    assert str(NO_WHITE_CELL) == "empty field: no white cell stands out"
    assert (session.counts.frames, session.counts.verdicts, session.counts.excluded) == (1, 0, {ExclusionKind.EMPTY: 1})


def test_a_new_slide_is_told_to_the_processing_and_the_sinks_before_its_first_frame():
    told: list[str] = []
    processing = treated(motion=lambda pixels: told.append("frame"), on_new_slide=lambda: told.append("new slide"))
    items = [a_frame(0), Note("cam", "new slide ab", "new slide", "ab" * 8), a_frame(1)]
    _, sink = classify_all(items, processing=processing)
    assert told == ["frame", "new slide", "frame"]
    assert [getattr(event, "slide", None) for event in sink.events[:3]] == [None, "ab" * 8, None]


# age


@pytest.mark.parametrize(("age_ms", "reason"), [(99, None), (100, None), (101, "too old (101 ms, at most 100 ms)")])
def test_a_frame_older_than_the_limit_is_excluded(age_ms, reason):
    _, sink = classify_all([a_frame(0)], age_ms=100, clock=lambda: age_ms * 1_000_000)
    assert (sink.records[0].excluded and str(sink.records[0].excluded)) == reason


def test_a_frame_from_the_future_is_excluded():
    _, sink = classify_all([a_frame(0, captured_at=5_000_000)], clock=lambda: 0)
    assert str(sink.records[0].excluded) == "time stamp in the future (by 5 ms)"
    assert sink.records[0].regions == ()


def test_a_wall_clock_that_jumps_changes_no_age_and_ends_nothing():
    wall = iter([1e9, 1e9 - 86_400, 1e9 + 86_400])
    session, sink = classify_all(
        [a_frame(i) for i in range(3)], seconds=60, age_ms=100, clock=lambda: 5_000_000, wall_clock=lambda: next(wall)
    )
    assert [(record.age_ms, record.excluded) for record in sink.records] == [(5.0, None)] * 3
    assert [record.wall_time for record in sink.records] == [1e9, 1e9 - 86_400, 1e9 + 86_400]
    assert session.seconds == 0


# limits and stops


def test_it_stops_after_so_many_frames_and_asks_for_no_more():
    session, sink = classify_all([a_frame(0), a_frame(1), AssertionError("one frame too many")], frames=2)
    assert (session.counts.frames, session.stopped_by) == (2, None)
    assert sink.endings == ["session ended by a limit"]


def test_gaps_do_not_count_as_frames():
    session, sink = classify_all([Gap(0, "a.png", "damaged"), a_frame(1), a_frame(2)], frames=1)
    assert [record.frame.index for record in sink.records] == [1]
    assert sink.gaps == [Gap(0, "a.png", "damaged")]
    assert (session.counts.gaps, session.counts.first_gap) == (1, sink.gaps[0])


def ticking() -> Callable[[], int]:
    """Every look at the clock is a second later."""
    ticks = itertools.count(0, SECOND)
    return lambda: next(ticks)


def test_it_stops_once_the_time_is_over():
    session, _ = classify_all([a_frame(i) for i in range(100)], seconds=30, clock=ticking())
    assert 1 <= session.counts.frames < 20
    assert session.seconds >= 30


def test_it_stops_in_time_even_where_only_gaps_come():
    gaps = itertools.chain([a_frame(0)], (Gap(i, "x", "dark") for i in itertools.count(1)))
    session, sink = classify_all(gaps, seconds=30, clock=ticking())
    assert session.counts.frames == 1
    assert 1 <= len(sink.gaps) <= 30


def test_a_stop_ends_the_session_after_the_frame_in_hand():
    control = Control()
    session, sink = classify_all([a_frame(0), lambda: control.stop("SIGTERM"), a_frame(1), a_frame(2)], control=control)
    assert session.stopped_by == "SIGTERM"
    assert [record.frame.index for record in sink.records] == [0]
    assert sink.endings == ["session ended by SIGTERM"]
    assert sink.closed == 1


def test_the_first_who_stops_counts():
    control = Control()
    control.stop("the user")
    control.stop("SIGTERM")
    assert control.stopped_by == "the user"


def test_a_stop_before_the_first_frame_is_no_error():
    control = Control()
    control.stop("the user")
    session, _ = classify_all([a_frame(0)], control=control)
    assert (session.counts.frames, session.stopped_by) == (0, "the user")


def test_a_pause_holds_a_folder_back_and_nothing_is_lost():
    control = Control()
    control.pause()
    looks = itertools.count()

    class ResumesAtTheThirdLook(HealthMonitor):
        def poll(self) -> Health | None:
            if next(looks) == 3:
                control.resume()
            return None

    monitor = ResumesAtTheThirdLook(Health, lambda: 0)
    _, sink = classify_all([a_frame(0), a_frame(1)], control=control, health=monitor)
    assert (sink.notes, sink.endings) == (["paused", "goes on"], ["session ended by the end of the source"])
    assert [record.frame.index for record in sink.records] == [0, 1]


# troubles


def test_only_gaps_are_an_error_that_names_the_first():
    sink = Remembers()
    with pytest.raises(SourceError, match=r"listed: not one frame could be read: a\.png: damaged"):
        classify_all([Gap(0, "a.png", "damaged"), Gap(1, "b.png", "empty")], sink=sink)
    assert sink.endings == ["session ended by a failing source: listed: not one frame could be read: a.png: damaged"]
    assert sink.closed == 1


def test_a_source_without_any_item_is_an_error():
    with pytest.raises(SourceError, match="not one frame"):
        classify_all([])


def test_a_programming_error_in_a_sink_keeps_its_traceback_and_the_other_sinks_are_closed():
    class Broken(Remembers):
        def take(self, event: Event) -> None:
            raise ZeroDivisionError

    broken, sound = Broken(), Remembers()
    source = Listed([a_frame(0)])
    with pytest.raises(ZeroDivisionError):
        run(source, colour_classifier(), [sound, broken])
    assert (broken.closed, sound.closed, source.closed) == (1, 1, 1)


def test_a_sink_that_cannot_be_closed_does_not_keep_the_others_open():
    class Jammed(Remembers):
        def close(self) -> None:
            raise OSError("disk full")

    sound = Remembers()
    with pytest.raises(OSError, match="disk full"):
        run(Listed([a_frame(0)]), colour_classifier(), [sound, Jammed()])
    assert sound.closed == 1


def test_what_the_machine_goes_through_is_told_when_it_changes():
    readings = iter([Health(), Health(throttle_mask=4), Health(throttle_mask=4), Health(throttle_mask=0)])
    ticks = itertools.count(0, 10 * SECOND)
    monitor = HealthMonitor(lambda: next(readings), lambda: next(ticks))
    session, sink = classify_all([a_frame(i) for i in range(3)], health=monitor)
    assert [health.conditions for health in sink.health] == [("throttled",), ()]
    assert [record.health.throttled for record in sink.records] == [True, True, False]
    assert session.counts.throttled == 2


# a runtime that hangs


def hanging(*hangs_at: int, answer_s: float = 0.05) -> tuple[Colour, WatchedRuntime]:
    colour = Colour(hangs_at)
    return colour, WatchedRuntime(colour, answer_s)


def test_a_frame_that_the_runtime_hangs_on_is_a_gap_and_a_new_runtime_goes_on():
    first, watched = hanging(1, answer_s=1.0)  # it must answer frame 0, on a busy machine too
    session, sink = classify_all([a_frame(i) for i in range(4)], classifier=colour_classifier(watched), reopen=colour_classifier)
    first.let_go.set()
    assert [record.frame.index for record in sink.records] == [0, 2, 3]
    assert sink.gaps == [Gap(1, "1.png", "no verdict: colour 1 gave no answer within 1 s")]
    assert (sink.notes, sink.endings) == (["runtime colour restarted, 1 of 3 times"], ["session ended by the end of the source"])
    assert session.restarts == 1


def test_an_answer_that_comes_too_late_is_never_a_verdict_of_another_frame():
    first, watched = hanging(0)
    second = colour_classifier()
    items = [a_frame(0), first.let_go.set, a_frame(1)]
    _, sink = classify_all(items, classifier=colour_classifier(watched), reopen=lambda: second)
    assert [record.frame.index for record in sink.records] == [1]
    assert second.runtime.calls == 1


def test_a_runtime_that_hangs_again_and_again_ends_the_session():
    made = [hanging(0) for _ in range(3)]
    spare = iter(made[1:])
    sink = Remembers()
    with pytest.raises(RuntimeUnavailable, match=r"gave no answer within 0\.05 s; given up after 2 restarts"):
        classify_all(
            [a_frame(i) for i in range(9)],
            classifier=colour_classifier(made[0][1]),
            reopen=lambda: colour_classifier(next(spare)[1]),
            restart=RestartPolicy(times=2),
            sink=sink,
        )
    for colour, _ in made:
        colour.let_go.set()
    assert sink.records == []
    assert len(sink.gaps) == 3
    assert sink.closed == 1


def test_what_was_seen_before_a_failure_is_returned():
    first, watched = hanging(1, answer_s=1.0)
    session, sink = classify_all([a_frame(0), a_frame(1)], classifier=colour_classifier(watched), reopen=None)
    first.let_go.set()
    assert "given up after 0 restarts" in str(session.failure)
    assert session.counts.verdicts == 1
    assert sink.endings[-1].startswith("session ended by a failing runtime: colour 1 gave no answer")
    assert sink.closed == 1


def test_a_camera_that_is_lost_for_good_is_a_failure_after_its_frames():
    source = Listed([a_frame(0)], [SourceError("listed", "gone")], live=True)
    session = run(source, colour_classifier(), [], reconnect=ReconnectPolicy(first_s=0, longest_s=0, times=2))
    assert str(session.failure) == "listed: gone; given up after 2 reopenings"
    assert (session.counts.frames, session.counts.gaps) == (1, 2)


def test_a_disk_that_is_full_at_the_very_last_is_a_failure_after_its_frames():
    class FullAtTheEnd(Remembers):
        def take(self, event: Event) -> None:
            if isinstance(event, SessionEnd):
                raise JournalError("disk full")
            super().take(event)

    session, sink = classify_all([a_frame(0)], sink=FullAtTheEnd())
    assert str(session.failure) == "disk full"
    assert (session.counts.frames, sink.closed) == (1, 1)


# a live camera; test_capture.py has more


def test_of_a_live_camera_the_newest_frame_is_classified_and_the_rest_is_counted():
    overtaken, done = threading.Event(), threading.Event()

    class Slow(Remembers):
        """Takes the first record for as long as it takes the camera to show five more frames."""

        def take(self, event: Event) -> None:
            super().take(event)
            if len(self.records) == 1:
                assert overtaken.wait(10)

    sink = Slow()

    def camera() -> Iterator[Item]:
        yield a_frame(0)
        while not sink.records:
            time.sleep(0.001)
        yield from (a_frame(i) for i in range(1, 6))
        yield overtaken.set
        done.wait(0.2)

    session = run(Listed(camera(), live=True), colour_classifier(), [sink], limits=Limits(frames=2))
    done.set()
    assert [(record.frame.index, record.skipped) for record in sink.records] == [(0, 0), (5, 4)]
    assert session.counts.skipped == 4


# what sinks see


def test_notes_of_a_source_reach_the_sinks():
    _, sink = classify_all([Note("listed", "locked: exposure 8000 us"), a_frame(0)])
    assert sink.notes[0] == "locked: exposure 8000 us"


def test_frames_are_told_with_their_pixels():
    _, sink = classify_all([a_frame(0)])
    assert isinstance(sink.records[0].frame, Frame)
    assert sink.records[0].frame.pixels.shape == (8, 8, 3)


# how it ended


def test_a_program_error_is_told_to_every_sink_as_the_end_before_it_is_raised():
    class Broken(Remembers):
        def take(self, event: Event) -> None:
            raise ZeroDivisionError("a bug")

    sound, broken, after = Remembers(), Broken(), Remembers()
    with pytest.raises(ZeroDivisionError):
        run(Listed([a_frame(0)]), colour_classifier(), [sound, broken, after])
    assert sound.endings == after.endings == ["session ended by a program error: ZeroDivisionError: a bug"]
    assert (sound.closed, broken.closed, after.closed) == (1, 1, 1)


def test_what_was_seen_before_a_program_error_is_returned_where_failures_are_asked_for():
    class Breaks(Remembers):
        def take(self, event: Event) -> None:
            super().take(event)
            if len(self.records) == 2 and not self.endings:
                raise KeyError("a bug")

    session = run(Listed([a_frame(i) for i in range(5)]), colour_classifier(), [Breaks()], returns_failures=True)
    assert (session.counts.frames, type(session.failure)) == (2, KeyError)
    assert session.ending == Ending(EndedBy.PROGRAM_ERROR, "KeyError: 'a bug'")


@pytest.mark.parametrize("frames", [0, 2])
@pytest.mark.parametrize("live", [False, True])
def test_an_exception_of_the_source_is_the_sources_failure(frames, live):
    items = [*(a_frame(i) for i in range(frames)), RuntimeError("the driver broke")]
    sink, hasty = Remembers(), ReconnectPolicy(first_s=0, longest_s=0, times=1)
    source = Listed(items, [RuntimeError("the driver broke")], live=live)
    session = run(source, colour_classifier(), [sink], reconnect=hasty, returns_failures=True)
    assert session.ending.by is EndedBy.SOURCE_FAILURE
    assert "the driver broke" in session.ending.detail
    assert sink.endings == [f"session {session.ending}"]


def test_a_source_that_cannot_be_closed_is_the_sources_failure():
    def camera() -> Iterator[Item]:
        try:
            yield a_frame(0)
            yield a_frame(1)
        finally:
            raise RuntimeError("the driver hangs on to it")

    class Camera(Listed):
        def frames(self):
            return camera()

    session = run(Camera([]), colour_classifier(), [], limits=Limits(frames=1), returns_failures=True)
    assert session.ending == Ending(EndedBy.SOURCE_FAILURE, "listed: the driver fails (RuntimeError: the driver hangs on to it)")
    assert session.counts.frames == 1


def test_an_interrupt_that_nobody_else_takes_is_the_users_end_and_raised():
    sink = Remembers()
    with pytest.raises(KeyboardInterrupt):
        run(Listed([a_frame(0), KeyboardInterrupt()]), colour_classifier(), [sink])
    assert (sink.endings, sink.closed) == (["session ended by the user"], 1)


class Panic(BaseException):
    """As of a library in Rust: no Exception."""


def test_what_is_no_exception_is_a_failure_of_who_raised_it_and_what_was_seen_is_kept():
    class Panics(Remembers):
        def take(self, event: Event) -> None:
            super().take(event)
            if isinstance(event, FrameResult):
                raise Panic("rust")

    sink = Panics()
    session = run(Listed([a_frame(0), a_frame(1)]), colour_classifier(), [sink], returns_failures=True)
    assert session.ending == Ending(EndedBy.PROGRAM_ERROR, "Panic: rust")
    assert (sink.endings, session.counts.frames) == (["session ended by a program error: Panic: rust"], 1)
    session = run(Listed([a_frame(0), Panic("rust")]), colour_classifier(), [], returns_failures=True)
    assert session.ending == Ending(EndedBy.SOURCE_FAILURE, "listed: the driver fails (Panic: rust)")


def test_an_exit_in_the_middle_is_no_proper_end():
    class Exits(Remembers):
        def take(self, event: Event) -> None:
            super().take(event)
            if isinstance(event, FrameResult):
                raise SystemExit(3)

    sink = Exits()
    with pytest.raises(SystemExit):
        run(Listed([a_frame(0), a_frame(1)]), colour_classifier(), [sink])
    assert sink.endings == ["session ended by a program error: it was broken off"]


def test_what_shows_only_when_a_sink_is_closed_is_the_sessions_failure():
    class DeadDisk(Remembers):
        def close(self) -> None:
            super().close()
            raise JournalError("recording stopped: Input/output error")

    after = Remembers()
    session = run(Listed([a_frame(0)]), colour_classifier(), [DeadDisk(), after])
    assert session.ending == Ending(EndedBy.RECORDING_FAILURE, "recording stopped: Input/output error")
    assert isinstance(session.failure, JournalError)
    assert after.closed == 1


def test_a_source_with_nothing_left_has_ended_and_not_failed():
    nothing = NothingLeft("slides", "nothing is left: its 3 frames came before the session was resumed")
    session = run(Listed([nothing]), colour_classifier(), [], returns_failures=True)
    assert (session.ending.by, session.ending.is_failure, session.failure) == (EndedBy.SOURCE, False, nothing)
