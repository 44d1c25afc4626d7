"""A session recorded by the real pipeline, with a shipped bundle, and repeated: every verdict, or a difference that says what."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes import Listed
from PIL import Image

from leukolite.bundle import Bundle
from leukolite.classifier import Classifier, open_classifier
from leukolite.cli import main as leukolite
from leukolite.edge.camera.open import open_source
from leukolite.edge.camera.source import Frame, FrameSource, Gap, Note
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.classify import FrameProcessing
from leukolite.edge.cli import main as edge_run
from leukolite.edge.counts import Session
from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
from leukolite.edge.field.view import Region, Treatment
from leukolite.edge.host.health import Health
from leukolite.edge.journal.format import GENESIS, file_name, read, read_frames, seal, verify
from leukolite.edge.journal.records import (
    EventRecord,
    GapRecord,
    SourceSettings,
    StartRecord,
    VerdictRecord,
    manifest_sha256,
    start_record,
)
from leukolite.edge.journal.sink import JournalSink, open_recording
from leukolite.edge.pipeline import Limits, run
from leukolite.edge.replay import Replay, _is_one_reason, check_replayable, replay
from leukolite.errors import JournalError
from leukolite.preprocess import crop_and_resize
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import find_bundle
from leukolite.synthetic import LABELS, render_cell

SPEC = Bundle.load(find_bundle(Path("synthetic-cells"))).manifest.input
SHRINK = partial(crop_and_resize, spec=SPEC)
WHOLE = Treatment(SHRINK)
PROCESSING = FrameProcessing(lambda pixels: WHOLE, sigmas=(0.0, 8.0), seed=5)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(find_bundle(Path("synthetic-cells")))


@pytest.fixture(scope="module")
def classifier(bundle: Bundle) -> Classifier:
    return open_classifier(bundle)


def camera(settings: SourceSettings) -> FrameSource:
    """Opens the source that a session's start record names."""
    return open_source(Path(settings.path)) if settings.path else SyntheticCamera("cell", LABELS, settings.seed)


def begin(bundle: Bundle, source: SourceSettings, processing: FrameProcessing = PROCESSING) -> StartRecord:
    runtime = RuntimeOptions(name="litert", threads=1)
    return start_record(bundle, runtime=runtime, sigmas=processing.sigmas, source=source, settings={})


def recorded(
    folder: Path,
    bundle: Bundle,
    classifier: Classifier,
    *,
    settings: SourceSettings = SourceSettings(camera="synthetic", seed=3),  # noqa: B008  # immutable
    source: FrameSource | None = None,
    processing: FrameProcessing = PROCESSING,
    frames: int = 4,
    keep_frames: bool = False,
    resume: bool = False,
) -> Path:
    sink = open_recording(folder, begin(bundle, settings, processing), resume=resume, keep_frames=keep_frames)
    run(source or camera(settings), classifier, [sink], processing, Limits(frames=frames))
    return folder


def nothing(settings: SourceSettings) -> FrameSource:
    raise AssertionError("the frames were kept, so the source is not asked")


def two_cells(pixels: np.ndarray) -> Sequence[Region]:
    """A locator of the left and right half, and of a region that must not be classified."""
    half = pixels.shape[1] // 2
    halves = [Region((x, 0, x + half, half), SHRINK(pixels[:half, x : x + half])) for x in (0, half)]
    return [*halves, Region((0, 0, 2, 2), None, Exclusion.of(ExclusionKind.SMALL))]


def test_the_journal_holds_what_the_pipeline_said(tmp_path, bundle, classifier):
    folder = recorded(tmp_path / "s", bundle, classifier)
    found = verify(folder)
    assert (found.ended, found.records) == (True, 1 + 4 * 3 + 1)  # the end comes last
    frames = list(read_frames(read(folder)))
    assert [frame.index for frame, _ in frames] == [0, 1, 2, 3]
    assert [[said.sigma for said in verdicts] for _, verdicts in frames] == [[0.0, 8.0]] * 4
    first = next(iter(SyntheticCamera("cell", LABELS, 3).frames()))
    assert isinstance(first, Frame)
    verdict = classifier(first.pixels)
    assert (frames[0][1][0].label, frames[0][1][0].probability) == (verdict.label, verdict.probability)
    assert frames[0][0].truth == first.truth


