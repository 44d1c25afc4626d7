import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import a_frame

from leukolite.classifier import Latency, Verdict
from leukolite.edge.camera.source import Gap, Note
from leukolite.edge.control import Control
from leukolite.edge.events import FrameResult, RegionResult
from leukolite.edge.host.health import Health
from leukolite.edge.page.state import About, Live, Share, view
from leukolite.runtime import RuntimeInfo

ABOUT = About("tiny", "cell", ("blast", "healthy"), ("blast",), "synthetic")


def judged(*labels: str, index: int = 0, captured_at: int = 0, excluded: str | None = None, **fields: object) -> FrameResult:
    """A record with an area a label; a label in (brackets) is a reason for which the area is excluded."""
    regions = []
    for label in labels:
        verdict, reason = None, label.strip("()")
        if not label.startswith("("):
            k = None if label == "abstain" else ABOUT.labels.index(label)
            verdict, reason = Verdict(k, label, 0.9, np.array([0.9, 0.1]), Latency(1, 1, 1, 3)), None
        regions.append(RegionResult((0, 0, 8, 8), 0.0, verdict, reason))
    used = RuntimeInfo("litert", "2", 1, None)
    record = FrameResult(
        a_frame(index, captured_at=captured_at), tuple(regions), excluded, None, 12.0, 0.1, 0, used, Health(), 1e9
    )
    return replace(record, **fields)


def shown(live: Live, control: Control | None = None, *, now: int = 0, recording: object = None, **others: object) -> dict:
    made = view(live.now, live.about, control or Control(), Health(temperature_c=61.26), recording, now, **others)
    json.dumps(made, allow_nan=False)
    return made


def test_the_newest_frame_is_shown_with_its_verdicts_and_all_are_counted():
    live = Live(ABOUT, clock=lambda: 0)
    for i, labels in enumerate([("blast", "healthy", "abstain"), ("blast", "(debris (12 px))"), ("healthy", "blast")]):
        live.take(judged(*labels, index=i))
    page = shown(live, now=2_500_000_000)
    assert page["picture"]["index"] == 2
    assert [region["kind"] for region in page["picture"]["areas"]] == ["other", "malignant"]
    assert page["picture"]["age_s"] == 2.5
    slide = page["slide"]
    assert [entry["n"] for entry in slide["counted"]] == [3, 2]
    assert (slide["n"], slide["abstained"], slide["excluded"]) == (5, 1, [{"reason": "debris", "n": 1}])


def test_an_abstention_is_in_neither_part_of_the_fraction():
    live = Live(ABOUT)
    live.take(judged("blast", "healthy", "healthy", "abstain"))
    share = shown(live)["slide"]["share"]
    assert share["value"] == pytest.approx(1 / 3)
    assert share["interval"][0] < 1 / 3 < share["interval"][1]
    assert "not corrected" in share["note"]


def test_a_fraction_can_be_estimated_otherwise():
    live = Live(ABOUT)
    live.take(judged("blast", "healthy"))
    share = shown(live, estimate=lambda called, n: Share(called / n / 5, (0.0, 0.2), "corrected"))["slide"]["share"]
    assert share == {"value": 0.1, "interval": (0.0, 0.2), "note": "corrected"}


def test_without_malignant_labels_there_is_no_fraction_and_no_alarming_colour():
    live = Live(replace(ABOUT, malignant=()))
    live.take(judged("blast"))
    page = shown(live)
    assert page["slide"]["share"] is None
    assert page["picture"]["areas"][0]["kind"] == "plain"


def test_only_the_first_noise_levels_areas_are_drawn():
    live = Live(ABOUT)
    record = judged("blast", "healthy")
    live.take(replace(record, regions=(record.regions[0], replace(record.regions[1], sigma=10.0))))
    assert [region["label"] for region in shown(live)["picture"]["areas"]] == ["blast"]


def test_an_excluded_frame_is_shown_with_its_reason_and_its_age_is_no_latency():
    live = Live(ABOUT)
    live.take(judged(excluded="blurred (focus 12)"))
    page = shown(live)
    assert page["picture"]["excluded"] == "blurred (focus 12)"
    assert page["slide"]["excluded"] == [{"reason": "blurred", "n": 1}]
    assert page["latency"] is None


