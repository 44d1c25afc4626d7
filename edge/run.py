"""A session as `edge-run` holds it: classifier, source, sinks, journal and page put together, run, and its results written."""

import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import rich.console

from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.classifier import Classifier
from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.camera.remaining import RemainingFrames
from leukolite.edge.camera.source import FrameSource
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.control import Control
from leukolite.edge.counts import Session, SessionCounts
from leukolite.edge.ending import EndedBy, failed_by
from leukolite.edge.events import SessionEnd, Sink
from leukolite.edge.field.motion import StageMotion
from leukolite.edge.host.descriptors import SpareDescriptors
from leukolite.edge.host.health import Health, HealthMonitor, read_health
from leukolite.edge.host.signals import stopped_by_signals
from leukolite.edge.host.systemd import notify
from leukolite.edge.host.watchdog import RestartPolicy, open_watched_classifier
from leukolite.edge.journal.count import JournalCounts
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import StartRecord, start_record
from leukolite.edge.journal.sink import JournalSink, open_recording
from leukolite.edge.journal.slides import laboratory_salt, slide_of
from leukolite.edge.page.listen import Listener
from leukolite.edge.page.state import About, Live
from leukolite.edge.pipeline import Limits, OpenClassifier, run
from leukolite.edge.report.console import VERDICT_HEADER, Console, closing_tables
from leukolite.edge.report.result_files import made_once, trouble_of, write_folder
from leukolite.edge.report.results import ResultCollector, session_csv, session_json
from leukolite.edge.report.summary import Summary, Thumbnails, summary_of
from leukolite.edge.settings import SessionSettings, open_frames, processing_of
from leukolite.errors import JournalError, LeukoliteError, SourceError
from leukolite.files import is_stdout, nearest_parent, write_json
from leukolite.names import look_alikes
from leukolite.shipped import open_bundle
from leukolite.sums import SHORT
from leukolite.terminal import stdout, warn
from leukolite.unwaited import ASKED_PATIENCE_S, PATIENCE_S, give_up_once, print_passing, settle_streams
from leukolite.wording import RESEARCH_USE, shown_label, wrapped


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `edge-run` was asked for; no field has a default, so that no option is forgotten on the way.

    Attributes:
        settings: what decides the verdicts.
        limits: when the session ends by itself, and which frames are too old.
        reconnect: of a camera that gives no frame; `restart`: of a runtime that gives no answer.
        recording: the session's folder, new or to go on with; None records nothing.
        resumes: `recording` holds a session to go on with; None: perhaps.
        slide: name of the slide under the lens, of which a salted id is kept; None goes on with that of a session that goes on.
        keep_frames, keep_running: see `JournalSink`.
        quiet: no line per verdict.
        json_path, out: a file ('-' for stdout) and a folder for the results; None writes none.
        force: results of an earlier session are replaced.
    """

    settings: SessionSettings
    limits: Limits
    reconnect: ReconnectPolicy
    restart: RestartPolicy
    recording: Path | None
    resumes: bool | None
    slide: str | None
    keep_frames: bool
    keep_running: bool
    quiet: bool
    json_path: Path | None
    out: Path | None
    force: bool


def run_session(options: RunOptions, listener: Listener | None) -> None:
    """Classify what the camera or source shows until it ends, and write what was asked for.

    Args:
        listener: where the live page is served; None serves none.

    Raises:
        LeukoliteError: it could not begin, or it failed on the way; then what was seen until then is printed and written first.
        Exception: a programming error, likewise.
    """
    settings, bundle = options.settings, open_bundle(options.settings.bundle)
    reopen = partial(open_watched_classifier, bundle, settings.runtime, answer_s=options.restart.answer_s)
    classifier = open_first(reopen, settings.runtime.name)
    processing, source = processing_of(settings, bundle), open_frames(settings, bundle)
    _note_on_truth(source, bundle.manifest.classes)
    start = start_record(
        bundle,
        runtime=settings.runtime,
        sigmas=settings.noise,
        source=settings.source_settings(),
        settings=settings.as_text(),
        noise_at=settings.noise_at,
        slide=slide_of(options.slide, warn),
    )
    salt = _salt_of_page(options) if listener is not None else None  # as the slide's: before there is a half-made journal
    control = Control()
    spare = SpareDescriptors()
    with ExitStack() as closings:
        closings.callback(spare.give_up)
        closings.enter_context(stopped_by_signals(control))
        give_up_once(lambda: control.stopped_by is not None)
        outputs = _open_outputs(options, start)
        if outputs.recording is not None:
            closings.push(partial(_close_unbegun, outputs.recording, source.name))
        if outputs.goes_on and not source.live:
            source = RemainingFrames(source, outputs.before.next_index)
        if outputs.goes_on and start.slide not in (None, outputs.before.counts.slide.slide):
            control.begin_slide(start.slide)
        outputs.introduce(bundle, options)
        if source.live and not settings.every_frame:
            motion = StageMotion()
            processing = replace(processing, motion=motion, on_new_slide=motion.forget)
        counts = SessionCounts(start.classes, start.sigmas, outputs.before.counts.slide.slide)
        monitor = _health_monitor(options)
        sinks = outputs.sinks()
        if listener is not None:
            live = Live(About.of(bundle.manifest, source.name), counts, salt=salt, on_new_slide=control.begin_slide)
            sinks.append(_open_page(listener, live, start, outputs.recording, control, monitor))
            warn(f"live page: {listener.url}", shows_logins=True)
        notify("READY=1")
        began = datetime.now(UTC)
        session = run(
            source,
            classifier,
            sinks,
            processing,
            options.limits,
            counts=counts,
            control=control,
            health=monitor,
            reconnect=options.reconnect,
            reopen=reopen,
            restart=options.restart,
            returns_failures=True,
        )
        if session.counts.frames == 0 and isinstance(session.failure, SourceError):  # it could not begin
            raise session.failure
        spare.give_up()
        notify("STOPPING=1")
        unshown = trouble_of("the closing tables", lambda: outputs.show_end(options, session))
        troubles = _write_results(options, session, outputs, start, bundle, began, [unshown] if unshown else [])
        settle_streams(lambda: PATIENCE_S if control.stopped_by is None else ASKED_PATIENCE_S)
        if session.failure is not None:
            for trouble in troubles:
                warn(trouble)
            raise session.failure
        if troubles:
            raise LeukoliteError("; ".join(troubles))


def open_first(reopen: OpenClassifier, runtime: str) -> Classifier:
    """A session's first classifier; a note where another runtime than `runtime` computes."""
    classifier = reopen()
    if (found := classifier.runtime.info.name) != runtime:
        warn(f"note: {found} computes on the CPU, not {runtime}: the model was not compiled for it")
    return classifier


