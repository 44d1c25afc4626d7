"""`edge-run`: a bundle, a camera or source, verdicts."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from leukolite import __version__
from leukolite.edge.camera.capture import ReconnectPolicy
from leukolite.edge.camera.discover import list_cameras
from leukolite.edge.camera.login import address_with_login
from leukolite.edge.camera.open import CAMERAS, is_network_camera
from leukolite.edge.camera.remaining import NothingLeft
from leukolite.edge.camera.source import Size
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.edge.field.one_cell import CELLS, Cells
from leukolite.edge.host.descriptors import raise_limit
from leukolite.edge.host.watchdog import RestartPolicy
from leukolite.edge.journal.open import is_begun
from leukolite.edge.journal.slides import SLIDE_NAME_CHARACTERS, is_slide_name
from leukolite.edge.page.listen import Address, AddressType, listening
from leukolite.edge.pipeline import Limits
from leukolite.edge.report.result_files import REPORT, VERDICTS
from leukolite.edge.run import RunOptions, run_session
from leukolite.edge.settings import SessionSettings, changed_setting, first_record, settings_of
from leukolite.errors import JournalError
from leukolite.folder_kinds import what_folder
from leukolite.noise import NoisePlace
from leukolite.one_line import first_line_of
from leukolite.options import (
    BundlePath,
    Finite,
    Sigmas,
    SizeType,
    force_option,
    json_option,
    moved_option,
    noise_at_option,
    runtime_option,
    seed_option,
    threads_option,
)
from leukolite.outputs import check_outputs
from leukolite.runtime import RuntimeOptions
from leukolite.streams import guard_streams
from leukolite.terminal import Command, stdout, warn
from leukolite.unwaited import unwaited_streams
from leukolite.wording import RESEARCH_USE


class _EdgeRun(Command):
    """The process of `edge-run`: its session has enough descriptors, and waits for nobody who reads what it prints."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        guard_streams()
        raise_limit()
        with unwaited_streams():
            return super().main(*args, **kwargs)


