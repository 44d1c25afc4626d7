"""`edge-run`: a bundle, a camera or source, verdicts."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from leukolite import __version__
from leukolite.bundle import Bundle
from leukolite.edge import report
from leukolite.edge.cameras import Size, list_cameras
from leukolite.edge.capture import Reopening
from leukolite.edge.cells import CELLS, Cells
from leukolite.edge.chain import Entry
from leukolite.edge.frames import FrameSource
from leukolite.edge.health import Health, HealthMonitor, read_health
from leukolite.edge.listen import Address, AddressType, Listener, listening
from leukolite.edge.live import About, Live, Share
from leukolite.edge.locate import CHANNELS, Channel
from leukolite.edge.motion import StageMotion
from leukolite.edge.pipeline import Limits, run
from leukolite.edge.prevalence import prevalence
from leukolite.edge.quality import first_of
from leukolite.edge.recorded import (
    Progress,
    Rest,
    Settings,
    first_record,
    laboratory_salt,
    open_frames,
    repeat,
    settings_of,
    slide_of,
    steps_of,
)
from leukolite.edge.recording import JournalSink, open_recording
from leukolite.edge.records import StartRecord, start_record
from leukolite.edge.service import notify
from leukolite.edge.session import Control, Sink
from leukolite.edge.shipped import find_bundle
from leukolite.edge.signals import stopped_by_signals
from leukolite.edge.sources import CAMERAS, SyntheticCamera, match_truths
from leukolite.edge.summary import Summary, SummarySink
from leukolite.edge.summary_page import write_summary
from leukolite.edge.watchdog import Restarting, open_watched_judge
from leukolite.errors import JournalError
from leukolite.files import check_replaceable, nearest_parent, new_folder
from leukolite.judge import Judge
from leukolite.runtime import RUNTIMES
from leukolite.terminal import RESEARCH_USE, SEED, Command, Sigmas, check_file_place, stdout, warn, write_json

REPORT, VERDICTS = "report.json", "verdicts.csv"


class SizeType(click.ParamType):
    """A picture size, as '1280x960'."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdecimal() and height.isdecimal() and 16 <= int(width) <= 16384 and 16 <= int(height) <= 16384):
            self.fail(f"expected a size in pixels like 1280x960, found {value!r}", param, ctx)
        return int(width), int(height)


