"""The session's summary: the fraction's arithmetic, what is counted, and what the page shows."""

import csv
import io
import itertools
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import frame, left_out, start, verdict, write_sealed

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import open_classifier
from leukolite.cli import main as leukolite
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.counts import SessionCounts
from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.field.exclusion import ExclusionKind
from leukolite.edge.host.health import Health, HealthMonitor
from leukolite.edge.journal.count import JournalCounts
from leukolite.edge.journal.format import GENESIS, Entry, read
from leukolite.edge.journal.open import create_journal
from leukolite.edge.journal.records import (
    EventRecord,
    FrameRecord,
    GapRecord,
    HealthRecord,
    Record,
    SourceSettings,
    StartRecord,
    start_record,
)
from leukolite.edge.journal.sink import open_recording
from leukolite.edge.pipeline import Limits, run
from leukolite.edge.report.summary import SLIDES_WITH_THUMBNAILS, THUMBNAILS_PER_LABEL, Summary, Thumbnails, summarise, summary_of
from leukolite.edge.report.summary_page import enough_sentence, summary_csv, summary_json, summary_page
from leukolite.errors import JournalError
from leukolite.metrics import wilson_interval
from leukolite.prevalence import Prevalence, Validation, lang_reiczigel_interval, prevalence, validation_of
from leukolite.runtime import RuntimeOptions
from leukolite.sheets import encode_png
from leukolite.shipped import find_bundle

GOOD = Validation(sigma=0, malignant=300, hits=292, others=300, rejections=295)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def matrix(hits: int, malignant: int, rejections: int, others: int) -> Validation:
    return Validation(sigma=0, malignant=malignant, hits=hits, others=others, rejections=rejections)


def summed(*records: Record, began: StartRecord | None = None, pixels: np.ndarray | None = None, width: float = 0.1) -> Summary:
    """The summary of a journal of these records; each frame was kept as `pixels`, where they are given."""
    with tempfile.TemporaryDirectory() as folder:
        if pixels is not None:
            write_picture(Path(folder) / "frames" / "000000001.png", pixels)
            records = tuple(
                record.model_copy(update={"picture": "frames/000000001.png"}) if isinstance(record, FrameRecord) else record
                for record in records
            )
        return summarise(Path(folder), entries(began or start(), *records), wanted_width=width)


def entries(*records: Record) -> list[Entry]:
    """One a second."""
    return [
        Entry(seq=seq, at=NOON + timedelta(seconds=seq), up_ms=0, prev=GENESIS, record=record, sha256=GENESIS)
        for seq, record in enumerate(records)
    ]


def write_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir()
    path.write_bytes(encode_png(pixels))


def cells(blasts: int, healthy: int) -> list[Record]:
    said = [*(verdict(i, "blast") for i in range(blasts)), *(verdict(i, "healthy") for i in range(healthy))]
    return [record for one in said for record in (frame(one.index), one)]


# --- the blast fraction


@pytest.mark.parametrize(
    ("share", "n", "sensitivity", "n_malignant", "specificity", "n_others"),
    [
        (0.05, 200, 0.97, 195, 0.95, 36),
        (0.3, 200, 0.95, 100, 0.9, 100),
        (0.5, 500, 0.97, 300, 0.98, 300),
        (0.02, 500, 0.99, 194, 0.82, 93),
        (0.95, 200, 0.99, 194, 0.82, 93),
    ],
)
def test_the_interval_covers_the_true_share_19_times_in_20(share, n, sensitivity, n_malignant, specificity, n_others):
    rng, covered, times = np.random.default_rng(0), 0, 3000
    for _ in range(times):
        called = rng.binomial(n, share * sensitivity + (1 - share) * (1 - specificity))
        low, high = lang_reiczigel_interval(
            called, n, matrix(rng.binomial(n_malignant, sensitivity), n_malignant, rng.binomial(n_others, specificity), n_others)
        )
        covered += low <= share <= high
    assert 0.935 <= covered / times <= 0.99


