"""What a journal records: frames, their verdicts, gaps, health, and what was done to the session.

Plain data that says nothing of how it is kept: `format` seals it into lines, `writer` puts them on disk, `sink` makes it of
what the pipeline hands to its sinks.
"""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from leukolite import __version__
from leukolite.address import with_logins_hidden, without_login, without_secrets
from leukolite.bundle import Bundle
from leukolite.classes import Classes
from leukolite.edge.ending import EndedBy, Ending
from leukolite.edge.field.exclusion import Exclusion
from leukolite.frozen import Frozen
from leukolite.geometry import Box
from leukolite.manifest import Manifest, Sha256, Unit
from leukolite.noise import NoisePlace
from leukolite.path_text import name_of_text, path_of_text, text_of_path
from leukolite.prevalence import Validation, validation_of
from leukolite.runtime import RuntimeInfo, RuntimeOptions
from leukolite.wording import shown

SCHEMA: Final = 3  # 3: what ended a session; 2: classes, runtime, kinds of exclusions, locate among the latencies; 1: first
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "ai-edge-litert", "tflite-runtime")

Milliseconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=32_000)]  # of the longest path, each byte escaped
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ReadableExclusion = Annotated[
    Exclusion, BeforeValidator(lambda value: Exclusion.parse(value) if isinstance(value, str) else value)
]
Picture = Annotated[str, StringConstraints(pattern=r"^frames/[0-9]{9}\.png$")]  # never a path out of the session's folder


class SourceSettings(Frozen):
    """What opens the source again: `edge-run`'s --camera or --source, and --seed. No login is kept: it is asked for again."""

    camera: Annotated[Text, AfterValidator(without_secrets)] | None = None
    path: PathText | None = None
    seed: int = 0

    @property
    def camera_name(self) -> str | None:
        """The camera's name with the bytes that it had."""
        return None if self.camera is None else name_of_text(self.camera)

    @property
    def place(self) -> Path | None:
        """The path with the bytes that it had."""
        return None if self.path is None else path_of_text(self.path)

    def is_same_as(self, other: "SourceSettings") -> bool:
        """Whether both open one source; a login, which may be given in several ways, does not tell two apart."""
        mine, its = ({**one.model_dump(), "camera": without_login(one.camera or "")} for one in (self, other))
        return mine == its

    @model_validator(mode="after")
    def _one_of_both(self) -> "SourceSettings":
        if (self.camera is None) == (self.path is None):
            raise ValueError("a source is a camera or a path")
        return self


