"""A session as `edge-run` holds it: judge, source, sinks, journal and live page put together, run, and its results written."""

import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from leukolite.bundle import Bundle
from leukolite.classifier import Classifier
from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.camera.remaining import RemainingFrames
from leukolite.edge.camera.source import FrameSource, match_truths
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.control import Control
from leukolite.edge.counts import Session
from leukolite.edge.events import Sink
from leukolite.edge.field.motion import StageMotion
from leukolite.edge.host.health import Health, HealthMonitor, read_health
from leukolite.edge.host.signals import stopped_by_signals
from leukolite.edge.host.systemd import notify
from leukolite.edge.host.watchdog import RestartPolicy, open_watched_classifier
from leukolite.edge.journal.format import Entry
from leukolite.edge.journal.records import StartRecord, start_record
from leukolite.edge.journal.sink import JournalSink, ResumePoint, open_recording
from leukolite.edge.journal.slides import laboratory_salt, slide_of
from leukolite.edge.page.listen import Listener
from leukolite.edge.page.state import About, Live
from leukolite.edge.pipeline import Limits, OpenClassifier, run
from leukolite.edge.report import session as report
from leukolite.edge.report.summary import SummarySink
from leukolite.edge.report.summary_page import write_summary
from leukolite.edge.run import repeat
from leukolite.edge.settings import SessionSettings, open_frames, steps_of
from leukolite.errors import JournalError
from leukolite.files import nearest_parent, new_folder, write_json
from leukolite.shipped import find_bundle
from leukolite.terminal import stdout, warn
from leukolite.wording import RESEARCH_USE

REPORT, VERDICTS = "report.json", "verdicts.csv"  # in the folder of --out


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `edge-run` was asked for; no field has a default, so that no option is forgotten on the way.

    Attributes:
        settings: what decides the verdicts.
        allow_cpu: let the CPU compute what the Edge TPU would not.
        limits: when the session ends by itself, and which frames are too old.
        reopening: of a camera that gives no frame; `restarting`: of a runtime that gives no answer.
        recording: the session's folder, new or to go on with; None records nothing.
        resumes: `recording` holds a session to go on with.
        slide: name of the slide under the lens; the journal keeps a salted id of it.
        keep_frames, keep_running: see `JournalSink`.
        quiet: no line a verdict.
        json_path, out: a file and a folder for the results; None writes none.
    """

    settings: SessionSettings
    allow_cpu: bool
    limits: Limits
    reopening: ReconnectPolicy
    restarting: RestartPolicy
    recording: Path | None
    resumes: bool
    slide: str | None
    keep_frames: bool
    keep_running: bool
    quiet: bool
    json_path: Path | None
    out: Path | None


def run_session(plan: RunOptions, listener: Listener | None) -> None:
    """Judge what the camera or source shows until it ends, and write what was asked for.

    Args:
        listener: where the live page is served; None serves none.

    Raises:
        LeukoliteError: it could not begin, or it failed on the way; then what was seen until then is told and written first.
    """
    settings, bundle = plan.settings, Bundle.load(find_bundle(plan.settings.bundle))
    open_classifier = _judge_opener(plan, bundle)
    classifier = _open_first(open_classifier, settings.runtime)
    steps, source = steps_of(settings, bundle), open_frames(settings, bundle)
    _note_on_truth(source, bundle.manifest.labels)
    start = _start(plan, bundle)
    sinks = _open_sinks(plan, start)
    if plan.resumes and not source.live:
        source = RemainingFrames(source, sinks.next_index)
    _introduce(bundle, plan)
    if source.live and not settings.every_frame:
        motion = StageMotion()
        steps = replace(steps, motion=motion, on_new_slide=motion.forget)
    monitor, control = _health_monitor(plan), Control()
    told = sinks.in_order()
    if listener is not None:
        told.append(_open_page(listener, About.of(bundle.manifest, source.name), start, sinks, control, monitor))
        warn(f"live page: {listener.url}")
    notify("READY=1")
    with stopped_by_signals(control):
        session = run(
            source,
            classifier,
            told,
            steps,
            plan.limits,
            control=control,
            health=monitor,
            reopening=plan.reopening,
            restart=open_classifier,
            restarting=plan.restarting,
        )
    notify("STOPPING=1")
    _tell_end(plan, session, sinks.recording)
    if sinks.kept is not None:
        _write_results(plan, session, sinks.kept, sinks.summary, bundle, classifier)
    if session.failure is not None:
        raise session.failure


def repeat_session(folder: Path, plan: RunOptions) -> None:
    """Judge a recorded session's frames again.

    Raises:
        LeukoliteError: it could not begin.
        JournalError: not every verdict was repeated, or the journal does not verify.
    """
    bundle = Bundle.load(find_bundle(plan.settings.bundle))
    classifier = _open_first(_judge_opener(plan, bundle), plan.settings.runtime)
    found, lines = repeat(folder, plan.settings, bundle, classifier)
    console = stdout()
    for line in lines:
        console.print(line)
    if found.verdicts == 0 and found.different == 0:
        raise JournalError(f"{folder}: no verdict was recorded, so there is nothing to repeat")
    if not found.is_exact:
        raise JournalError(f"{folder}: not every verdict was repeated; see above")


def _judge_opener(plan: RunOptions, bundle: Bundle) -> OpenClassifier:
    settings = plan.settings
    return partial(
        open_watched_classifier,
        bundle,
        runtime=settings.runtime,
        threads=settings.threads,
        allow_cpu=plan.allow_cpu,
        answer_s=plan.restarting.answer_s,
    )


def _open_first(open_classifier: OpenClassifier, runtime: str) -> Classifier:
    """The session's first judge; a note where another runtime than `runtime` computes."""
    classifier = open_classifier()
    if classifier.runtime.name != runtime:
        warn(f"note: {classifier.runtime.name} computes on the CPU, not {runtime}: the model was not compiled for it")
    return classifier