def test_a_replayed_session_repeats_every_verdict(tmp_path, bundle, classifier):
    folder = recorded(tmp_path / "s", bundle, classifier)
    assert replay(folder, classifier, camera, PROCESSING) == Replay(4, 8, 0, 0, (), 0.0)
    assert replay(folder, classifier, camera, PROCESSING).is_exact


def test_a_cameras_session_is_replayed_from_its_kept_frames(tmp_path, bundle, classifier):
    folder = recorded(tmp_path / "s", bundle, classifier, keep_frames=True)
    assert replay(folder, classifier, nothing, PROCESSING).is_exact
    assert len(list((folder / "frames").iterdir())) == 4


def test_cells_that_a_locator_found_are_repeated_too(tmp_path, bundle, classifier):
    processing = replace(PROCESSING, treatment_of=lambda pixels: Treatment(SHRINK, locator=two_cells), sigmas=(0.0,))
    folder = recorded(tmp_path / "s", bundle, classifier, processing=processing)
    assert replay(folder, classifier, camera, processing) == Replay(4, 12, 0, 0, (), 0.0)
    fewer = Treatment(SHRINK, locator=lambda pixels: two_cells(pixels)[1:])
    other = replay(folder, classifier, camera, replace(processing, treatment_of=lambda pixels: fewer))
    assert other.different == 4
    assert other.differences[0].what == "recorded with 3 verdicts, now 2"


def test_a_resumed_session_whose_source_began_again_is_repeated(tmp_path, bundle, classifier):
    recorded(tmp_path / "s", bundle, classifier, frames=3)
    folder = recorded(tmp_path / "s", bundle, classifier, frames=2, resume=True)
    assert replay(folder, classifier, camera, PROCESSING) == Replay(5, 10, 0, 0, (), 0.0)


def test_another_noise_seed_shows_as_differences(tmp_path, bundle, classifier):
    processing = replace(PROCESSING, sigmas=(120.0,))
    folder = recorded(tmp_path / "s", bundle, classifier, processing=processing)
    assert replay(folder, classifier, camera, processing).is_exact
    found = replay(folder, classifier, camera, replace(processing, seed=6))
    assert found.different == len(found.differences) > 0
    assert not found.is_exact
    assert replay(folder, classifier, camera, replace(processing, seed=6), tolerance=1.0).different < found.different


def test_a_frame_that_was_changed_or_is_gone_is_reported_and_gets_no_verdict(tmp_path, bundle, classifier):
    folder = recorded(tmp_path / "s", bundle, classifier, keep_frames=True)
    pictures = sorted((folder / "frames").iterdir())
    Image.fromarray(np.asarray(Image.open(pictures[1])) ^ 1).save(pictures[1])
    pictures[2].unlink()
    found = replay(folder, classifier, nothing, PROCESSING)
    assert (found.frames, found.verdicts, found.different) == (2, 4, 2)
    assert [difference.index for difference in found.differences] == [1, 2]
    assert "the picture is another" in found.differences[0].what
    assert "no such file" in found.differences[1].what


def test_images_of_a_folder_are_repeated_by_their_index_and_reported_when_gone(tmp_path, bundle, classifier):
    images = tmp_path / "images"
    images.mkdir()
    for i in range(4):
        Image.fromarray(render_cell(np.random.default_rng(i), LABELS[i % 2], size=64)).save(images / f"{i}.png")
    (images / "1.png").write_bytes(b"damaged")
    settings = SourceSettings(path=str(images))
    folder = recorded(tmp_path / "s", bundle, classifier, settings=settings)
    assert replay(folder, classifier, camera, PROCESSING) == Replay(3, 6, 0, 0, (), 0.0)
    gaps = [entry.record for entry in read(folder) if isinstance(entry.record, GapRecord)]
    assert [gap.index for gap in gaps] == [1]
    (images / "3.png").unlink()
    found = replay(folder, classifier, camera, PROCESSING)
    assert (found.frames, [difference.what for difference in found.differences]) == (2, ["the source has no frame 3 any more"])