def test_a_probability_that_is_no_number_is_shown_as_none():
    live = Live(ABOUT)
    record = judged("blast")
    verdict = replace(record.regions[0].verdict, probability=float("nan"))
    live.take(replace(record, regions=(replace(record.regions[0], verdict=verdict),)))
    assert shown(live)["picture"]["areas"][0]["probability"] is None


def test_what_state_the_session_is_in():
    live, control = Live(ABOUT), Control()
    assert shown(live, control)["state"] == "waiting"
    live.take(judged("blast"))
    assert shown(live, control)["state"] == "running"
    live.take(Gap(1, "cam", "signal lost: unplugged"))
    assert (shown(live, control)["state"], shown(live, control)["lost"]) == ("lost", "signal lost: unplugged")
    live.take(judged("blast"))
    assert shown(live, control)["state"] == "running"
    control.pause()
    assert shown(live, control)["state"] == "paused"
    control.stop("the user")
    assert shown(live, control)["state"] == "ended"


def test_the_newest_messages_come_first_and_old_ones_go():
    live = Live(ABOUT, wall_clock=lambda: 5.0)
    for i in range(20):
        live.take(Note("cam", f"note {i}"))
    live.take(Health(temperature_c=85.0))
    messages = shown(live)["messages"]
    assert [message["text"] for message in messages[:2]] == ["machine: hot", "cam: note 19"]
    assert len(messages) < 10


def test_latency_and_rate_are_of_the_recent_frames():
    times = iter([0, *range(0, 1_000_000_000, 100_000_000)])
    live = Live(ABOUT, clock=lambda: next(times))
    for i in range(10):
        live.take(judged("blast", age_ms=float(i)))
    latency = shown(live, now=900_000_000)["latency"]
    assert (latency["p50_ms"], latency["last_ms"], latency["frames_per_s"]) == (4.5, 9.0, 10.0)


@pytest.mark.parametrize("stopped", [None, "disk full"])
def test_the_recording_is_shown_as_it_says_of_itself(stopped):
    class State:
        records, unrecorded = 12, 3

    State.stopped = stopped
    assert shown(Live(ABOUT), recording=State())["recording"] == {"stopped": stopped, "records": 12, "unrecorded": 3}
    assert shown(Live(ABOUT))["recording"] is None


def test_a_new_slide_counts_from_nought_and_shows_no_picture_of_the_one_before():
    now = [100]
    live = Live(ABOUT, clock=lambda: now[0])
    live.take(judged("blast", "blast", captured_at=90))
    live.new_slide("S-17/2026")
    page = shown(live)
    assert (page["slide"]["number"], page["slide"]["n"], page["picture"], page["latency"]) == (2, 0, None, None)
    live.take(judged("blast", captured_at=99))  # was on its way when the button was pressed
    assert shown(live)["slide"]["n"] == 0
    assert shown(live)["picture"] is None
    live.take(judged("healthy", captured_at=101))
    assert [entry["n"] for entry in shown(live)["slide"]["counted"]] == [0, 1]


def test_a_slides_name_is_nowhere_and_its_id_is_the_sessions_own():
    live, other = Live(ABOUT), Live(ABOUT)
    ids = [live.new_slide("S-17/2026"), live.new_slide(" S-17/2026 "), live.new_slide("S-18/2026"), other.new_slide("S-17/2026")]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(len(each) == 16 for each in ids)
    assert "S-17" not in json.dumps(shown(live)) + repr(vars(live))


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_slide_needs_a_name_of_sensible_length(name):
    live = Live(ABOUT)
    with pytest.raises(ValueError, match="at most 200 characters"):
        live.new_slide(name)
    assert live.now.slide.number == 1


def test_a_picture_has_another_number_after_a_new_slide():
    live = Live(ABOUT, clock=lambda: 0)
    live.take(judged("blast"))
    first = live.now.picture
    live.new_slide("a")
    live.take(judged("blast"))
    assert (live.now.picture, first) == (2, 1)
