"""`edge-run`: a bundle, a camera or source, verdicts."""

import math
from collections.abc import Sequence
from pathlib import Path

import click

from leukolite import __version__
from leukolite.bundle import Bundle
from leukolite.edge import report
from leukolite.edge.pipeline import run
from leukolite.edge.shipped import find_bundle
from leukolite.edge.sources import CAMERAS, Frame, FrameSource, Gap, SyntheticCamera, match_truths, open_camera, open_source
from leukolite.evaluation import Judged
from leukolite.files import check_replaceable, new_folder
from leukolite.judge import open_judge
from leukolite.runtime import RUNTIMES
from leukolite.terminal import RESEARCH_USE, SEED, Command, Sigmas, check_file_place, stdout, warn, write_json

REPORT, VERDICTS = "report.json", "verdicts.csv"


@click.command(
    cls=Command, epilog=RESEARCH_USE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--bundle", required=True, type=click.Path(path_type=Path), help="Bundle folder or zip, or a shipped bundle's name."
)
@click.option("--camera", metavar="NAME", help=f"Camera: {', '.join(CAMERAS)}.")
@click.option("--source", type=click.Path(path_type=Path), help="Folder of images, one image, or a video file.")
@click.option("--noise", type=Sigmas(), default=(0.0,), help="Add Gaussian noise of these sigmas, grey levels.  [default: 0]")
@click.option("--frames", type=click.IntRange(1), help="Stop after so many frames.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after so long.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime.")
@click.option("--runtime", type=click.Choice(list(RUNTIMES)), default="litert", show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the noise and the synthetic camera.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the session as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder for {REPORT} and {VERDICTS}.")
@click.version_option(__version__, prog_name="edge-run")
def main(
    bundle: Path,
    camera: str | None,
    source: Path | None,
    noise: tuple[float, ...],
    frames: int | None,
    duration: float | None,
    threads: int,
    runtime: str,
    seed: int,
    json_path: Path | None,
    out: Path | None,
) -> None:
    """Judge what a camera, folder or video shows, and say how long it took.

    Class folders right below --source count as the truth. A bundle of unit 'cell' takes frames that show one cell.

    \b
    Example:
      edge-run --bundle synthetic-cells --camera synthetic --frames 100 --noise 0,5,10
      edge-run --bundle mobilenet_m-taleqani --source slides/ --json verdicts.json
    """
    if (camera is None) == (source is None):
        raise click.UsageError("give either --camera NAME or --source PATH")
    if duration is not None and not math.isfinite(duration):
        raise click.BadParameter(f"expected a number of seconds, found {duration}", param_hint="--duration")
    check_file_place(json_path)
    if out is not None:
        check_replaceable(out, REPORT)
    loaded = Bundle.load(find_bundle(bundle))
    judge = open_judge(loaded, runtime=runtime, threads=threads)
    manifest = loaded.manifest
    frame_source = (
        open_camera(camera, manifest.unit, manifest.labels, seed=seed) if camera is not None else open_source(source or Path())
    )
    _note_on_truth(frame_source, manifest.labels)

    console = stdout()
    console.print(f"{manifest.name}: judges one {manifest.unit}; {', '.join(manifest.labels)}. {RESEARCH_USE}")

    console.print(report.VERDICT_HEADER)

    def show(frame: Frame, verdicts: Sequence[Judged]) -> None:
        console.print(report.verdict_line(verdicts, frame.truth))

    def show_gap(gap: Gap) -> None:
        warn(f"{gap.source}: passed over: {gap.reason}")

    session = run(frame_source, judge, noise, seed=seed, max_frames=frames, max_seconds=duration, on_frame=show, on_gap=show_gap)
    if session.judged:
        console.print(report.closing_tables(session, judge))
    if session.interrupted:
        warn("stopped by the user")
    if out is None and json_path is None:
        return
    content = report.session_json(session, loaded, judge, seed)
    if out is not None:
        with new_folder(out, replace_if_holds=REPORT) as folder:
            write_json(folder / REPORT, content)
            (folder / VERDICTS).write_text(report.session_csv(session, judge), encoding="utf-8")
    if json_path is not None:
        write_json(json_path, content)


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
