"""The contract of `Sink`: one suite that every sink runs."""

import hashlib
import itertools
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from journals import start

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict
from leukolite.decision import ABSTAIN
from leukolite.edge.camera.source import Frame, Gap, Note
from leukolite.edge.control import Control
from leukolite.edge.counts import SessionCounts
from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.events import Event, FrameResult, RegionResult, SessionEnd, Sink
from leukolite.edge.field.exclusion import NO_WHITE_CELL, Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.edge.journal.format import verify
from leukolite.edge.journal.sink import JournalSink, open_recording
from leukolite.edge.list_sink import ListSink
from leukolite.edge.page.listen import Address, listening
from leukolite.edge.page.state import About, Live
from leukolite.edge.report.console import Console
from leukolite.edge.report.results import ResultCollector, session_csv
from leukolite.edge.report.summary import Thumbnails
from leukolite.runtime import RuntimeInfo

CLASSES = Classes.of(("blast", "healthy"), ("blast",))
RUNTIME = RuntimeInfo(name="litert", version="2", threads=1)
SLIDE = "ab" * 8


def verdict(k: int | None) -> Verdict:
    label = ABSTAIN if k is None else CLASSES.labels[k]
    return Verdict(k, label, 0.9, np.array([0.9, 0.1]), Latency(1.0, 1.0, 1.0, 1.0))


def result(
    index: int, *regions: RegionResult, excluded: Exclusion | None = None, truth: int | None = None, **fields: object
) -> FrameResult:
    pixels = np.random.default_rng(index).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    frame = Frame(pixels, index, 1000 + index, 1.5, f"{index}.png", None if truth is None else CLASSES.labels[truth])
    return replace(FrameResult(frame, regions, excluded, truth, 12.0, 0.1, 0, RUNTIME, Health(), 1e9), **fields)


def a_region(k: int | None = 0, sigma: float = 0.0, place: int = 0) -> RegionResult:
    return RegionResult((place, place, place + 32, place + 32), sigma, verdict(k), None)


WHOLE = RegionResult((0, 0, 64, 64), 0.0, verdict(1), None)
REFUSED = RegionResult((8, 8, 40, 40), 0.0, None, Exclusion.of(ExclusionKind.SMALL, "5 px"))


def events() -> list[Event]:
    """One of every kind, and of every shape that a frame's result has."""
    other = RuntimeInfo(name="edgetpu", version="2", threads=1, delegate="libedgetpu.so.1")
    return [
        result(0, WHOLE, truth=1),
        result(1, a_region(0), a_region(1, place=30), REFUSED),
        result(2, a_region(0), a_region(1, sigma=10.0), truth=0),
        result(3, a_region(None), truth=0),
        result(4, REFUSED),
        result(5, excluded=Exclusion.of(ExclusionKind.BLURRED, "focus 1.20, at least 2.00")),
        result(6, excluded=NO_WHITE_CELL, truth=1),
        result(7, a_region(0, sigma=10.0)),
        result(8, WHOLE, skipped=3, runtime=other, health=Health(temperature_c=85.0, throttle_mask=4)),
        Gap(9, "9.png", "damaged or truncated"),
        Note("camera", "opened: 640x480, MJPG"),
        Note("camera", "paused", "paused"),
        Note("camera", "goes on", "unpaused"),
        Note("camera", f"new slide {SLIDE}", "new slide", SLIDE),
        Health(temperature_c=85.0, throttle_mask=0x50005, memory_free_mb=10.0),
        Health(),
        SessionEnd("camera", Ending(EndedBy.SIGTERM)),
    ]


@dataclass
class Case:
    """A sink under test.

    Attributes:
        kept: what it holds or wrote, as something that compares.
        feeds: what is told of an event before the sink is, as the pipeline tells the count.
        keeps_pixels: it holds the very frames, which no source changes afterwards.
    """

    sink: Sink
    kept: Callable[[], object]
    feeds: tuple[Sink, ...] = ()
    keeps_pixels: bool = False

    def take(self, event: Event) -> None:
        for sink in (*self.feeds, self.sink):
            sink.take(event)


