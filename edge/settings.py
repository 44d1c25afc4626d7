"""A recorded session as `edge-run` takes it up again: to go on with it, or to repeat it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from leukolite.appearance import look
from leukolite.bundle import Bundle
from leukolite.classifier import Classifier
from leukolite.edge.camera.files import is_video
from leukolite.edge.camera.open import open_camera, open_source
from leukolite.edge.camera.source import FrameSource, Items, Note
from leukolite.edge.field.crop import CELLS, Cells, is_whole_of, locator_of
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.edge.field.quality import nothing_to_see, picture_gate
from leukolite.edge.field.view import Treatment
from leukolite.edge.journal.format import Entry, journal_files, read
from leukolite.edge.journal.records import FrameRecord, GapRecord, SourceSettings, StartRecord, manifest_sha256
from leukolite.edge.journal.replay import Replay, check_replayable, replay
from leukolite.edge.journal.slides import load_salt, slide_id
from leukolite.edge.pipeline import FrameProcessing
from leukolite.errors import BundleError, JournalError, SourceError
from leukolite.manifest import Manifest
from leukolite.terminal import add_task, progress_bar

SHOWN = 10  # differences on the terminal


@dataclass(frozen=True)
class SessionSettings:
    """What decides a session's verdicts, beside the bundle itself; each field is named like its option of `edge-run`.

    Attributes:
        camera, source: what is judged; one of them.
        camera_size: width and height that the camera is asked for, pixels; None: its own.
        every_frame: judge a field again although the stage has not moved.
        ungated: judge also what the quality gates would exclude.
        cells: what a frame shows to a model that judges cells, see `leukolite.edge.field.crop.locator_of`.
        cell_diameter: of a typical white cell, pixels; None measures each field.
        channel: the colour axis on which cells are looked for.
    """

    bundle: Path
    camera: str | None
    camera_size: tuple[int, int] | None
    source: Path | None
    noise: tuple[float, ...]
    seed: int
    runtime: str
    threads: int
    every_frame: bool
    ungated: bool = False
    cells: Cells = "auto"
    cell_diameter: float | None = None
    channel: Channel = "a-b"

    def as_text(self) -> dict[str, str]:
        """Those that a journal's first record has no field of its own for."""
        given = {
            "camera_size": None if self.camera_size is None else "{}x{}".format(*self.camera_size),
            "every_frame": "yes" if self.every_frame else None,
            "ungated": "yes" if self.ungated else None,
            "cells": None if self.cells == "auto" else self.cells,
            "cell_diameter": None if self.cell_diameter is None else repr(self.cell_diameter),
            "channel": None if self.channel == "a-b" else self.channel,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_synthetic(self) -> bool:
        """Whether the synthetic camera renders the frames."""
        return self.camera is not None and self.camera.partition(":")[0] == "synthetic"

    def is_rendered(self, manifest: Manifest) -> bool:
        """True for the synthetic camera before a model of other pictures: its stain is none that the model knows."""
        return self.is_synthetic and (manifest.training is None or manifest.training.dataset != "synthetic")

    def source_settings(self) -> SourceSettings:
        path = None if self.source is None else str(self.source.resolve())
        return SourceSettings(camera=self.camera, path=path, seed=self.seed)


def first_record(folder: Path) -> StartRecord:
    """How a session began. Raises: JournalError, if the folder holds no journal, or a damaged one."""
    entry = next(read(folder), None)
    if entry is None or not isinstance(entry.record, StartRecord):
        raise JournalError(f"{folder}: no session was recorded here")
    return entry.record


def settings_of(start: StartRecord, bundle: Path | None) -> SessionSettings:
    """The settings that a session began with.

    Args:
        bundle: where its bundle is now; None: where it was.
    """
    width, _, height = start.settings.get("camera_size", "").partition("x")
    return SessionSettings(
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
        cells=_one_of(CELLS, start.settings.get("cells", "auto")),
        cell_diameter=float(start.settings["cell_diameter"]) if "cell_diameter" in start.settings else None,
        channel=_one_of(CHANNELS, start.settings.get("channel", "a-b")),
    )


def open_frames(settings: SessionSettings, bundle: Bundle) -> FrameSource:
    """The camera or source. Raises: SourceError."""
    manifest = bundle.manifest
    if settings.camera is not None:
        unit = "field" if settings.cells == "many" else manifest.unit
        return open_camera(settings.camera, unit, manifest.labels, seed=settings.seed, size=settings.camera_size)
    return open_source(settings.source or Path())


def steps_of(settings: SessionSettings, bundle: Bundle) -> FrameProcessing:
    """What is done to each frame before the judge sees it.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one; or it judges
            fields, and cells are to be found.
    """
    manifest = bundle.manifest
    # rendered as a model that judges cells wants them, unless fields are asked for
    if manifest.unit == "field" and (settings.cell_diameter is not None or settings.channel != "a-b"):
        raise BundleError(f"{manifest.name} judges whole fields: --cell-diameter and --channel are for bundles that judge cells")
    is_rendered_cell = settings.is_synthetic and settings.cells == "auto" and manifest.unit == "cell"
    cells = "one" if is_rendered_cell else settings.cells
    are_pictures = settings.source is not None and not is_video(settings.source)
    is_whole = is_whole_of(manifest, cells=cells, are_pictures=are_pictures)
    gate = None if settings.ungated else picture_gate(manifest, rendered=settings.is_rendered(manifest))
    whole = Treatment(gate)
    if manifest.unit == "field" or cells == "one":  # a locator that nothing asks takes a tenth of a second to make
        return FrameProcessing(lambda pixels: whole, sigmas=settings.noise, seed=settings.seed)
    locator = locator_of(manifest, channel=settings.channel, cell_diameter=settings.cell_diameter, gate=gate)
    field = Treatment(None if gate is None else lambda pixels: nothing_to_see(look(pixels)), locator)
    return FrameProcessing(lambda pixels: whole if is_whole(pixels) else field, sigmas=settings.noise, seed=settings.seed)


Choice = TypeVar("Choice", bound=str)


def _one_of(choices: Sequence[Choice], text: str) -> Choice:
    """Raises: JournalError, if a journal names a setting that this version does not know."""
    for choice in choices:
        if choice == text:
            return choice
    raise JournalError(f"the session was recorded with the setting {text!r}; this version knows {', '.join(choices)}")


class RemainingFrames:
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


class ResumePoint:
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


def repeat(folder: Path, settings: SessionSettings, bundle: Bundle, classifier: Classifier) -> tuple[Replay, list[str]]:
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
            classifier,
            lambda _: open_frames(settings, bundle),
            steps_of(settings, bundle),
            on_line=lambda length: bar.advance(task, length / 1e6),
        )
    lines = [f"{folder}: {found.frames} frames judged again, {found.verdicts} verdicts compared, {found.different} differ"]
    lines += [f"  {one.source}, frame {one.index}: {one.what}" for one in found.differences[:SHOWN]]
    if found.excluded:
        lines.append(f"{found.excluded} frames were excluded then: nothing to repeat")
    return found, lines
