"""What decides a session's verdicts, as `edge-run` was asked or as a journal recorded it; and what is opened by it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from leukolite.address import without_secrets
from leukolite.bundle import Bundle
from leukolite.edge.camera.containers import is_video
from leukolite.edge.camera.open import open_camera, open_source
from leukolite.edge.camera.source import FrameSource
from leukolite.edge.classify import FrameProcessing
from leukolite.edge.field.locate import CHANNELS, Channel
from leukolite.edge.field.one_cell import CELLS, Cells
from leukolite.edge.field.treatment import treatments
from leukolite.edge.journal.format import read
from leukolite.edge.journal.records import SourceSettings, StartRecord
from leukolite.errors import JournalError
from leukolite.manifest import Manifest
from leukolite.noise import NOISE_PLACES, NoisePlace
from leukolite.path_text import path_of_text, text_of_path
from leukolite.runtime import RuntimeOptions
from leukolite.shipped import shipped_bundles, shipped_path


@dataclass(frozen=True)
class SessionSettings:
    """What decides a session's verdicts, beside the bundle itself; fields are named like the options of `edge-run`.

    Attributes:
        camera, source: what is classified; one of them.
        camera_size: width and height that the camera is asked for, pixels; None: its own.
        every_frame: classify a field again although the stage has not moved.
        ungated: classify also what the quality gates would exclude.
        cells: what a frame shows to a model that classifies cells, see `leukolite.edge.field.one_cell.is_whole_of`.
        cell_diameter: of a typical white cell, pixels; None measures each field.
        channel: the colour axis on which cells are looked for.
        noise_at: see `FrameProcessing`.
    """

    bundle: Path
    camera: str | None = field(repr=False)  # with its login
    camera_size: tuple[int, int] | None
    source: Path | None
    noise: tuple[float, ...]
    seed: int
    runtime: RuntimeOptions
    every_frame: bool
    ungated: bool = False
    cells: Cells = "auto"
    cell_diameter: float | None = None
    channel: Channel = "a-b"
    noise_at: NoisePlace = "capture"

    def as_text(self) -> dict[str, str]:
        """Those that a journal's first record has no field of its own for."""
        given = {
            "camera_size": None if self.camera_size is None else "{}x{}".format(*self.camera_size),
            "every_frame": "yes" if self.every_frame else None,
            "ungated": "yes" if self.ungated else None,
            "cells": None if self.cells == "auto" else self.cells,
            "cell_diameter": None if self.cell_diameter is None else repr(self.cell_diameter),
            "channel": None if self.channel == "a-b" else self.channel,
            "noise_at": None if self.noise_at == "capture" else self.noise_at,
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
        path = None if self.source is None else text_of_path(self.source.resolve())
        camera = None if self.camera is None else text_of_path(without_secrets(self.camera))
        return SourceSettings(camera=camera, path=path, seed=self.seed)


def first_record(folder: Path) -> StartRecord:
    """How a session began. Raises: JournalError, if the folder holds no journal, or a damaged one."""
    entry = next(read(folder), None)
    if entry is None or not isinstance(entry.record, StartRecord):
        raise JournalError(f"{folder}: no session was recorded here")
    return entry.record


def settings_of(start: StartRecord, bundle: Path | None) -> SessionSettings:
    """The settings that a session began with.

    Args:
        bundle: where its bundle is now; None: where it was or, where nothing lies there any more, the shipped one of that name.
    """
    recorded = path_of_text(start.bundle)
    if not recorded.exists() and recorded.name in shipped_bundles():
        recorded = shipped_path(recorded.name)
    width, _, height = start.settings.get("camera_size", "").partition("x")
    return SessionSettings(
        bundle=bundle or recorded,
        camera=start.source.camera_name,
        source=start.source.place,
        camera_size=(int(width), int(height)) if height else None,
        noise=tuple(start.sigmas),
        seed=start.source.seed,
        runtime=start.runtime,
        every_frame="every_frame" in start.settings,
        ungated="ungated" in start.settings,
        cells=_one_of(CELLS, start.settings.get("cells", "auto")),
        cell_diameter=float(start.settings["cell_diameter"]) if "cell_diameter" in start.settings else None,
        channel=_one_of(CHANNELS, start.settings.get("channel", "a-b")),
        noise_at=_one_of(tuple(NOISE_PLACES), start.settings.get("noise_at", "capture")),
    )


@dataclass(frozen=True)
class ChangedSetting:
    """What is not as it was when a session began: a field of `SessionSettings`, or the runtime's threads, and both values."""

    name: str
    recorded: object
    now: object


def changed_setting(start: StartRecord, now: SessionSettings) -> ChangedSetting | None:
    """The first setting that is not the one a session began with; None where it goes on as it began.

    The bundle is compared by what is in it, when it is loaded: it may lie elsewhere by now.
    """
    recorded = settings_of(start, now.bundle)
    recordable = now.source_settings()
    resolved = replace(now, camera=recordable.camera_name, source=recordable.place)
    for name in (one.name for one in fields(SessionSettings)):
        was, found = getattr(recorded, name), getattr(resolved, name)
        if name == "runtime":
            if was.name != found.name:
                return ChangedSetting("runtime", was.name, found.name)
            if was.threads != found.threads:
                return ChangedSetting("threads", was.threads, found.threads)
        elif was != found and not (name == "camera" and start.source.is_same_as(recordable)):
            return ChangedSetting(name, was, found)
    return None


def open_frames(settings: SessionSettings, bundle: Bundle) -> FrameSource:
    """The camera or source. Raises: SourceError."""
    manifest = bundle.manifest
    if settings.camera is not None:
        unit = "field" if settings.cells == "many" else manifest.unit
        return open_camera(settings.camera, unit, manifest.labels, seed=settings.seed, size=settings.camera_size)
    return open_source(settings.source or Path(), manifest.labels)


def processing_of(settings: SessionSettings, bundle: Bundle) -> FrameProcessing:
    """What is done to each frame before it is classified.

    Raises:
        BundleError: frames show many cells, and the bundle does not say how its training pictures show one; or it classifies
            fields, and cells are to be found.
    """
    manifest = bundle.manifest
    # rendered as a model that classifies cells wants them, unless fields are asked for
    is_rendered_cell = settings.is_synthetic and settings.cells == "auto" and manifest.unit == "cell"
    treatment_of = treatments(
        manifest,
        cells="one" if is_rendered_cell else settings.cells,
        are_pictures=settings.source is not None and not is_video(settings.source),
        channel=settings.channel,
        cell_diameter=settings.cell_diameter,
        ungated=settings.ungated,
        rendered=settings.is_rendered(manifest),
    )
    return FrameProcessing(treatment_of, sigmas=settings.noise, seed=settings.seed, noise_at=settings.noise_at)


Choice = TypeVar("Choice", bound=str)


def _one_of(choices: Sequence[Choice], text: str) -> Choice:
    """Raises: JournalError, if a journal names a setting that this version does not know."""
    for choice in choices:
        if choice == text:
            return choice
    raise JournalError(f"the session was recorded with the setting {text!r}; this version knows {', '.join(choices)}")