class StartRecord(Frozen):
    """The first record of every journal: what classifies, what is classified, how.

    Attributes:
        bundle: where the bundle was found; this path, as every other, as `leukolite.path_text.text_of_path` writes it.
        classes: of the model.
        bundle_sha256: over all files of the bundle, see `leukolite.sums`; None in journals that are older than it.
        manifest_sha256: of the manifest's content, see `manifest_sha256`; resuming and replaying ask for the very same.
        runtime: what was asked for; each frame says what ran.
        sigmas: noise levels added, grey levels; the first is the one that is counted.
        settings: every further setting that changes a verdict, as text.
        versions: of leukolite, Python, the machine and the libraries that touch pixels.
        slide: salted id of the slide, see `slide_id`.
        validation: what the blast fraction is corrected by; None where the bundle was not measured.
    """

    kind: Literal["start"] = "start"
    schema_version: Literal[3] = SCHEMA
    bundle: PathText
    name: Name
    unit: Unit
    classes: Classes
    bundle_sha256: Sha256 | None = None
    manifest_sha256: Sha256
    model_sha256: Sha256
    runtime: RuntimeOptions
    sigmas: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    source: SourceSettings
    settings: dict[Name, Text] = Field(default={})
    versions: dict[Name, Text]
    slide: Name | None = None
    validation: Validation | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_older_schema(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema_version") == 2:
            return data | {"schema_version": SCHEMA}
        if not isinstance(data, dict) or data.get("schema_version") != 1:
            return data
        rest = {name: value for name, value in data.items() if name not in ("labels", "malignant", "threads")}
        classes = {"labels": data.get("labels"), "malignant": data.get("malignant")}
        runtime = {"name": data.get("runtime"), "threads": data.get("threads")}
        return rest | {"schema_version": SCHEMA, "classes": classes, "runtime": runtime}


class FrameRecord(Frozen):
    """One frame. Its `verdicts` follow it, one record each.

    Attributes:
        source: file or camera.
        index: the frame's number in its source, from 0.
        captured_ns: the capturing clock's nanoseconds (monotonic; means nothing beyond the process).
        timed_by: 'sensor' or 'arrival', see `leukolite.edge.camera.source.Frame`.
        age_ms: from `captured_ns` to the last verdict.
        locate_ms: quality gates and locator, at all noise levels together.
        skipped: frames of a live camera that this one overtook.
        width, height: pixels.
        truth: the label it is known to have.
        excluded: why the whole frame was not classified; then no verdict follows.
        verdicts: how many verdict records follow; fewer in the file mean that the machine died in between.
        throttled: whether the processor was slowed down; None where nobody knows.
        pixels_sha256: see `pixels_sha256`; in a journal it is always there.
        picture: the frame's lossless picture within the session's folder; None where it was not kept.
    """

    kind: Literal["frame"] = "frame"
    source: PathText
    index: int = Field(ge=0)
    captured_ns: int
    timed_by: Literal["sensor", "arrival"]
    age_ms: float
    locate_ms: Milliseconds
    skipped: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    truth: Name | None = None
    excluded: ReadableExclusion | None = None
    verdicts: int = Field(ge=0)
    runtime: RuntimeInfo
    throttled: bool | None = None
    temperature_c: float | None = None
    pixels_sha256: Sha256 | None = None
    picture: Picture | None = None

    @model_validator(mode="after")
    def _excluded_has_no_verdict(self) -> "FrameRecord":
        if self.excluded is not None and self.verdicts:
            raise ValueError("a frame that was excluded has no verdicts")
        return self


class LatencyRecord(Frozen):
    """Milliseconds, as `leukolite.classifier.Latency`; the stages add up to `total`."""

    capture: Milliseconds
    locate: Milliseconds
    preprocess: Milliseconds
    invoke: Milliseconds
    total: Milliseconds

    @model_validator(mode="before")
    @classmethod
    def _from_schema_1(cls, data: Any) -> Any:
        """Schema 1 timed no `locate`, and the decision in the total alone: it is part of `invoke` now."""
        if not isinstance(data, dict) or "locate" in data:
            return data
        total, capture, preprocess = (data.get(name) for name in ("total", "capture", "preprocess"))
        if not (isinstance(total, float | int) and isinstance(capture, float | int) and isinstance(preprocess, float | int)):
            return data
        return data | {"locate": 0.0, "invoke": round(max(total - capture - preprocess, 0.0), 4)}


class VerdictRecord(Frozen):
    """One verdict on one region of the frame before it, or why there is none.

    Attributes:
        index: the frame's number in its source.
        box: x0, y0, x1, y1 in the frame's pixels.
        sigma: of the noise that was added, grey levels.
        label: a label of the model's, or 'abstain'; None where the region was excluded.
        probability: calibrated, of the label, or of the top class where the model abstains.
        probabilities: calibrated, of each label in the manifest's order.
        excluded: why there is no verdict.
    """

    kind: Literal["verdict"] = "verdict"
    index: int = Field(ge=0)
    box: Box
    sigma: float = Field(ge=0)
    label: Name | None = None
    probability: Probability | None = None
    probabilities: tuple[Probability, ...] = ()
    latency_ms: LatencyRecord | None = None
    excluded: ReadableExclusion | None = None

    @model_validator(mode="after")
    def _verdict_or_reason(self) -> "VerdictRecord":
        given = (self.label is not None, self.probability is not None, bool(self.probabilities), self.latency_ms is not None)
        if len(set(given)) != 1 or given[0] == (self.excluded is not None):
            raise ValueError("a label with its probabilities and latency, or a reason why the region was excluded")
        return self


class GapRecord(Frozen):
    """A frame that was not available, or a time without a signal."""

    kind: Literal["gap"] = "gap"
    source: PathText
    index: int = Field(ge=0)
    reason: Text


class HealthRecord(Frozen):
    """The machine's state; None where it cannot be read."""

    kind: Literal["health"] = "health"
    conditions: tuple[Name, ...] = ()
    temperature_c: float | None = None
    clock_mhz: float | None = None
    throttle_mask: int | None = None
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    disk_free_mb: float | None = None


EventName = Literal["note", "paused", "unpaused", "new slide", "resumed", "clock jumped", "recording stopped", "end", "failed"]


class EventRecord(Frozen):
    """Something that was done to the session, or happened to it.

    'end' closes a session whose source ended or that somebody ended, 'failed' every other; only 'resumed' may follow them.
    'recording stopped' says in `detail` why.

    Attributes:
        by: with 'end' and 'failed', what ended the session; None in the 'end' of a version before schema 3.
    """

    kind: Literal["event"] = "event"
    event: EventName
    detail: str = Field(default="", max_length=4000)
    slide: Name | None = None
    by: EndedBy | None = None

    @model_validator(mode="after")
    def _ends_by_what_can(self) -> "EventRecord":
        is_right = (
            self.by is None if self.event not in ("end", "failed") else Ending(self.by).is_failure == (self.event == "failed")
        )
        if not is_right:
            raise ValueError(f"{self.event!r} cannot be by {self.by or 'nothing'}")
        return self

    @property
    def ending(self) -> Ending | None:
        """How the session ended with this record; None where it goes on after it."""
        if self.event == "recording stopped":
            return Ending(EndedBy.RECORDING_FAILURE, self.detail)
        return Ending(self.by, self.detail) if self.event in ("end", "failed") else None


def closing_record(ending: Ending) -> EventRecord:
    """The record that closes a session."""
    detail = printable(ending.detail) if ending.detail else ""
    return EventRecord(event="failed" if ending.is_failure else "end", by=ending.by, detail=detail)


Record = Annotated[
    StartRecord | FrameRecord | VerdictRecord | GapRecord | HealthRecord | EventRecord, Field(discriminator="kind")
]


def start_record(
    bundle: Bundle,
    *,
    runtime: RuntimeOptions,
    sigmas: Sequence[float],
    source: SourceSettings,
    settings: Mapping[str, str],
    noise_at: NoisePlace = "capture",
    slide: str | None = None,
) -> StartRecord:
    """What a session with this bundle begins with.

    Args:
        noise_at: where the noise of these levels is put, which decides whether the bundle was measured under it.
        settings: every setting beside these that changes a verdict.
        slide: a salted id, never a name.
    """
    manifest = bundle.manifest
    return StartRecord(
        bundle=text_of_path(bundle.path.resolve()),
        name=manifest.name,
        unit=manifest.unit,
        classes=manifest.classes,
        bundle_sha256=bundle.sha256 or None,
        manifest_sha256=manifest_sha256(manifest),
        model_sha256=manifest.model_sha256,
        runtime=runtime,
        sigmas=tuple(sigmas),
        source=source,
        settings=dict(settings),
        versions=versions(),
        slide=slide,
        validation=validation_of(manifest, sigmas[0], noise_at),
    )


def manifest_sha256(manifest: Manifest) -> str:
    """SHA-256 of what a manifest says, which includes the model's own; fields at their defaults are left out, so that a
    later version of leukolite with a new field finds the same."""
    return hashlib.sha256(manifest.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of all that may change a pixel or a probability."""
    found = {"leukolite": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one of the two runtimes is enough
            continue
    return found


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of a frame's shape and uint8 RGB bytes: the same for the same picture, however it is stored."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}x{pixels.shape[2]} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def printable(text: str, limit: int = 4000) -> str:
    """A message in one line, for people; of a path that shall be found again, `leukolite.path_text.text_of_path` keeps all."""
    return shown(with_logins_hidden(text))[:limit] or "-"
