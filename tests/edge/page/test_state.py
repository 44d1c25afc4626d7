import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import a_frame

from leukolite.classes import Classes
from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import LARGE_BYTES, Gap, Note
from leukolite.edge.control import Control
from leukolite.edge.counts import SessionCounts
from leukolite.edge.events import Event, FrameResult, RegionResult
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.host.health import Health
from leukolite.edge.page.state import About, Live, Share, shown_pixels, state_json
from leukolite.runtime import RuntimeInfo

ABOUT = About("tiny", "cell", Classes.of(("blast", "healthy"), ("blast",)), "synthetic")


class Counted(Live):
    """A page's state behind a session's count, told of each event in the pipeline's order."""

    def __init__(self, about: About = ABOUT, **options: object) -> None:
        self.counts = SessionCounts(about.classes)
        super().__init__(about, self.counts, **options)

    def take(self, event: Event) -> None:
        self.counts.take(event)
        super().take(event)


def classified(
    *labels: str, index: int = 0, captured_at: int = 0, excluded: Exclusion | None = None, **fields: object
) -> FrameResult:
    """A result with a region for each label; a label in (brackets) is the kind of exclusion of its region."""
    regions = []
    for label in labels:
        verdict, reason = None, Exclusion.parse(label[1:-1])
        if not label.startswith("("):
            k = None if label == "abstain" else ABOUT.classes.labels.index(label)
            verdict, reason = Verdict(k, label, 0.9, np.array([0.9, 0.1]), Latency(1.0, 1.0, 1.0, 1.0)), None
        regions.append(RegionResult((0, 0, 8, 8), 0.0, verdict, reason))
    used = RuntimeInfo(name="litert", version="2", threads=1)
    record = FrameResult(
        a_frame(index, captured_at=captured_at), tuple(regions), excluded, None, 12.0, 0.1, 0, used, Health(), 1e9
    )
    return replace(record, **fields)


def new_slide(slide: str) -> Note:
    """As the pipeline tells it, once the frames before are through."""
    return Note("synthetic", f"new slide {slide}", "new slide", slide)


def shown(live: Live, control: Control | None = None, *, now: int = 0, recording: object = None, **others: object) -> dict:
    made = state_json(live.now, live.about, control or Control(), Health(temperature_c=61.26), recording, now, **others)
    json.dumps(made, allow_nan=False)
    return made


def test_the_newest_frame_is_shown_with_its_verdicts_and_all_are_counted():
    live = Counted(ABOUT, clock=lambda: 0)
    for i, labels in enumerate([("blast", "healthy", "abstain"), ("blast", "(too small (12 px))"), ("healthy", "blast")]):
        live.take(classified(*labels, index=i))
    page = shown(live, now=2_500_000_000)
    assert page["picture"]["index"] == 2
    assert [region["kind"] for region in page["picture"]["regions"]] == ["other", "malignant"]
    assert page["picture"]["age_s"] == 2.5
    slide = page["slide"]
    assert [entry["n"] for entry in slide["counted"]] == [3, 2]
    assert (slide["n"], slide["abstained"], slide["excluded"]) == (5, 1, [{"reason": "too small", "n": 1}])


def test_an_abstention_is_in_neither_part_of_the_fraction():
    live = Counted(ABOUT)
    live.take(classified("blast", "healthy", "healthy", "abstain"))
    share = shown(live)["slide"]["share"]
    assert share["value"] == pytest.approx(1 / 3)
    assert share["interval"][0] < 1 / 3 < share["interval"][1]
    assert "not corrected" in share["note"]


def test_a_fraction_can_be_estimated_otherwise():
    live = Counted(ABOUT)
    live.take(classified("blast", "healthy"))
    share = shown(live, estimate=lambda n_malignant, n: Share(n_malignant / n / 5, (0.0, 0.2), "corrected"))["slide"]["share"]
    assert share == {"value": 0.1, "interval": (0.0, 0.2), "note": "corrected"}