def _show_cameras(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print what is plugged in, and end."""
    if not asked or ctx.resilient_parsing:
        return
    found, troubles = list_cameras()
    for camera in found:
        click.echo(f"{camera.name:<20} {camera.model}")
    click.echo(f"{'synthetic':<20} rendered smears, always there")
    for line in troubles:
        warn(f"note: {line}")
    ctx.exit()


@click.command(
    cls=Command, epilog=RESEARCH_USE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Bundle folder or zip, or a shipped bundle's name.")
@click.option("--camera", metavar="NAME", help=f"{'; '.join(CAMERAS)}.")
@click.option("--camera-size", type=SizeType(), help="Of a picamera2's or v4l2 camera's pictures, pixels.")
@click.option("--list-cameras", is_flag=True, is_eager=True, expose_value=False, callback=_show_cameras, help="Show and exit.")
@click.option("--source", type=click.Path(path_type=Path), help="Folder of images, one image, or a video file.")
@click.option("--noise", type=Sigmas(), default=(0.0,), help="Add Gaussian noise of these sigmas, grey levels.  [default: 0]")
@click.option("--frames", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after so long.")
@click.option(
    "--max-age",
    type=click.FloatRange(0, min_open=True),
    metavar="MS",
    help="Exclude frames older than this when their turn comes.",
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime.")
@click.option("--runtime", type=click.Choice(list(RUNTIMES)), default="litert", show_default=True)
@click.option("--allow-cpu", is_flag=True, help="With --runtime edgetpu: let the CPU compute what the Edge TPU would not.")
@click.option(
    "--no-frame",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    default=Reopening().no_frame_s,
    show_default=True,
    help="Open a camera again that gave no frame for so long.",
)
@click.option(
    "--no-answer",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    default=Restarting().answer_s,
    show_default=True,
    help="Restart a runtime that gave no answer for so long.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the noise and the synthetic camera.")
@click.option("--every-frame", is_flag=True, help="Judge a live camera's field again although the stage has not moved.")
@click.option(
    "--cells",
    type=click.Choice(CELLS),
    default="auto",
    show_default=True,
    help="What a frame shows to a bundle that judges cells. auto: a camera's frame many, a small picture file one.",
)
@click.option(
    "--cell-diameter",
    type=click.FloatRange(4, 4096),
    metavar="PX",
    help="Of a typical white cell.  [default: measured in each field, by its red cells]",
)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="a-b",
    show_default=True,
    help="The axis of LAB on which cells are looked for; a is the one of Farag et al. 2025.",
)
@click.option("--ungated", is_flag=True, help="Judge also what the quality gates would exclude (blur, light, stain).")
@click.option("--journal", type=click.Path(path_type=Path), help="Record the session in this new folder.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="SESSION", help="Go on with a recorded session, as it began.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="SESSION", help="Judge a recorded session's frames again.")
@click.option("--slide", metavar="NAME", help="Of the slide under the lens; the journal keeps a salted id of it.")
@click.option("--keep-frames", is_flag=True, help="Keep each judged frame beside the journal, lossless.")
@click.option("--keep-running", is_flag=True, help="Go on unrecorded when the disk is full.")
@click.option(
    "--serve",
    type=AddressType(),
    help="Show a live page, on this machine alone unless a HOST is given; 0.0.0.0:PORT lets in who has the token it prints.",
)
@click.option("--quiet", is_flag=True, help="No line a verdict; gaps, notes and the closing tables stay.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the session as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder for {REPORT}, {VERDICTS} and the summary.")
@click.version_option(__version__, prog_name="edge-run")
def main(
    bundle: Path | None,
    camera: str | None,
    camera_size: Size | None,
    source: Path | None,
    noise: tuple[float, ...],
    frames: int | None,
    duration: float | None,
    max_age: float | None,
    threads: int,
    runtime: str,
    allow_cpu: bool,
    no_frame: float,
    no_answer: float,
    seed: int,
    every_frame: bool,
    cells: Cells,
    cell_diameter: float | None,
    channel: Channel,
    ungated: bool,
    journal: Path | None,
    resume: Path | None,
    replay: Path | None,
    slide: str | None,
    keep_frames: bool,
    keep_running: bool,
    serve: Address | None,
    quiet: bool,
    json_path: Path | None,
    out: Path | None,
) -> None:
    """Judge what a camera, folder or video shows, and say how long it took.

    Class folders right below --source count as the truth. For a bundle of unit 'cell', white cells are found in each frame
    and judged one by one; a small picture file is taken for one cell's. Of a live camera the newest frame is judged. Ctrl-C
    and SIGTERM end the session after the frame in hand; a second one ends it at once.

    \b
    Example:
      edge-run --bundle synthetic-cells --camera synthetic --frames 100 --noise 0,5,10
      edge-run --bundle mobilenet_m-taleqani --source slides/ --json verdicts.json
      edge-run --bundle mobilenet_m-allidb2 --source fields/ --json cells.json
      edge-run --bundle mobilenet_m-taleqani --camera picamera2 --max-age 500 --journal monday --slide A17
      edge-run --resume monday
      edge-run --bundle synthetic-cells --camera synthetic:5 --serve 8000
    """
    recorded = _recorded(journal, resume, replay, slide=slide, keeps=keep_frames or keep_running)
    if recorded is not None:
        asked = settings_of(first_record(recorded), bundle)
        runtime = asked.runtime
    else:
        if bundle is None:
            raise click.UsageError("Missing option '--bundle'.")
        if (camera is None) == (source is None):
            raise click.UsageError("give either --camera NAME or --source PATH")
        if camera_size is not None and camera is None:
            raise click.UsageError("--camera-size goes with --camera")
        asked = Settings(
            *(bundle, camera, camera_size, source, noise, seed, runtime, threads, every_frame, ungated),
            *(cells, cell_diameter, channel),
        )
    if allow_cpu and runtime != "edgetpu":
        raise click.UsageError("--allow-cpu goes with --runtime edgetpu; the others compute on the CPU anyway")
    for name, seconds in (("--duration", duration), ("--max-age", max_age), ("--no-frame", no_frame), ("--no-answer", no_answer)):
        if seconds is not None and not math.isfinite(seconds):
            raise click.BadParameter(f"expected a finite number, found {seconds}", param_hint=name)
    check_file_place(json_path)
    if out is not None:
        check_replaceable(out, REPORT)
    listener = None if serve is None else click.get_current_context().with_resource(listening(serve))
    loaded = Bundle.load(find_bundle(asked.bundle))

    def open_watched() -> Judge:
        return open_watched_judge(loaded, runtime=runtime, threads=asked.threads, allow_cpu=allow_cpu, answer_s=no_answer)

    judge = open_watched()
    if judge.runtime.name != runtime:
        warn(f"note: {judge.runtime.name} computes on the CPU, not {runtime}: the model was not compiled for it")
    console = stdout()
    if replay is not None:
        found, lines = repeat(replay, asked, loaded, judge)
        for line in lines:
            console.print(line)
        if not found.is_exact:
            raise JournalError(f"{replay}: not every verdict was repeated; see above")
        return
    manifest = loaded.manifest
    steps = steps_of(asked, loaded)
    frame_source = open_frames(asked, loaded)
    _note_on_truth(frame_source, manifest.labels)

    kept = None if out is None and json_path is None else report.Keeper(manifest.labels)
    sinks: list[Sink] = [report.Console(_say, warn, verdicts=not quiet)]
    if kept is not None:
        sinks.append(kept)
    start = start_record(
        loaded,
        runtime=runtime,
        threads=asked.threads,
        sigmas=asked.noise,
        source=asked.source_settings(),
        settings=asked.as_text(),
        slide=slide_of(slide),
    )
    summary = SummarySink(start)
    recording: JournalSink | None = None
    done = Progress()

    def count_again(entry: Entry) -> None:
        summary.take_entry(entry)
        done.take(entry)

    if (session_folder := journal or resume) is not None:
        recording = open_recording(
            session_folder,
            start,
            resume=resume is not None,
            keep_frames=keep_frames,
            keep_running=keep_running,
            on_stop=warn,
            on_entry=count_again,
        )
        sinks.append(recording)
        if resume is not None and not frame_source.live:
            frame_source = Rest(frame_source, done.next_index)
    console.print(f"{manifest.name}: judges one {manifest.unit}; {', '.join(manifest.labels)}. {RESEARCH_USE}")
    if not quiet:
        console.print(report.VERDICT_HEADER)
    sinks.append(summary)
    motion = StageMotion() if frame_source.live and not asked.every_frame else None
    written = session_folder or out or json_path
    folder = None if written is None else nearest_parent(written)

    def read() -> Health:
        notify("WATCHDOG=1")  # from the loop itself: a loop that hangs is restarted by systemd
        return read_health(folder=folder)

    monitor = HealthMonitor(read, time.perf_counter_ns)
    control = Control()
    if listener is not None:

        def begin_slide(slide: str) -> None:
            for sink in (recording, summary):
                if sink is not None:
                    sink.mark("new slide", slide=slide)
            if motion is not None:
                motion.forget()

        about = About.of(manifest, frame_source.name)
        sinks.append(_open_page(listener, about, control, monitor, start, recording, begin_slide))
        warn(f"live page: {listener.url}")
    notify("READY=1")
    with stopped_by_signals(control):
        session = run(
            frame_source,
            judge,
            sinks,
            replace(steps, gate=first_of(steps.gate, motion)),
            Limits(frames, duration, max_age),
            control=control,
            health=monitor,
            reopening=Reopening(no_frame_s=no_frame),
            restart=open_watched,
            restarting=Restarting(answer_s=no_answer),
        )
    notify("STOPPING=1")
    if session.tally.frames:
        console.print(report.closing_tables(session))
    if session.stopped_by is not None:
        warn(f"stopped by {session.stopped_by}")
    if recording is not None:
        console.print(f"{session_folder}: {recording.outcome}")
    if kept is not None:
        content = report.session_json(session, kept, loaded, judge, asked.seed)
        _write(content, report.session_csv(kept), summary.summary(), json_path, out)
    if session.failure is not None:
        raise session.failure


def _recorded(journal: Path | None, resume: Path | None, replay: Path | None, *, slide: str | None, keeps: bool) -> Path | None:
    """The session to go on with or to repeat, whose settings are its own. Raises: UsageError."""
    if sum(place is not None for place in (journal, resume, replay)) > 1:
        raise click.UsageError("--journal begins a session, --resume goes on with one, --replay repeats one: give one of them")
    recorded = resume or replay
    if (journal or resume) is None and keeps:
        raise click.UsageError("--keep-frames and --keep-running go with --journal or --resume")
    if journal is None and slide is not None:
        raise click.UsageError("--slide goes with --journal")
    if recorded is not None:
        context = click.get_current_context()
        its_own = [field.name for field in fields(Settings) if field.name != "bundle"]  # which may lie elsewhere by now
        given = [name for name in its_own if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{recorded} says itself with which {option} it was recorded: leave it out")
    return recorded


def _open_page(
    listener: Listener,
    about: About,
    control: Control,
    monitor: HealthMonitor,
    start: StartRecord,
    recording: JournalSink | None,
    on_new_slide: Callable[[str], None],
) -> Sink:
    from leukolite.edge.page import application  # Starlette and Uvicorn: only where they are wanted
    from leukolite.edge.server import PageServer

    def estimate(called: int, n: int) -> Share:
        found = prevalence(called, n, start.validation)
        if found.fraction is None:
            return Share(found.apparent, found.apparent_interval, f"as counted, not corrected: {found.note}")
        return Share(found.fraction, found.interval, "corrected for the model's errors")

    live = Live(about, salt=None if recording is None else laboratory_salt(), on_new_slide=on_new_slide)
    app = application(
        live,
        control,
        lambda: monitor.latest,
        lambda: None if recording is None else recording.state,
        port=listener.port,
        token=listener.token,
        estimate=estimate,
    )
    return PageServer(live, app, listener.bound)


def _write(content: dict[str, Any], verdicts: str, summary: Summary, json_path: Path | None, out: Path | None) -> None:
    if out is not None:
        with new_folder(out, replace_if_holds=REPORT) as staging:
            write_json(staging / REPORT, content)
            (staging / VERDICTS).write_text(verdicts, encoding="utf-8")
            write_summary(staging, summary)
    if json_path is not None:
        write_json(json_path, content)


def _say(line: str) -> None:
    """A verdict's line, at once, so that a pipe shows it when it is said."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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