def _note_on_truth(source: FrameSource, classes: Classes) -> None:
    """Say why there will be no accuracy, or not of all frames."""
    labels = ", ".join(classes.labels)
    if isinstance(source, SyntheticCamera) and not source.truths:
        warn(
            f"note: this model tells {labels} apart, the synthetic camera shows blast or healthy cells:"
            " its verdicts mean nothing here and no accuracy is given"
        )
    _, unknown = classes.match(source.truths)
    if unknown:
        warn(
            f"note: {source.name} has {', '.join(unknown)}, none of the model's labels ({labels}):"
            f" their frames count as frames without a label{look_alikes(unknown, classes.labels)}"
        )


@dataclass(frozen=True)
class _Outputs:
    """Where a session's events go.

    Attributes:
        collected: what the result files need; None where none was asked for.
        recording: the journal's; None where nothing is recorded.
        thumbnails: for the summary; None where none was asked for.
        before: what a resumed session holds already.
        lines: the console that people read: stdout, or stderr where stdout takes JSON.
    """

    console: Console
    collected: ResultCollector | None
    recording: JournalSink | None
    thumbnails: Thumbnails | None
    before: JournalCounts
    lines: rich.console.Console

    def sinks(self) -> list[Sink]:
        """What keeps an event comes before what shows it."""
        every: tuple[Sink | None, ...] = (self.recording, self.collected, self.thumbnails, self.console)
        return [sink for sink in every if sink is not None]

    @property
    def goes_on(self) -> bool:
        """Whether the session was there already."""
        return self.recording is not None and self.recording.resumed

    def introduce(self, bundle: Bundle, options: RunOptions) -> None:
        """The first lines."""
        manifest = bundle.manifest
        labels = ", ".join(shown_label(label) for label in manifest.labels)
        for line in wrapped(f"{manifest.name}: classifies one {manifest.unit}; {labels}. {RESEARCH_USE}"):
            self.lines.print(line)
        self.lines.print(f"Bundle sha256 {bundle.sha256[:SHORT]}")
        if options.settings.ungated:
            self.lines.print("Ungated: blurred, dark, empty and strangely stained pictures are classified.")
        elif manifest.appearance is None:
            self.lines.print("Made before the quality gates: blur and strange stains go unnoticed.")
        if self.goes_on:
            was = self.before.ending_before
            self.lines.print(f"{options.recording} goes on; it {'was not closed' if was is None else was}")
        if not options.quiet:
            self.lines.print(VERDICT_HEADER)

    def show_end(self, options: RunOptions, session: Session) -> None:
        """The closing tables and lines."""
        if session.counts.frames:
            self.lines.print(closing_tables(session, options.settings.noise_at))
        if session.stopped_by is not None:
            warn(f"stopped by {session.stopped_by}")
        if session.ending.by is not EndedBy.LIMIT:  # which the call itself set
            self.lines.print(str(session.ending))
        if self.recording is not None:
            self.lines.print(f"{self.recording.folder}: {self.recording.outcome}")