class Sinks:
    """Makes each kind's case; a new sink is one method here."""

    def __init__(self, folder: Path, cleanup: ExitStack) -> None:
        self._folder, self._cleanup = folder, cleanup

    def console(self) -> Case:
        lines: list[str] = []
        return Case(Console(lines.append, lines.append), lambda: list(lines))

    def quiet_console(self) -> Case:
        lines: list[str] = []
        return Case(Console(lines.append, lines.append, verdicts=False), lambda: list(lines))

    def result_collector(self) -> Case:
        sink = ResultCollector(CLASSES.labels, (0.0, 10.0))
        return Case(sink, lambda: (str(sink.rows), session_csv(sink), list(sink.gaps), list(sink.notes), str(sink.verdicts)))

    def journal(self) -> Case:
        return self._journal(keep_frames=False)

    def journal_with_frames(self) -> Case:
        return self._journal(keep_frames=True)

    def thumbnails(self) -> Case:
        sink = Thumbnails()
        return Case(sink, lambda: [sink.of_slide(number, (*CLASSES.labels, ABSTAIN)) for number in range(30)])

    def session_counts(self) -> Case:
        sink = SessionCounts(CLASSES, (0.0, 10.0))
        return Case(sink, lambda: (sink.to_json(), sink.latency_ms(), sink.rates(), str(sink.slides), sink.happened))

    def live(self) -> Case:
        live, counts = self._live()
        return Case(live, lambda: str((live.now.slide, live.now.lost, live.now.messages)), (counts,), keeps_pixels=True)

    def page_server(self) -> Case:
        pytest.importorskip("uvicorn")
        from leukolite.edge.host.health import HealthMonitor
        from leukolite.edge.page.server import serve_page

        live, counts = self._live()
        listener = self._cleanup.enter_context(listening(Address("127.0.0.1", 0)))
        sink = serve_page(live, listener, Control(), HealthMonitor(Health, lambda: 0), None, None)
        self._cleanup.callback(sink.close)
        return Case(sink, lambda: str((live.now.slide, live.now.lost, live.now.messages)), (counts,), keeps_pixels=True)

    def list_sink(self) -> Case:
        sink = ListSink()
        return Case(sink, lambda: [id(event) for event in sink.events], keeps_pixels=True)

    def _live(self) -> tuple[Live, SessionCounts]:
        counts = SessionCounts(CLASSES)
        return Live(About("tiny", "cell", CLASSES, "camera"), counts, clock=lambda: 0, wall_clock=lambda: 0.0), counts

    def _journal(self, *, keep_frames: bool) -> Case:
        folder = self._folder / "session"
        sink = open_recording(folder, start(), resume=False, keep_frames=keep_frames)
        self._cleanup.callback(sink.close)

        def kept() -> object:
            pictures = sorted((folder / "frames").glob("*")) if keep_frames else []
            return sink.anchor, sink.state.records, [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures]

        return Case(sink, kept)


KINDS = [name for name in vars(Sinks) if not name.startswith("_")]


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    with ExitStack() as cleanup:
        yield getattr(Sinks(tmp_path, cleanup), request.param)()


def test_every_kind_of_event_is_taken_after_every_other(case):
    for one, other in itertools.permutations(events(), 2):
        case.take(one)
        case.take(other)
    case.sink.close()


@pytest.mark.parametrize("seed", range(3))
def test_events_are_taken_in_any_order(case, seed):
    shuffled = events()
    random.Random(seed).shuffle(shuffled)
    for event in shuffled:
        case.take(event)
    case.sink.close()


def test_a_session_without_any_event_is_closed(case):
    case.sink.close()


def test_closing_twice_is_harmless(case):
    for event in events():
        case.take(event)
    case.sink.close()
    before = case.kept()
    case.sink.close()
    assert case.kept() == before


def test_taking_an_event_changes_nothing_of_it(case):
    before, same = events(), events()
    for event in before:
        if isinstance(event, FrameResult):
            event.frame.pixels.flags.writeable = False
        case.take(event)
    for event, as_it_was in zip(before, same, strict=True):
        if isinstance(event, FrameResult):
            np.testing.assert_array_equal(event.frame.pixels, as_it_was.frame.pixels)
    case.sink.close()


def test_pixels_are_not_read_once_the_event_is_taken(case):
    """A sink that shows a frame later holds the frame itself, which no source changes: see the contract of `FrameSource`."""
    given = events()
    for event in given:
        case.take(event)
    before = case.kept()
    for event in given:
        if isinstance(event, FrameResult):
            event.frame.pixels[:] = 0
    assert case.kept() == before
    if not case.keeps_pixels:
        assert not any(
            event.frame.pixels is held for event in given if isinstance(event, FrameResult) for held in arrays(case.sink)
        )
    case.sink.close()


def arrays(held: object, depth: int = 6) -> list[np.ndarray]:
    """The arrays that an object of this package holds, a few references deep."""
    if isinstance(held, np.ndarray):
        return [held]
    if depth == 0 or isinstance(held, str | bytes | int | float):
        return []
    if isinstance(held, dict):
        inner: list[object] = list(held.values())
    elif isinstance(held, list | tuple | set):
        inner = list(held)
    elif type(held).__module__.startswith("leukolite"):
        slots = [name for kind in type(held).__mro__ for name in getattr(kind, "__slots__", ())]
        inner = [*getattr(held, "__dict__", {}).values(), *(getattr(held, name, None) for name in slots)]
    else:
        return []
    return [array for one in inner for array in arrays(one, depth - 1)]


def test_a_journal_of_events_in_any_order_verifies(tmp_path):
    with ExitStack() as cleanup:
        case = Sinks(tmp_path, cleanup).journal_with_frames()
        assert isinstance(case.sink, JournalSink)
        for event in events():
            case.take(event)
        case.sink.close()
        assert verify(tmp_path / "session").records == case.sink.state.records


def test_a_list_sink_takes_nothing_once_it_is_closed():
    sink = ListSink()
    sink.close()
    with pytest.raises(ValueError, match="the sink is closed"):
        sink.take(Health())


def test_a_list_sink_has_the_events_by_kind():
    sink = ListSink()
    for event in events():
        sink.take(event)
    assert sink.events[0].frame.index == 0
    assert [len(kind) for kind in (sink.results, sink.gaps, sink.notes, sink.health)] == [9, 1, 4, 2]
    assert sink.end == SessionEnd("camera", Ending(EndedBy.SIGTERM))