def test_without_malignant_labels_there_is_no_fraction_and_no_alarming_colour():
    live = Counted(replace(ABOUT, classes=Classes.of(ABOUT.classes.labels)))
    live.take(classified("blast"))
    page = shown(live)
    assert page["slide"]["share"] is None
    assert page["picture"]["regions"][0]["kind"] == "plain"


def test_only_the_first_noise_levels_regions_are_drawn():
    live = Counted(ABOUT)
    record = classified("blast", "healthy")
    live.take(replace(record, regions=(record.regions[0], replace(record.regions[1], sigma=10.0))))
    assert [region["label"] for region in shown(live)["picture"]["regions"]] == ["blast"]


def test_an_excluded_frame_is_shown_with_its_reason_and_its_age_is_no_latency():
    live = Counted(ABOUT)
    live.take(classified(excluded=Exclusion.of(ExclusionKind.BLURRED, "focus 12")))
    page = shown(live)
    assert page["picture"]["excluded"] == "blurred (focus 12)"
    assert page["slide"]["excluded"] == [{"reason": "blurred", "n": 1}]
    assert page["latency"] is None


def test_a_probability_that_is_no_number_is_shown_as_none():
    live = Counted(ABOUT)
    record = classified("blast")
    verdict = replace(record.regions[0].verdict, probability=float("nan"))
    live.take(replace(record, regions=(replace(record.regions[0], verdict=verdict),)))
    assert shown(live)["picture"]["regions"][0]["probability"] is None


def test_what_state_the_session_is_in():
    live, control = Counted(ABOUT), Control()
    assert shown(live, control)["state"] == "waiting"
    live.take(classified("blast"))
    assert shown(live, control)["state"] == "running"
    live.take(Gap(1, "cam", "signal lost: unplugged"))
    assert (shown(live, control)["state"], shown(live, control)["lost"]) == ("lost", "signal lost: unplugged")
    live.take(classified("blast"))
    assert shown(live, control)["state"] == "running"
    control.pause()
    assert shown(live, control)["state"] == "paused"
    control.stop("the user")
    assert shown(live, control)["state"] == "ended"


def test_the_newest_messages_come_first_and_old_ones_go():
    live = Counted(ABOUT, wall_clock=lambda: 5.0)
    for i in range(20):
        live.take(Note("cam", f"note {i}"))
    live.take(Health(temperature_c=85.0))
    messages = shown(live)["messages"]
    assert [message["text"] for message in messages[:2]] == ["machine: hot", "cam: note 19"]
    assert len(messages) < 10


def test_latency_and_rate_are_of_the_recent_frames():
    times = iter([0, *range(0, 1_000_000_000, 100_000_000)])
    live = Counted(ABOUT, clock=lambda: next(times))
    for i in range(10):
        live.take(classified("blast", age_ms=float(i)))
    latency = shown(live, now=900_000_000)["latency"]
    assert (latency["p50_ms"], latency["last_ms"], latency["frames_per_s"]) == (4.5, 9.0, 10.0)


@pytest.mark.parametrize("stopped", [None, "disk full"])
def test_the_recording_is_shown_as_it_says_of_itself(stopped):
    class State:
        records, unrecorded = 12, 3

    State.stopped = stopped
    assert shown(Counted(ABOUT), recording=State())["recording"] == {"stopped": stopped, "records": 12, "unrecorded": 3}
    assert shown(Counted(ABOUT))["recording"] is None


def test_a_new_slide_counts_from_nought_and_shows_no_picture_of_the_one_before():
    now = [100]
    live = Counted(ABOUT, clock=lambda: now[0])
    live.take(classified("blast", "blast", captured_at=90))
    live.new_slide("S-17/2026")
    page = shown(live)
    assert (page["slide"]["number"], page["slide"]["n"], page["picture"], page["latency"]) == (2, 0, None, None)
    live.take(classified("blast", captured_at=99))  # was on its way when the button was pressed
    assert shown(live)["slide"]["n"] == 0
    assert shown(live)["picture"] is None
    live.take(new_slide(live.now.slide.counts.slide))
    live.take(classified("healthy", captured_at=101))
    assert [entry["n"] for entry in shown(live)["slide"]["counted"]] == [0, 1]