def _show_cameras(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print what is plugged in, and end."""
    if not asked or ctx.resilient_parsing:
        return
    found, troubles = list_cameras()
    for camera in found:
        stdout().print(f"{camera.name:<20} {camera.model}")
        for name in camera.lasting_names:
            stdout().print(f"  or {name}")
    stdout().print(f"{'synthetic':<20} rendered smears, always there")
    for line in troubles:
        warn(f"note: {line}")
    ctx.exit()


@click.command(
    cls=_EdgeRun, epilog=RESEARCH_USE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--bundle", type=BundlePath(), help="Bundle folder or zip, or a shipped bundle's name.")
@click.option("--camera", metavar="NAME", help=f"Camera to open: {'; '.join(CAMERAS)}.")
@click.option(
    "--camera-login",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File that only this user may read, with a network camera's USER:PASSWORD or whole address; - is stdin.",
)
@click.option("--camera-size", type=SizeType(), help="Size of a picamera2's or v4l2 camera's pictures, pixels.")
@click.option(
    "--list-cameras",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_cameras,
    help="Show the cameras that are plugged in, and exit.",
)
@click.option("--source", type=click.Path(path_type=Path), help="Folder of images, one image, or a video file.")
@click.option("--noise", type=Sigmas(), default=(0.0,), help="Sigmas of the Gaussian noise to add, grey levels.  [default: 0]")
@noise_at_option()
@click.option("--frames", type=click.IntRange(1), help="Number of frames after which the session ends.")
@click.option("--duration", type=Finite(0, min_open=True), metavar="SECONDS", help="Seconds after which the session ends.")
@click.option(
    "--max-age", type=Finite(0, min_open=True), metavar="MS", help="Age at which a frame is excluded when its turn comes."
)
@threads_option
@runtime_option
@click.option("--allow-cpu", is_flag=True, help="With --runtime edgetpu: let the CPU compute what the Edge TPU would not.")
@click.option(
    "--no-frame",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    default=ReconnectPolicy().no_frame_s,
    show_default=True,
    help="Seconds without a frame after which a camera is opened again.",
)
@click.option(
    "--no-answer",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    default=RestartPolicy().answer_s,
    show_default=True,
    help="Seconds without an answer after which a runtime is restarted.",
)
@seed_option("the noise and of the synthetic camera")
@click.option("--every-frame", is_flag=True, help="Classify a live camera's field again although the stage has not moved.")
@click.option(
    "--cells",
    type=click.Choice(CELLS),
    default="auto",
    show_default=True,
    help="What a frame shows to a bundle that classifies cells. auto: a camera's frame many, a small picture file one.",
)
@click.option(
    "--cell-diameter",
    type=Finite(4, 4096),
    metavar="PX",
    help="Diameter of a typical white cell, pixels.  [default: measured in each field, by its red cells]",
)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="a-b",
    show_default=True,
    help="Axis of LAB on which cells are looked for; a is the one of Farag et al. 2025.",
)
@click.option("--ungated", is_flag=True, help="Classify also what the quality gates would exclude (blur, light, stain).")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Folder in which the session is recorded; it goes on with the one that is there, as a service does after a power cut.",
)
@click.option("--journal", type=click.Path(path_type=Path), help="New folder in which the session is recorded.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="SESSION", help="Recorded session to go on with, as it began.")
@moved_option("edge-run", "--replay", "leukolite journal replay SESSION", is_flag=False, flag_value="SESSION")
@click.option("--slide", metavar="NAME", help="Name of the slide under the lens; a salted id of it is kept.")
@click.option(
    "--slide-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File whose first line is the slide's name, for --slide shows it to every user of the machine; - is stdin.",
)
@click.option("--keep-frames", is_flag=True, help="Keep each classified frame beside the journal, lossless.")
@click.option("--keep-running", is_flag=True, help="Go on unrecorded when the disk is full.")
@click.option(
    "--serve",
    type=AddressType(),
    help="Address of a live page for who has the token it prints, on this machine alone unless a HOST is given, as 0.0.0.0:PORT.",
)
@click.option("--quiet", is_flag=True, help="Print no line per verdict; gaps, notes and the closing tables stay.")
@json_option("the session")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder to write: {REPORT}, {VERDICTS} and the summary.")
@force_option
@click.version_option(__version__, prog_name="edge-run")
def main(
    bundle: Path | None,
    camera: str | None,
    camera_login: Path | None,
    camera_size: Size | None,
    source: Path | None,
    noise: tuple[float, ...],
    noise_at: NoisePlace,
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
    record: Path | None,
    journal: Path | None,
    resume: Path | None,
    slide: str | None,
    slide_file: Path | None,
    keep_frames: bool,
    keep_running: bool,
    serve: Address | None,
    quiet: bool,
    json_path: Path | None,
    out: Path | None,
    force: bool,
) -> None:
    """Classify what a camera, folder or video shows, and say how long it took.

    Folders of the model's classes below --source are the truth of pictures that are classified whole. For bundles of unit 'cell',
    white cells are found in each frame and classified one by one; a small picture file is taken for one cell's. Of a live
    camera the newest frame is classified. Ctrl-C, SIGTERM and SIGHUP end the session after the frame in hand, a second
    Ctrl-C at once.

    \b
    Example:
      edge-run --bundle synthetic-cells --camera synthetic --frames 100 --noise 0,5,10
      edge-run --bundle mobilenet_m-taleqani --source slides/ --json verdicts.json
      edge-run --bundle mobilenet_m-allidb2 --source fields/ --json cells.json
      edge-run --bundle mobilenet_m-taleqani --camera picamera2 --max-age 500 --journal monday --slide A17
      edge-run --resume monday
      edge-run --bundle mobilenet_m-taleqani --camera picamera2 --record /var/lib/leukolite/session
      edge-run --bundle synthetic-cells --camera synthetic:5 --serve 8000
    """
    _check_recording(record, journal, resume, keeps=keep_frames or keep_running)
    slide = _slide_name(slide, slide_file, camera_login)
    _check_slide(slide, shows=any(place is not None for place in (record, journal, resume, serve, out)))
    if resume is not None:
        settings = settings_of(first_record(resume), bundle)
        settings = replace(settings, runtime=settings.runtime.with_cpu(allow_cpu))
        settings = _with_login(settings, camera_login)
    elif bundle is None:
        raise click.UsageError("Missing option '--bundle'; `leukolite bundles` lists the shipped ones.")
    else:
        settings = SessionSettings(
            bundle=bundle,
            camera=camera,
            camera_size=camera_size,
            source=source,
            noise=noise,
            seed=seed,
            runtime=RuntimeOptions(name=runtime, threads=threads, allow_cpu=allow_cpu),
            every_frame=every_frame,
            ungated=ungated,
            cells=cells,
            cell_diameter=cell_diameter,
            channel=channel,
            noise_at=noise_at,
        )
        _check_settings(settings)
        settings = _with_login(settings, camera_login)
        if record is not None and is_begun(record):
            _check_as_recorded(record, settings)
    if allow_cpu and settings.runtime.name != "edgetpu":
        raise click.UsageError("--allow-cpu goes with --runtime edgetpu; the others compute on the CPU anyway")
    check_outputs(
        files=[json_path],
        folders={out: REPORT},
        journal=record or journal or resume,
        inputs=[settings.bundle],
        data=[settings.source],
        force=force,
    )
    listener = None if serve is None else click.get_current_context().with_resource(listening(serve))
    try:
        run_session(
            RunOptions(
                settings=settings,
                limits=Limits(frames, duration, max_age),
                reconnect=ReconnectPolicy(no_frame_s=no_frame),
                restart=RestartPolicy(answer_s=no_answer),
                recording=record or journal or resume,
                resumes=None if record is not None else resume is not None,
                slide=slide,
                keep_frames=keep_frames,
                keep_running=keep_running,
                quiet=quiet,
                json_path=json_path,
                out=out,
                force=force,
            ),
            listener,
        )
    except NothingLeft as error:
        if record is None:
            raise
        warn(f"note: {error}")  # as it was asked for: what there is is recorded


def _check_recording(record: Path | None, journal: Path | None, resume: Path | None, *, keeps: bool) -> None:
    """Raises: UsageError, or JournalError for a session that is there, or is not."""
    if sum(place is not None for place in (record, journal, resume)) > 1:
        raise click.UsageError(
            "--journal begins a session, --resume goes on with one, --record does what is right: give one of them"
        )
    if (record or journal or resume) is None and keeps:
        raise click.UsageError("--keep-frames and --keep-running go with --journal, --record or --resume")
    if resume is not None:
        context = click.get_current_context()
        its_own = [field.name for field in fields(SessionSettings) if field.name != "bundle"]  # which may lie elsewhere by now
        given = [name for name in (*its_own, "threads") if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{resume} says itself with which {option} it was recorded: leave it out")
    if journal is not None and is_begun(journal):
        raise JournalError(f"{journal}: a session is recorded there already; choose a new folder", advice="or-record")
    if resume is not None and not is_begun(resume):
        has_journal = any(resume.glob("journal-*.jsonl"))  # of a start that came to nothing
        if not has_journal and (what := what_folder(resume)):
            raise JournalError(f"{resume}: no session is recorded there; this is {what}")
        raise JournalError(f"{resume}: no session is recorded there", advice="record")


def _slide_name(slide: str | None, file: Path | None, login: Path | None) -> str | None:
    """Raises: UsageError, or LeukoliteError where `file` cannot be read."""
    if file is None:
        return slide
    if slide is not None:
        raise click.UsageError("give either --slide NAME or --slide-file FILE")
    if str(file) == "-" and login is not None and str(login) == "-":
        raise click.UsageError("--slide-file and --camera-login cannot both come from stdin")
    return first_line_of(file, "the slide's name")


def _with_login(settings: SessionSettings, file: Path | None) -> SessionSettings:
    """Raises: UsageError, or LeukoliteError where `file` cannot be read or holds no login of this camera."""
    if file is None:
        return settings
    camera = settings.camera or ""
    if not is_network_camera(camera):
        raise click.UsageError("--camera-login goes with a network camera, whose address begins with rtsp:// or http://")
    return replace(settings, camera=address_with_login(camera, file))


def _check_slide(slide: str | None, *, shows: bool) -> None:
    """Raises: UsageError, where the slide's id would stand nowhere: `shows` is True for a journal, a page or a summary."""
    if slide is None:
        return
    if not shows:
        raise click.UsageError("--slide goes with --journal, --record, --resume, --serve or --out")
    if not is_slide_name(slide):
        raise click.UsageError(f"--slide: expected the slide's name or number, at most {SLIDE_NAME_CHARACTERS} characters")


def _check_settings(settings: SessionSettings) -> None:
    """Raises: UsageError."""
    if (settings.camera is None) == (settings.source is None):
        raise click.UsageError("give either --camera NAME or --source PATH")
    if settings.camera_size is not None and settings.camera is None:
        raise click.UsageError("--camera-size goes with --camera")
    if settings.cells == "one" and (settings.cell_diameter is not None or settings.channel != "a-b"):
        raise click.UsageError("--cell-diameter and --channel are for finding cells: they do not go with --cells one")


def _check_as_recorded(folder: Path, settings: SessionSettings) -> None:
    """Raises: UsageError, if the session in `folder` was recorded with other options."""
    changed = changed_setting(first_record(folder), settings)
    if changed is None:
        return
    option = f"--{changed.name.replace('_', '-')}"
    was, now = (_as_given(option, value) for value in (changed.recorded, changed.now))
    raise click.UsageError(
        f"{folder}: the session there was recorded {was}, now it is asked for {now}: leave it as it was, or choose another folder"
    )


def _as_given(option: str, value: object) -> str:
    """'with --noise 0,10', 'without --ungated'."""
    if value is None or value is False:
        return f"without {option}"
    if value is True:
        return f"with {option}"
    if isinstance(value, tuple):
        parts = [f"{part:g}" for part in value]
        return f"with {option} {('x' if option == '--camera-size' else ',').join(parts)}"
    return f"with {option} {value:g}" if isinstance(value, float) else f"with {option} {value}"