def test_excluded_frames_have_nothing_to_repeat(tmp_path, bundle, classifier):
    processing = replace(PROCESSING, motion=lambda pixels: Exclusion.of(ExclusionKind.BLURRED))
    folder = recorded(tmp_path / "s", bundle, classifier, processing=processing)
    found = replay(folder, classifier, camera, PROCESSING)
    assert (found.frames, found.excluded, found.is_exact) == (0, 4, False)


def test_another_bundle_is_refused(tmp_path, bundle):
    start = begin(bundle, SourceSettings(camera="synthetic"))
    check_replayable(tmp_path, start, manifest_sha256(bundle.manifest))
    other = Bundle.load(find_bundle(Path("mobilenet_m-cnmc")))
    with pytest.raises(JournalError, match="recorded with bundle synthetic-cells"):
        check_replayable(tmp_path, start, manifest_sha256(other.manifest))


# --- the command


@pytest.fixture
def session(call, tmp_path) -> Path:
    """A session of the synthetic camera, as `edge-run` records it."""
    options = ("--camera", "synthetic", "--frames", 3, "--noise", "0,8", "--quiet", "--journal", tmp_path / "session")
    result = call(edge_run, "--bundle", "synthetic-cells", *options)
    assert result.exit_code == 0, result.output
    return tmp_path / "session"


def test_the_command_repeats_every_verdict(call, session):
    result = call(leukolite, "journal", "replay", session)
    assert result.exit_code == 0, result.output
    assert "3 frames classified again, 6 verdicts compared, 0 differ" in " ".join(result.stdout.split())


@pytest.mark.parametrize("line", [2, 6, 9])
def test_a_journal_that_does_not_verify_ends_the_command_with_the_journals_own_message(refuses, session, line):
    path = session / file_name(0)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"index":', b'"index": ')
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError) as caught:
        verify(session)
    assert f"{path}: line {line}: record {line - 1} is not what was written" in str(caught.value)
    assert refuses(leukolite, "journal", "replay", session) == f"Error: {caught.value}"


def test_a_folder_without_a_session_is_refused(refuses, tmp_path):
    assert "no journal here" in refuses(leukolite, "journal", "replay", tmp_path)


def test_verdicts_that_are_not_repeated_are_printed_and_fail_the_command(call, session):
    """The journal is sealed again with other labels, as by somebody who can compute a hash."""
    entries, prev = list(read(session)), GENESIS
    with (session / file_name(0)).open("wb") as file:
        for entry in entries:
            record = entry.record
            if isinstance(record, VerdictRecord) and record.index == 1:
                record = record.model_copy(update={"label": next(label for label in LABELS if label != record.label)})
            line, prev = seal(record, entry.seq, prev, entry.at.timestamp(), entry.up_ms)
            file.write(line)
    result = call(leukolite, "journal", "replay", session)
    assert result.exit_code == 1
    assert "6 verdicts compared, 2 differ" in " ".join(result.stdout.split())
    assert result.stdout.count("frame 1: recorded as ") == 2
    assert result.stderr == f"Error: {session}: not every verdict was repeated; see above\n"


def test_edge_run_names_the_command_that_replays(refuses, session):
    assert "leukolite journal replay SESSION" in refuses(edge_run, "--replay", session, code=2)


# --- the sink


def test_gaps_notes_and_health_are_recorded(tmp_path, bundle, classifier):
    pixels = render_cell(np.random.default_rng(0), "blast", size=64)
    events = [Gap(0, "cam", "unplugged"), Note("cam", "exposure locked"), Frame(pixels, 1, 0, 1.0, "cam", None)]
    settings = SourceSettings(camera="synthetic")
    sink = open_recording(tmp_path / "s", begin(bundle, settings), resume=False)
    sink.take(Health(temperature_c=85.0, throttle_mask=4))
    sink.take(Note("cam", "new slide abab", "new slide", "ab" * 8))
    run(Listed(events), classifier, [sink], PROCESSING)
    kinds = [entry.record.kind for entry in read(tmp_path / "s")]
    assert kinds == ["start", "health", "event", "gap", "event", "frame", "verdict", "verdict", "event"]
    notes = [entry.record for entry in read(tmp_path / "s") if isinstance(entry.record, EventRecord)]
    assert [(note.event, note.detail, note.slide) for note in notes] == [
        ("new slide", "", "ab" * 8),
        ("note", "cam: exposure locked", None),
        ("end", "", None),
    ]