def test_a_known_share_is_estimated_without_bias():
    """300 of 1000 malignant, found with 90% sensitivity and 80% specificity: 270 + 140 are called."""
    found = prevalence(410, 1000, matrix(900, 1000, 800, 1000))
    assert found.fraction == pytest.approx(0.3)
    assert found.apparent == 0.41
    assert found.interval is not None
    assert found.interval[0] < 0.3 < found.interval[1]


@given(
    n=st.integers(1, 5000),
    share=st.floats(0, 1),
    malignant=st.integers(1, 1000),
    others=st.integers(1, 1000),
    wrong=st.floats(0, 0.35),
)
def test_a_fraction_lies_within_its_interval_and_both_within_0_and_1(n, share, malignant, others, wrong):
    found = prevalence(
        round(share * n), n, matrix(malignant - int(wrong * malignant), malignant, others - int(wrong * others), others)
    )
    assert (found.fraction is None) == (found.interval is None) == bool(found.note)
    if found.interval is not None and found.fraction is not None:
        assert 0 <= found.interval[0] <= found.interval[1] <= 1
        assert 0 <= found.fraction <= 1


def test_with_a_perfect_and_much_measured_model_it_is_the_plain_share():
    perfect = matrix(10**7, 10**7, 10**7, 10**7)
    found = prevalence(60, 200, perfect)
    assert found.fraction == pytest.approx(0.3)
    assert found.interval == pytest.approx(wilson_interval(60, 200), abs=0.01)


