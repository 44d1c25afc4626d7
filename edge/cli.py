"""`edge-run`: a bundle, a camera or source, verdicts."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from leukolite import __version__
from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.camera.discover import list_cameras
from leukolite.edge.camera.open import CAMERAS
from leukolite.edge.camera.source import Size
from leukolite.edge.field.crop import CELLS, Cells
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.edge.host.watchdog import RestartPolicy
from leukolite.edge.page.listen import Address, AddressType, listening
from leukolite.edge.pipeline import Limits
from leukolite.edge.run import REPORT, VERDICTS, RunOptions, repeat_session, run_session
from leukolite.edge.settings import SessionSettings, first_record, settings_of
from leukolite.files import check_file_place, check_replaceable
from leukolite.options import SEED, Finite, Sigmas
from leukolite.runtime import RUNTIMES
from leukolite.terminal import Command, warn
from leukolite.wording import RESEARCH_USE

# options that a replay has no use for
_OF_A_RUN = ("frames", "duration", "max_age", "no_frame", "serve", "quiet", "json_path", "out")


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
@click.option("--duration", type=Finite(0, min_open=True), metavar="SECONDS", help="Stop after so long.")
@click.option(
    "--max-age", type=Finite(0, min_open=True), metavar="MS", help="Exclude frames older than this when their turn comes."
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime.")
@click.option("--runtime", type=click.Choice(list(RUNTIMES)), default="litert", show_default=True)
@click.option("--allow-cpu", is_flag=True, help="With --runtime edgetpu: let the CPU compute what the Edge TPU would not.")
@click.option(
    "--no-frame",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    default=ReconnectPolicy().no_frame_s,
    show_default=True,
    help="Open a camera again that gave no frame for so long.",
)
@click.option(
    "--no-answer",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    default=RestartPolicy().answer_s,
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
    type=Finite(4, 4096),
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

    Class folders right below --source count as the truth of pictures that are judged whole. For a bundle of unit 'cell',
    white cells are found in each frame and judged one by one; a small picture file is taken for one cell's. Of a live camera
    the newest frame is judged. Ctrl-C and SIGTERM end the session after the frame in hand; a second one ends it at once.

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
        settings = settings_of(first_record(recorded), bundle)
    elif bundle is None:
        raise click.UsageError("Missing option '--bundle'.")
    else:
        settings = SessionSettings(
            bundle=bundle,
            camera=camera,
            camera_size=camera_size,
            source=source,
            noise=noise,
            seed=seed,
            runtime=runtime,
            threads=threads,
            every_frame=every_frame,
            ungated=ungated,
            cells=cells,
            cell_diameter=cell_diameter,
            channel=channel,
        )
        _check_what_is_judged(settings)
    if allow_cpu and settings.runtime != "edgetpu":
        raise click.UsageError("--allow-cpu goes with --runtime edgetpu; the others compute on the CPU anyway")
    check_file_place(json_path)
    if out is not None:
        check_replaceable(out, REPORT)
    listener = None if serve is None else click.get_current_context().with_resource(listening(serve))
    plan = RunOptions(
        settings=settings,
        allow_cpu=allow_cpu,
        limits=Limits(frames, duration, max_age),
        reopening=ReconnectPolicy(no_frame_s=no_frame),
        restarting=RestartPolicy(answer_s=no_answer),
        recording=journal or resume,
        resumes=resume is not None,
        slide=slide,
        keep_frames=keep_frames,
        keep_running=keep_running,
        quiet=quiet,
        json_path=json_path,
        out=out,
    )
    if replay is not None:
        repeat_session(replay, plan)
    else:
        run_session(plan, listener)


def _recorded(journal: Path | None, resume: Path | None, replay: Path | None, *, slide: str | None, keeps: bool) -> Path | None:
    """The session to go on with or to repeat, whose settings are its own. Raises: UsageError."""
    if sum(place is not None for place in (journal, resume, replay)) > 1:
        raise click.UsageError("--journal begins a session, --resume goes on with one, --replay repeats one: give one of them")
    recorded = resume or replay
    if (journal or resume) is None and keeps:
        raise click.UsageError("--keep-frames and --keep-running go with --journal or --resume")
    if journal is None and slide is not None:
        raise click.UsageError("--slide goes with --journal")
    context = click.get_current_context()
    if replay is not None:
        useless = [name for name in _OF_A_RUN if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if useless:
            option = "--json" if useless[0] == "json_path" else f"--{useless[0].replace('_', '-')}"
            raise click.UsageError(f"--replay compares verdicts and does nothing else: leave {option} out")
    if recorded is not None:
        its_own = [field.name for field in fields(SessionSettings) if field.name != "bundle"]  # which may lie elsewhere by now
        given = [name for name in its_own if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{recorded} says itself with which {option} it was recorded: leave it out")
    return recorded


def _check_what_is_judged(settings: SessionSettings) -> None:
    """Raises: UsageError."""
    if (settings.camera is None) == (settings.source is None):
        raise click.UsageError("give either --camera NAME or --source PATH")
    if settings.camera_size is not None and settings.camera is None:
        raise click.UsageError("--camera-size goes with --camera")
    if settings.cells == "one" and (settings.cell_diameter is not None or settings.channel != "a-b"):
        raise click.UsageError("--cell-diameter and --channel are for finding cells: they do not go with --cells one")