@pytest.mark.parametrize("keep_frames", [False, True])
def test_once_recording_stops_the_session_ends_unless_it_was_asked_to_go_on(tmp_path, bundle, classifier, keep_frames):
    settings = SourceSettings(camera="synthetic")

    def session(name: str, keep_running: bool) -> tuple[JournalSink, Session]:
        sink = open_recording(
            tmp_path / name, begin(bundle, settings), resume=False, keep_frames=keep_frames, keep_running=keep_running
        )
        sink._journal.stop("disk full")
        return sink, run(camera(settings), classifier, [sink], PROCESSING, Limits(frames=3))

    sink, ran = session("running", True)
    assert (sink.state.stopped, sink.state.unrecorded) == ("disk full", 3 * 3 + 1)
    assert (ran.failure, ran.counts.frames) == (None, 3)
    _, ended = session("ending", False)
    assert isinstance(ended.failure, JournalError)
    assert "recording stopped: disk full; make room and resume" in str(ended.failure)
    assert (ended.counts.frames, verify(tmp_path / "ending").records) == (1, 2)  # the start, and word of the stop


def test_a_frame_that_cannot_be_kept_is_not_recorded_as_if_it_were(tmp_path, bundle, classifier):
    reasons: list[str] = []
    settings = SourceSettings(camera="synthetic")
    sink = open_recording(tmp_path / "s", begin(bundle, settings), resume=False, keep_frames=True, on_stop=reasons.append)
    (tmp_path / "s" / "frames").write_text("in the way")
    ran = run(camera(settings), classifier, [sink], PROCESSING, Limits(frames=3))
    assert "a frame cannot be kept" in str(ran.failure)
    assert len(reasons) == 1
    records = [entry.record for entry in read(tmp_path / "s")]
    assert [record.kind for record in records] == ["start", "event"]
    assert isinstance(records[1], EventRecord)
    assert (records[1].event, records[1].detail[:23]) == ("recording stopped", "a frame cannot be kept ")


def test_a_resumed_session_reports_what_it_held_and_what_is_new(tmp_path, bundle, classifier):
    settings = SourceSettings(camera="synthetic", seed=3)
    recorded(tmp_path / "s", bundle, classifier)
    now = begin(bundle, settings)
    now = now.model_copy(update={"versions": now.versions | {"numpy": "0"}})
    held: list[int] = []
    sink = open_recording(tmp_path / "s", now, resume=True, on_entry=lambda entry: held.append(entry.seq))
    sink.close()
    assert held == list(range(15))  # the 'resumed' record too
    resumed = [entry.record for entry in read(tmp_path / "s")][14]
    assert isinstance(resumed, EventRecord)
    assert resumed.detail.startswith("numpy ")


def test_a_session_of_another_bundle_is_not_resumed(tmp_path, bundle, classifier):
    recorded(tmp_path / "s", bundle, classifier)
    other = Bundle.load(find_bundle(Path("mobilenet_m-cnmc")))
    with pytest.raises(JournalError, match="recorded with manifest sha256"):
        open_recording(tmp_path / "s", begin(other, SourceSettings(camera="synthetic", seed=3)), resume=True)


def test_a_reason_that_has_another_name_now_is_the_same_by_its_figures():
    then = Exclusion.of(ExclusionKind.OVEREXPOSED, "light 243, at most 208")
    assert _is_one_reason(then, Exclusion.of(ExclusionKind.BRIGHTER, "light 243, at most 208"))
    assert not _is_one_reason(then, Exclusion.of(ExclusionKind.BRIGHTER, "light 244, at most 208"))
    stained = Exclusion.of(ExclusionKind.STAIN, "red over blue 0.02, at most 0.00; are red and blue swapped?")
    assert _is_one_reason(
        stained, Exclusion.of(ExclusionKind.NO_COLOUR, "grey or infra-red picture; red over blue 0.02, at most 0.00")
    )
    assert not _is_one_reason(then, None)
    assert not _is_one_reason(Exclusion.of(ExclusionKind.CUT), Exclusion.of(ExclusionKind.SMALL))