def test_a_matrix_counted_on_fewer_images_gives_a_wider_interval():
    def width(images: int) -> float:
        low, high = lang_reiczigel_interval(60, 200, matrix(images * 9 // 10, images, images * 9 // 10, images))
        return high - low

    assert width(20) > width(100) > width(1000)


@pytest.mark.parametrize(
    ("validation", "word"),
    [
        (None, "no confusion matrix"),
        (matrix(10, 10, 0, 0), "lacks one side"),
        (matrix(50, 100, 55, 100), "hardly tells the classes apart"),
    ],
)
def test_without_a_matrix_to_correct_by_the_plain_share_is_given_and_the_reason(validation, word):
    found = prevalence(30, 100, validation)
    assert (found.fraction, found.interval, found.apparent_interval) == (None, None, wilson_interval(30, 100))
    assert word in found.note


def test_counts_that_the_matrix_cannot_explain_get_no_fraction_and_are_never_enough():
    """No cell of 500 is called malignant by a model that calls a fifth of the healthy ones so."""
    found = prevalence(0, 500, matrix(99, 100, 80, 100), wanted_width=0.9)
    assert (found.fraction, found.interval, found.enough, found.more) == (None, None, False, None)
    assert "fewer cells were called malignant" in found.note


def test_cells_are_enough_once_as_many_more_were_counted_as_was_said():
    early = prevalence(30, 100, GOOD)
    assert not early.enough
    assert early.more is not None
    n = 100 + early.more
    assert prevalence(round(0.3 * n), n, GOOD).enough
    assert not prevalence(round(0.3 * (n - 20)), n - 20, GOOD).enough


def test_no_number_of_cells_is_enough_where_the_model_was_measured_on_too_few_images():
    found = prevalence(30, 100, matrix(15, 16, 15, 16))
    assert (found.enough, found.more) == (False, None)
    assert "measured on too few images" in enough_sentence(found, "cell")


def test_before_the_first_cell_there_is_no_fraction():
    found = prevalence(0, 0, GOOD)
    assert (found.apparent, found.fraction, found.enough) == (None, None, False)
    assert found.more is not None


def test_a_manifests_matrix_is_folded_to_malignant_against_the_rest():
    manifest = Bundle.load(find_bundle(Path("mobilenet_m-taleqani"))).manifest
    assert manifest.measured is not None
    row = next(row for row in manifest.measured.results if row.sigma == 0)
    folded = validation_of(manifest, 0.0)
    benign = manifest.labels.index("Benign")
    assert folded is not None
    assert folded.others == sum(row.confusion[benign])
    assert folded.rejections == row.confusion[benign][benign]
    assert folded.malignant + folded.others == row.n
    assert folded.hits == folded.malignant - sum(line[benign] for k, line in enumerate(row.confusion) if k != benign)
    assert validation_of(manifest, 3.3) is None


def test_a_matrix_under_noise_on_the_capture_corrects_no_session_with_noise_at_the_input():
    manifest = Bundle.load(find_bundle(Path("mobilenet_m-taleqani"))).manifest
    assert validation_of(manifest, 0.0, "input") == validation_of(manifest, 0.0)
    assert validation_of(manifest, 10.0) is not None
    assert validation_of(manifest, 10.0, "input") is None
    measured = manifest.measured.model_copy(update={"noise_at": "input"})
    at_input = manifest.model_copy(update={"measured": measured})
    assert validation_of(at_input, 10.0) is None
    assert validation_of(at_input, 10.0, "input") == validation_of(manifest, 10.0)


# --- what is counted


def test_verdicts_abstentions_and_exclusions_are_counted_apart():
    found = summed(
        *cells(3, 2),
        frame(9, verdicts=3),
        verdict(9, "abstain", 0.5),
        left_out(9, "too small (12 pixels)"),
        left_out(9, "too small (14 pixels)"),
        frame(10, verdicts=0, excluded="blurred (focus 3)"),
    )
    slide = found.slides[0]
    assert slide.counted == {"blast": 3, "healthy": 2}
    assert (slide.abstained, slide.frames, slide.excluded_frames) == (1, 7, 1)
    assert slide.excluded == {"too small": 2, "blurred": 1}
    assert slide.blasts is not None
    assert (slide.blasts.n_malignant, slide.blasts.n) == (3, 5)


def test_only_the_first_noise_level_is_counted():
    began = start(sigmas=(0.0, 10.0))
    found = summed(frame(0, verdicts=2), verdict(0), verdict(0, "healthy", sigma=10.0), began=began)
    assert found.slides[0].counted == {"blast": 1, "healthy": 0}


def test_slides_are_never_mixed():
    found = summed(*cells(3, 0), EventRecord(event="new slide", slide="ff" * 8), *cells(0, 4))
    assert [(slide.slide, slide.counted) for slide in found.slides] == [
        ("0123456789abcdef", {"blast": 3, "healthy": 0}),
        ("ff" * 8, {"blast": 0, "healthy": 4}),
    ]


def test_a_model_without_a_malignant_label_has_no_blast_fraction():
    found = summed(*cells(1, 1), began=start(classes=Classes.of(("blast", "healthy")), validation=None))
    assert found.slides[0].blasts is None
    assert "Blast fraction" not in summary_page(found)


def test_throttling_temperature_and_gaps_are_counted():
    found = summed(
        frame(0, verdicts=0, throttled=True, temperature_c=82.0),
        frame(1, verdicts=0, throttled=False, temperature_c=60.0, skipped=4),
        frame(2, verdicts=0),
        GapRecord(source="cam", index=3, reason="unplugged"),
        HealthRecord(conditions=("hot",), temperature_c=85.5),
    )
    assert [found.counts[name] for name in ("frames", "throttled", "skipped", "gaps")] == [3, 1, 4, 1]
    assert found.throttle_known == 2
    assert (found.hottest_c, found.conditions) == (85.5, ("hot",))


def test_a_session_that_was_not_closed_or_not_recorded_to_its_end_says_so():
    open_session, closed = summed(*cells(1, 1)), summed(*cells(1, 1), EventRecord(event="end", by=EndedBy.LIMIT))
    assert (open_session.ending, closed.ending) == (None, Ending(EndedBy.LIMIT))
    assert "not closed" in summary_page(open_session)
    assert "not closed" not in summary_page(closed)
    stopped = summed(EventRecord(event="recording stopped", detail="disk full"))
    assert "Recording stopped: disk full" in summary_page(stopped)
    assert summed(EventRecord(event="recording stopped", detail="disk full"), EventRecord(event="resumed")).stopped is None


def test_nothing_grows_with_the_session_but_counters():
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    records = [
        record
        for i, kind in enumerate(itertools.islice(itertools.cycle(ExclusionKind), 400))
        for record in (
            frame(i, verdicts=2),
            verdict(i, ("blast", "healthy", "abstain")[i % 3]),
            left_out(i, f"{kind} ({i} pixels)"),
        )
    ]
    slides = [EventRecord(event="new slide", slide=f"{i:016x}") for i in range(15)]
    found = summed(*records, *(record for slide in slides for record in (slide, *records[:90])), pixels=pixels)
    assert set(found.slides[0].excluded) == set(map(str, ExclusionKind))
    assert sum(found.slides[0].excluded.values()) == 400
    with_pictures = [len(slide.thumbnails) for slide in found.slides if slide.thumbnails]
    assert with_pictures == [3 * THUMBNAILS_PER_LABEL] * SLIDES_WITH_THUMBNAILS


def test_thumbnails_are_drawn_from_the_whole_session():
    pixels = np.full((100, 100, 3), 128, np.uint8)
    said = [verdict(i, probability=i / 1000) for i in range(1000)]
    found = summed(*(record for one in said for record in (frame(one.index), one)), pixels=pixels)
    drawn = [thumbnail.probability for thumbnail in found.slides[0].thumbnails]
    assert len(drawn) == THUMBNAILS_PER_LABEL
    assert min(drawn) < 0.5 < max(drawn)


@pytest.mark.parametrize("box", [(0, 0, 3, 400), (-10, -10, 30, 30), (90, 90, 300, 300), (500, 500, 600, 600)])
def test_a_thumbnail_of_any_box_is_a_small_picture(box):
    pixels = np.full((100, 100, 3), 128, np.uint8)
    found = summed(frame(0), verdict(0, box=box), pixels=pixels)
    assert found.slides[0].thumbnails[0].jpeg.startswith(b"\xff\xd8")


# --- a running session and its journal say the same


def test_the_live_summary_is_that_of_the_journal(tmp_path):
    bundle = Bundle.load(find_bundle(Path("synthetic-cells")))
    settings = SourceSettings(camera="synthetic", seed=1)
    began = start_record(bundle, runtime=RuntimeOptions(), sigmas=(0.0,), source=settings, settings={})
    thumbnails = Thumbnails()
    recording = open_recording(tmp_path / "s", began, resume=False, keep_frames=True)
    camera = SyntheticCamera("cell", bundle.manifest.labels, 1)
    readings, ticks = itertools.chain([Health()], itertools.repeat(Health(temperature_c=85.5))), itertools.count(0, 10**10)
    hot = HealthMonitor(lambda: next(readings), lambda: next(ticks))
    session = run(camera, open_classifier(bundle), [recording, thumbnails], limits=Limits(frames=12), health=hot)
    live = summary_of(began, session.counts, thumbnails, began=NOON, last=NOON, ending=session.ending)
    later = summarise(tmp_path / "s", read(tmp_path / "s"))
    assert live.slides[0].counted == later.slides[0].counted
    assert sum(live.slides[0].counted.values()) == 12
    assert live.latency_ms == later.latency_ms
    assert (live.counts, live.slides) == (later.counts, later.slides)
    assert (live.runtimes, live.hottest_c, live.conditions) == (later.runtimes, later.hottest_c, later.conditions)
    assert (later.hottest_c, later.conditions) == (85.5, ("hot",))
    assert [picture.jpeg for picture in live.slides[0].thumbnails] == [picture.jpeg for picture in later.slides[0].thumbnails]
    assert live.ending == later.ending == Ending(EndedBy.LIMIT)


def test_a_resumed_session_is_summarised_with_what_it_held_before():
    began = start(slide="ab" * 8)
    before = JournalCounts(began)
    for entry in entries(began, *cells(3, 2), EventRecord(event="end"), EventRecord(event="resumed")):
        before.take(entry)
    before.close()
    later = SessionCounts(began.classes)
    later.add_happening("new slide", "ff" * 8)
    before.counts.join(later)
    found = summary_of(began, before.counts, Thumbnails(), began=before.began, last=before.last, ending=before.ending)
    assert [(slide.slide, slide.counted["blast"]) for slide in found.slides] == [("ab" * 8, 3), ("ff" * 8, 0)]
    assert found.counts["frames"] == 5
    assert found.ending is None


# --- the page


class Page(HTMLParser):
    """The tags, and the addresses that a browser would ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_asks_for_nothing_from_elsewhere():
    pixels = np.full((100, 100, 3), 128, np.uint8)
    page = Page(summary_page(summed(*cells(3, 2), pixels=pixels)))
    assert len(page.addresses) == 5
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_no_text_of_the_bundles_or_the_sessions_becomes_markup():
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    began = start(
        name=evil,
        classes=Classes.of((evil, "healthy"), (evil,)),
        source=SourceSettings(path=evil),
        settings={evil: evil},
        slide=evil,
    )
    pixels = np.full((100, 100, 3), 128, np.uint8)
    found = summed(
        frame(0, verdicts=2),
        verdict(0, evil, probabilities=(0.9, 0.1)),
        left_out(0, evil),
        EventRecord(event="recording stopped", detail=evil),
        HealthRecord(conditions=(evil,)),
        began=began,
        pixels=pixels,
    )
    text = summary_page(found)
    page = Page(text)
    assert text.count("&lt;script&gt;") >= 8
    assert "script" not in page.tags
    assert page.tags.count("img") == 1
    assert page.addresses == [found.slides[0].thumbnails[0].data_uri]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "Not enough cells yet"),
        (cells(0, 1), "Not enough cells yet"),
        (cells(1, 0), "Not enough cells yet"),
        (cells(1000, 1000), "Enough cells: the interval is as narrow as wanted."),
    ],
)
def test_a_page_can_be_made_of_any_number_of_cells(records, words):
    text = summary_page(summed(*records))
    assert words in text
    assert "never a diagnosis" in text
    assert not re.search(r"\bnan\b|None", text)


def test_a_model_that_classifies_fields_speaks_of_fields():
    text = summary_page(summed(*cells(3, 4), began=start(unit="field")))
    assert "Share of fields called malignant" in text
    assert "Blast fraction" not in text


def test_json_is_strict_and_csv_has_a_row_a_slide():
    found = summed(*cells(30, 70), EventRecord(event="new slide", slide="ff" * 8))
    content = json.loads(json.dumps(summary_json(found), allow_nan=False))
    assert content["slides"][0]["blasts"]["n"] == 100
    assert content["latency_ms"]["invoke"]["p50"] == pytest.approx(2.0, rel=0.01)
    rows = list(csv.DictReader(io.StringIO(summary_csv(found))))
    assert [(row["slide"], row["blast"], row["n"], row["enough"]) for row in rows] == [
        ("0123456789abcdef", "30", "100", "no"),
        ("ff" * 8, "0", "0", "no"),
    ]
    assert float(rows[0]["low"]) < float(rows[0]["fraction"]) < float(rows[0]["high"])
    assert (rows[1]["fraction"], rows[1]["apparent"]) == ("", "")


def test_the_command_writes_page_json_and_csv(call: Callable, tmp_path):
    journal = create_journal(tmp_path / "s", start())
    journal.append(*cells(30, 70), EventRecord(event="end"))
    journal.close()
    result = call(leukolite, "journal", "summary", tmp_path / "s", "--out", tmp_path / "out", "--width", 0.3)
    assert result.exit_code == 0, result.output
    assert "blast 30, healthy 70" in result.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["summary.csv", "summary.html", "summary.json"]
    assert "Enough cells" in (tmp_path / "out" / "summary.html").read_text()


def test_the_command_does_not_replace_a_folder_that_is_not_its_own(refuses: Callable, tmp_path):
    create_journal(tmp_path / "s", start()).close()
    refuses(leukolite, "journal", "summary", tmp_path / "s", "--out", tmp_path / "s")
    refuses(leukolite, "journal", "summary", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_state_of_the_cells_has_its_sentence():
    base = Prevalence(10, 3, 0.3, (0.1, 0.6), 0.3, (0.1, 0.6), False, 1234, "")
    assert enough_sentence(base, "cell") == "Not enough cells yet: about 1,234 more."


def test_a_truth_that_is_none_of_the_labels_ends_in_one_line(tmp_path):
    write_sealed(tmp_path, [start().model_dump(mode="json"), frame(0, 1, truth="tumour").model_dump(mode="json")])
    with pytest.raises(JournalError, match=r"record 1: its truth 'tumour' is none of the labels blast, healthy"):
        summarise(tmp_path, read(tmp_path))