def _note_on_truth(source: FrameSource, labels: Sequence[str]) -> None:
    """Say why there will be no accuracy, or not of all frames."""
    if isinstance(source, SyntheticCamera) and not source.truths:
        warn(
            f"note: this model judges {', '.join(labels)}, the synthetic camera shows blast or healthy cells:"
            " its verdicts mean nothing here and no accuracy is given"
        )
    _, unknown = match_truths(source.truths, labels)
    if unknown:
        warn(
            f"note: {source.name} has {', '.join(unknown)}, none of the model's labels ({', '.join(labels)}):"
            " their frames count as of unknown truth"
        )


def _start(plan: RunOptions, bundle: Bundle) -> StartRecord:
    settings = plan.settings
    return start_record(
        bundle,
        runtime=settings.runtime,
        threads=settings.threads,
        sigmas=settings.noise,
        source=settings.source_settings(),
        settings=settings.as_text(),
        slide=slide_of(plan.slide),
    )


@dataclass(frozen=True)
class _Sinks:
    """Who is told what happens.

    Attributes:
        kept: what the result files need; None where none was asked for.
        recording: the journal's; None where nothing is recorded.
        next_index: of the source's first frame that a resumed session has not judged; 0 for a new one.
    """

    console: report.Console
    kept: report.ResultCollector | None
    recording: JournalSink | None
    summary: SummarySink
    next_index: int

    def in_order(self) -> list[Sink]:
        every: tuple[Sink | None, ...] = (self.console, self.kept, self.recording, self.summary)
        return [sink for sink in every if sink is not None]


def _open_sinks(plan: RunOptions, start: StartRecord) -> _Sinks:
    """Begin the record too, or go on with it: the summary then counts what it holds already."""
    kept = None if plan.out is None and plan.json_path is None else report.ResultCollector(start.labels, plan.settings.noise)
    summary, done = SummarySink(start), ResumePoint()
    recording = None

    def count_again(entry: Entry) -> None:
        summary.take_entry(entry)
        done.take(entry)

    if plan.recording is not None:
        recording = open_recording(
            plan.recording,
            start,
            resume=plan.resumes,
            keep_frames=plan.keep_frames,
            keep_running=plan.keep_running,
            on_stop=warn,
            on_entry=count_again,
        )
    return _Sinks(report.Console(_say, warn, verdicts=not plan.quiet), kept, recording, summary, done.next_index)


def _introduce(bundle: Bundle, plan: RunOptions) -> None:
    console, manifest = stdout(), bundle.manifest
    console.print(textwrap.fill(f"{manifest.name}: judges one {manifest.unit}; {', '.join(manifest.labels)}. {RESEARCH_USE}", 80))
    if plan.settings.ungated:
        console.print("Ungated: blurred, dark, empty and strangely stained pictures are judged.")
    elif manifest.appearance is None:
        console.print("Made before the quality gates: blur and strange stains go unnoticed.")
    if not plan.quiet:
        console.print(report.VERDICT_HEADER)


def _health_monitor(plan: RunOptions) -> HealthMonitor:
    written = plan.recording or plan.out or plan.json_path
    folder = None if written is None else nearest_parent(written)

    def read() -> Health:
        notify("WATCHDOG=1")  # from the loop itself: a loop that hangs is restarted by systemd
        return read_health(folder=folder)

    return HealthMonitor(read, time.perf_counter_ns)


def _open_page(
    listener: Listener, about: About, start: StartRecord, sinks: _Sinks, control: Control, monitor: HealthMonitor
) -> Sink:
    from leukolite.edge.page.server import serve_page  # Starlette and Uvicorn: only where they are wanted

    salt = None if sinks.recording is None else laboratory_salt()
    live = Live(about, salt=salt, on_new_slide=control.begin_slide)
    return serve_page(live, listener, control, monitor, sinks.recording, start.validation)


def _tell_end(plan: RunOptions, session: Session, recording: JournalSink | None) -> None:
    console = stdout()
    if session.tally.frames:
        console.print(report.closing_tables(session))
    if session.stopped_by is not None:
        warn(f"stopped by {session.stopped_by}")
    if recording is not None:
        console.print(f"{plan.recording}: {recording.outcome}")


def _write_results(
    plan: RunOptions, session: Session, kept: report.ResultCollector, summary: SummarySink, bundle: Bundle, classifier: Classifier
) -> None:
    content = report.session_json(session, kept, bundle, classifier, plan.settings.seed, plan.settings.as_text())
    if plan.out is not None:
        with new_folder(plan.out, replace_if_holds=REPORT) as staging:
            write_json(staging / REPORT, content)
            (staging / VERDICTS).write_text(report.session_csv(kept), encoding="utf-8")
            write_summary(staging, summary.summary())
    if plan.json_path is not None:
        write_json(plan.json_path, content)


def _say(line: str) -> None:
    """A verdict's line, at once, so that a pipe shows it when it is said."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