def _open_outputs(options: RunOptions, start: StartRecord) -> _Outputs:
    """Begin the record too, or go on with it."""
    before, recording = JournalCounts(start), None
    if options.recording is not None:
        recording = open_recording(
            options.recording,
            start,
            resume=options.resumes,
            keep_frames=options.keep_frames,
            keep_running=options.keep_running,
            on_stop=warn,
            on_entry=lambda entry: _take_back(entry, before),
        )
        before.close()
    is_kept = options.out is not None or options.json_path is not None
    takes_json = options.json_path is not None and is_stdout(options.json_path)
    say = partial(print_passing, stream=sys.stderr if takes_json else sys.stdout)
    return _Outputs(
        console=Console(say, warn, verdicts=not options.quiet),
        collected=ResultCollector(start.classes.labels, options.settings.noise) if is_kept else None,
        recording=recording,
        thumbnails=Thumbnails(start.sigmas[0], len(before.counts.slides) - 1) if options.out is not None else None,
        before=before,
        lines=stdout(options.json_path),
    )


def _take_back(entry: Entry, before: JournalCounts) -> None:
    if entry.seq % 1000 == 0:
        notify("EXTEND_TIMEOUT_USEC=60000000")  # a journal of months takes longer to read than a service may take to start
    before.take(entry)


def _close_unbegun(recording: JournalSink, source: str, kind: object, error: BaseException | None, trace: object) -> None:
    """Close the record of a session that came to nothing before its first frame, with the reason; a closed one stays as it is."""
    with suppress(JournalError):  # the error itself is told
        if error is not None and not recording.is_closed:
            recording.take(SessionEnd(source, failed_by(error)))
        recording.close()


def _health_monitor(options: RunOptions) -> HealthMonitor:
    written = options.recording or options.out or options.json_path
    folder = None if written is None else nearest_parent(written)

    def read() -> Health:
        notify("WATCHDOG=1")  # from the loop itself: a loop that hangs is restarted by systemd
        return read_health(folder=folder)

    return HealthMonitor(read, time.perf_counter_ns)


def _open_page(
    listener: Listener, live: Live, start: StartRecord, recording: JournalSink | None, control: Control, monitor: HealthMonitor
) -> Sink:
    from leukolite.edge.page.server import serve_page  # Starlette and Uvicorn: only where they are wanted

    return serve_page(live, listener, control, monitor, recording, start.validation)


def _salt_of_page(options: RunOptions) -> bytes | None:
    """Of the ids of slides that are begun on the page; None where an id needs to mean nothing after the session, or cannot."""
    if options.recording is None and options.slide is None:
        return None
    try:
        return laboratory_salt()
    except JournalError as error:
        warn(f"note: a slide that is begun on the page gets an id of this session alone: {error}")
        return None


def _write_results(
    options: RunOptions,
    session: Session,
    outputs: _Outputs,
    start: StartRecord,
    bundle: Bundle,
    began: datetime,
    troubles: list[str],
) -> list[str]:
    """Each of the files that were asked for, whatever becomes of the others.

    Args:
        troubles: what has gone wrong before.

    Returns:
        Those and what could not be written, in a sentence each, and what is kept all the same.
    """
    collected, kept = outputs.collected, []
    if collected is None:
        return troubles
    settings = options.settings
    content = made_once(lambda: session_json(session, collected, bundle, settings.seed, settings.as_text()))

    def write_out(place: Path) -> None:
        summary = made_once(lambda: _summary(outputs, session, start, began))
        troubles.extend(write_folder(place, content, partial(session_csv, collected), summary, force=options.force))

    for place, write in (
        (options.out, write_out),
        (options.json_path, lambda place: write_json(place, content(), force=options.force)),
    ):
        if place is None:
            continue
        trouble = trouble_of(place, partial(write, place))
        if trouble is None:
            kept.append(str(place))
        else:
            troubles.append(trouble)
    if troubles and outputs.recording is not None and outputs.recording.state.records:
        kept.append(str(outputs.recording.folder))
    return [*troubles, f"the session is kept in {' and '.join(kept)}"] if troubles and kept else troubles


def _summary(outputs: _Outputs, session: Session, start: StartRecord, began: datetime) -> Summary:
    assert outputs.thumbnails is not None  # as for every folder of results
    whole = outputs.before.counts
    whole.join(session.counts)
    return summary_of(
        start.model_copy(update={"slide": whole.slides[0].slide}),  # of a resumed session, the one it began with
        whole,
        outputs.thumbnails,
        began=outputs.before.began or began,
        last=datetime.now(UTC),
        ending=session.ending,
        stopped=None if outputs.recording is None else outputs.recording.state.stopped_early,
    )
