"""What a journal records: frames with their verdicts, gaps, health, and what was done to the session.

Plain data that says nothing of how it is kept; `leukolite.edge.journal` chains it and puts it on disk.
"""

import hashlib
import hmac
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

from leukolite.bundle import Sha256, Unit

SCHEMA = 1
SLIDE_DIGITS = 16  # of the HMAC: 64 bits, more slides than a laboratory will ever have

Milliseconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceSettings(_Record):
    """Where the frames came from, enough to open it again.

    Attributes:
        kind: what sort of source it is, such as 'synthetic', 'files', 'video' or 'camera'.
        name: the folder, file or camera as it was given.
        seed: of the synthetic camera and of added noise.
    """

    kind: Name
    name: Line
    seed: int


class StartRecord(_Record):
    """The first record of every journal: who judges, what is judged, how.

    Attributes:
        bundle: where the bundle was found.
        manifest_sha256, model_sha256: of the bundle's two files; replaying and resuming ask for the very same.
        runtime: name of the runtime asked for; each frame says what ran.
        sigmas: noise levels added, grey levels; the first is the one that is counted.
        settings: any further setting that changes a verdict, as text.
        versions: of leukolite, Python and the libraries that touch pixels.
        slide: salted id of the slide, see `slide_id`.
    """

    kind: Literal["start"] = "start"
    schema_version: Literal[1] = 1
    bundle: Line
    name: Name
    unit: Unit
    labels: tuple[Name, ...]
    malignant: tuple[Name, ...]
    manifest_sha256: Sha256
    model_sha256: Sha256
    runtime: Name
    threads: int = Field(ge=1)
    sigmas: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=1)
    source: SourceSettings
    settings: dict[Name, Line] = {}
    versions: dict[Name, Line]
    slide: Name | None = None


class CellRecord(_Record):
    """One cell, or the whole frame where it is judged as one.

    Attributes:
        box: x0, y0, x1, y1 in the frame's pixels; None for the whole frame.
        label: a label of the model's, or 'abstain'; None where it was excluded.
        probability: calibrated, of the label.
        probabilities: calibrated, of each label in the manifest's order.
        excluded: why there is no verdict.
        thumbnail: file within the session's folder.
    """

    box: tuple[int, int, int, int] | None = None
    label: Name | None = None
    probability: Probability | None = None
    probabilities: tuple[Probability, ...] = ()
    excluded: Line | None = None
    thumbnail: Name | None = None

    @model_validator(mode="after")
    def _verdict_or_reason(self) -> "CellRecord":
        if (self.label is None) == (self.excluded is None) or (self.label is None) != (self.probability is None):
            raise ValueError("a cell has a label with its probability, or a reason why it was excluded")
        return self


class FrameRecord(_Record):
    """One frame and all that was said of it.

    Attributes:
        source: file or camera.
        index: the frame's number in its source, from 0.
        captured_ns: the capturing clock's nanoseconds (monotonic; means nothing beyond the process).
        age_ms: from the sensor's timestamp to the verdict.
        width, height: pixels.
        sigma: noise that was added before judging, grey levels.
        truth: the label it is known to have.
        excluded: why the whole frame was not judged; then it has no cells.
        latency_ms: milliseconds of each stage.
        runtime: name, version and delegate of what really computed.
        throttled: whether the processor was slowed down; None where nobody knows.
        pixels_sha256: see `pixels_sha256`; None where the frame cannot be had again.
        picture: the recorded frame's file within the session's folder.
    """

    kind: Literal["frame"] = "frame"
    source: Line
    index: int = Field(ge=0)
    captured_ns: int
    age_ms: Milliseconds
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    sigma: float = Field(default=0.0, ge=0)
    truth: Name | None = None
    excluded: Line | None = None
    cells: tuple[CellRecord, ...] = ()
    latency_ms: dict[Name, Milliseconds] = {}
    runtime: Name
    throttled: bool | None = None
    pixels_sha256: Sha256 | None = None
    picture: Name | None = None

    @model_validator(mode="after")
    def _excluded_has_no_cells(self) -> "FrameRecord":
        if self.excluded is not None and self.cells:
            raise ValueError("a frame that was excluded has no cells")
        return self


class GapRecord(_Record):
    """A frame that could not be had, or a time without a signal."""

    kind: Literal["gap"] = "gap"
    source: Line
    index: int = Field(ge=0)
    reason: Line
    seconds: float | None = Field(default=None, ge=0)


class HealthRecord(_Record):
    """The machine's state; None where it cannot be read."""

    kind: Literal["health"] = "health"
    temperature_c: float | None = None
    clock_mhz: float | None = Field(default=None, ge=0)
    throttle_mask: int | None = Field(default=None, ge=0)
    memory_mb: float | None = Field(default=None, ge=0)
    disk_free_mb: float | None = Field(default=None, ge=0)


EventName = Literal["paused", "unpaused", "new slide", "resumed", "clock jumped", "recording stopped", "note", "end"]


class EventRecord(_Record):
    """Something that was done to the session, or happened to it.

    'end' closes a session properly; only 'resumed' may follow it. 'recording stopped' says in `detail` why.
    """

    kind: Literal["event"] = "event"
    event: EventName
    detail: str = Field(default="", max_length=4000)
    slide: Name | None = None


Record = Annotated[StartRecord | FrameRecord | GapRecord | HealthRecord | EventRecord, Field(discriminator="kind")]
RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of a frame's shape and uint8 RGB bytes: the same for the same picture, however it is stored."""
    digest = hashlib.sha256(f"{pixels.shape[1]}x{pixels.shape[0]}x{pixels.shape[2]} ".encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def slide_id(name: str, salt: bytes) -> str:
    """A slide's name that does not tell the slide: HMAC-SHA256 under the session's salt, 16 hex digits.

    Whoever has the salt can prove that an id is a given slide's; without it names cannot be tried out.
    """
    return hmac.new(salt, name.encode(), hashlib.sha256).hexdigest()[:SLIDE_DIGITS]