def test_a_slide_that_is_begun_again_under_its_name_counts_from_nought():
    live = Counted(ABOUT, clock=lambda: 0)
    slide = live.new_slide("S-17/2026")
    live.take(new_slide(slide))
    live.take(classified("blast"))
    assert (shown(live)["slide"]["named"], shown(live)["slide"]["n"]) == (True, 1)
    assert live.new_slide("S-17/2026") == slide
    live.take(Gap(1, "cam", "dark"))  # comes before the pipeline has told of the new slide
    assert (shown(live)["slide"]["number"], shown(live)["slide"]["n"], shown(live)["slide"]["gaps"]) == (3, 0, 0)
    live.take(new_slide(slide))
    live.take(classified("healthy"))
    assert [entry["n"] for entry in shown(live)["slide"]["counted"]] == [0, 1]
    assert [counts.gaps for counts in live.counts.slides] == [0, 1, 0]


def test_a_slides_name_is_nowhere_and_its_id_is_the_sessions_own():
    live, other = Counted(ABOUT), Counted(ABOUT)
    ids = [live.new_slide("S-17/2026"), live.new_slide(" S-17/2026 "), live.new_slide("S-18/2026"), other.new_slide("S-17/2026")]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(each) == 16 for each in ids)
    assert "S-17" not in json.dumps(shown(live)) + repr(vars(live))


def test_the_page_tells_no_slides_id_whose_ever_it_is_and_whatever_was_typed():
    live = Counted(ABOUT, clock=lambda: 0)
    pages = [shown(live)]
    ids = []
    for name in ("S-17", "S-18", "S-17"):
        ids.append(live.new_slide(name))
        pages.append(shown(live))
        live.take(new_slide(ids[-1]))
        live.take(classified("blast"))
        pages.append(shown(live))
    assert not any(slide[:6] in json.dumps(pages) for slide in ids)
    again, before = ({**page["slide"], "number": 0} for page in (pages[-1], pages[2]))
    assert again == before  # nothing tells that a name was there before
    assert next(message["text"] for message in pages[-1]["messages"]) == "slide 4 of this session begins"


def test_a_session_begins_so_many_slides_on_its_page_and_no_more(monkeypatch):
    monkeypatch.setattr("leukolite.edge.page.state.MOST_SLIDES", 3)
    live = Counted(ABOUT)
    for name in ("a", "b", "a"):
        live.new_slide(name)
    for name in ("a", "c"):
        with pytest.raises(
            ValueError, match=r"^3 slides were begun on this page, the most of a session; end the session and begin"
        ):
            live.new_slide(name)
    assert live.now.slide.number == 4


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_slide_needs_a_name_of_sensible_length(name):
    live = Counted(ABOUT)
    with pytest.raises(ValueError, match="at most 200 characters"):
        live.new_slide(name)
    assert live.now.slide.number == 1


def test_a_picture_has_another_number_after_a_new_slide():
    live = Counted(ABOUT, clock=lambda: 0)
    live.take(classified("blast"))
    first = live.now.picture
    live.new_slide("a")
    live.take(classified("blast"))
    assert (live.now.picture, first) == (2, 1)


def test_of_a_large_picture_only_what_is_shown_is_kept_and_its_size_is_told():
    live, result = Counted(ABOUT), classified("blast")
    large = np.arange(2500 * 2400 * 3, dtype=np.uint32).astype(np.uint8).reshape(2400, 2500, 3)
    assert large.nbytes >= LARGE_BYTES
    live.take(replace(result, frame=replace(result.frame, pixels=large)))
    np.testing.assert_array_equal(live.now.result.frame.pixels, shown_pixels(large))
    assert live.now.result.frame.pixels.shape == (983, 1024, 3)
    picture = shown(live)["picture"]
    assert (picture["width"], picture["height"]) == (2500, 2400)
    live.take(result)
    assert live.now.result is result
