"""A recorded session as `edge-run` takes it up again: to go on with it, or to repeat it."""

import os
from dataclasses import dataclass
from pathlib import Path

from leukolite.bundle import Bundle, Manifest
from leukolite.edge.chain import Entry, journal_files, read
from leukolite.edge.frames import FrameSource, Items, Note
from leukolite.edge.pipeline import Steps
from leukolite.edge.records import FrameRecord, GapRecord, SourceSettings, StartRecord, load_salt, manifest_sha256, slide_id
from leukolite.edge.replay import Replay, check_replayable, replay
from leukolite.edge.sources import open_camera, open_source
from leukolite.errors import JournalError, SourceError
from leukolite.judge import Judge
from leukolite.terminal import add_task, progress_bar

SHOWN = 10  # differences on the terminal


@dataclass(frozen=True)
class Settings:
    """What decides a session's verdicts, beside the bundle itself.

    Attributes:
        camera, source: what is judged; one of them.
        camera_size: width and height that the camera is asked for, pixels; None: its own.
        every_frame: judge a field again although the stage has not moved.
        ungated: judge also what the quality gates would exclude.
    """

    bundle: Path
    camera: str | None
    source: Path | None
    camera_size: tuple[int, int] | None
    noise: tuple[float, ...]
    seed: int
    runtime: str
    threads: int
    every_frame: bool
    ungated: bool = False

    def as_text(self) -> dict[str, str]:
        """Those that a journal's first record has no field of its own for."""
        size = {} if self.camera_size is None else {"camera_size": "{}x{}".format(*self.camera_size)}
        flags = {"every_frame": self.every_frame, "ungated": self.ungated}
        return size | {name: "yes" for name, is_set in flags.items() if is_set}

    def is_rendered(self, manifest: Manifest) -> bool:
        """True for the synthetic camera before a model of other pictures: its stain is none that the model knows."""
        dataset = None if manifest.training is None else manifest.training.dataset
        return self.camera is not None and self.camera.partition(":")[0] == "synthetic" and dataset != "synthetic"

    def source_settings(self) -> SourceSettings:
        path = None if self.source is None else str(self.source.resolve())
        return SourceSettings(camera=self.camera, path=path, seed=self.seed)


def first_record(folder: Path) -> StartRecord:
    """How a session began. Raises: JournalError, if the folder holds no journal, or a damaged one."""
    entry = next(read(folder), None)
    if entry is None or not isinstance(entry.record, StartRecord):
        raise JournalError(f"{folder}: no session was recorded here")
    return entry.record


def settings_of(start: StartRecord, bundle: Path | None) -> Settings:
    """The settings that a session began with.

    Args:
        bundle: where its bundle is now; None: where it was.
    """
    width, _, height = start.settings.get("camera_size", "").partition("x")
    return Settings(
        bundle=bundle or Path(start.bundle),
        camera=start.source.camera,
        source=None if start.source.path is None else Path(start.source.path),
        camera_size=(int(width), int(height)) if height else None,
        noise=tuple(start.sigmas),
        seed=start.source.seed,
        runtime=start.runtime,
        threads=start.threads,
        every_frame="every_frame" in start.settings,
        ungated="ungated" in start.settings,
    )


def open_frames(settings: Settings, bundle: Bundle) -> FrameSource:
    """The camera or source. Raises: SourceError."""
    manifest = bundle.manifest
    if settings.camera is not None:
        return open_camera(settings.camera, manifest.unit, manifest.labels, seed=settings.seed, size=settings.camera_size)
    return open_source(settings.source or Path())


class Rest:
    """A folder, video or on-demand camera from where a resumed session left off; its frames are not counted twice."""

    live = False

    def __init__(self, source: FrameSource, first_index: int) -> None:
        self.name, self.truths = source.name, source.truths
        self._source, self._first_index = source, first_index

    def frames(self) -> Items:
        is_done = True
        for item in self._source.frames():
            if isinstance(item, Note) or item.index >= self._first_index:
                is_done = is_done and isinstance(item, Note)
                yield item
        if is_done:
            raise SourceError(f"{self.name}: all {self._first_index} frames were judged before the session was resumed")


class Progress:
    """Where a recorded session stood, told entry by entry."""

    def __init__(self) -> None:
        self.next_index = 0

    def take(self, entry: Entry) -> None:
        if isinstance(entry.record, FrameRecord | GapRecord):
            self.next_index = max(self.next_index, entry.record.index + 1)


def laboratory_salt() -> bytes:
    """The salt of the slides' ids, in the user's configuration folder. Raises: JournalError, if it cannot be read or made."""
    return load_salt(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "leukolite" / "salt")


def slide_of(name: str | None) -> str | None:
    """A slide's salted id."""
    return slide_id(name, laboratory_salt()) if name else None


def repeat(folder: Path, settings: Settings, bundle: Bundle, judge: Judge) -> tuple[Replay, list[str]]:
    """Judge a recorded session's frames again.

    Returns:
        How it went, and lines for the terminal.

    Raises:
        JournalError: the session was recorded with another bundle, or its journal does not verify.
    """
    check_replayable(folder, first_record(folder), manifest_sha256(bundle.manifest))
    megabytes = sum(path.stat().st_size for path in journal_files(folder)) / 1e6
    with progress_bar() as bar:
        task = add_task(bar, "replaying, MB", megabytes)
        found = replay(
            folder,
            judge,
            lambda _: open_frames(settings, bundle),
            Steps(sigmas=settings.noise, seed=settings.seed),
            on_line=lambda length: bar.advance(task, length / 1e6),
        )
    lines = [f"{folder}: {found.frames} frames judged again, {found.verdicts} verdicts compared, {found.different} differ"]
    lines += [f"  {one.source}, frame {one.index}: {one.what}" for one in found.differences[:SHOWN]]
    if found.excluded:
        lines.append(f"{found.excluded} frames were excluded then: nothing to repeat")
    return found, lines
