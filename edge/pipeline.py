"""The loop from frame to verdict, until the source ends, a limit is reached or the user stops it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leukolite.edge.sources import Frame, FrameSource, Gap, match_truths
from leukolite.errors import SourceError
from leukolite.evaluation import Judged, judge_at_noise
from leukolite.judge import Judge

Clock = Callable[[], int]  # nanoseconds, monotonic
OnFrame = Callable[[Frame, Sequence[Judged]], None]
OnGap = Callable[[Gap], None]


@dataclass(frozen=True)
class Session:
    """What a run of the edge runner saw and said.

    Attributes:
        judged: every verdict, frames outermost, noise levels within.
        frames: how many frames were judged.
        gaps: frames that could not be had.
        unknown_truths: class folders that are none of the model's labels.
        seconds: wall clock, from the first frame asked for to the last verdict.
        interrupted: the user stopped it.
    """

    source: str
    judged: tuple[Judged, ...]
    frames: int
    gaps: tuple[Gap, ...]
    unknown_truths: tuple[str, ...]
    seconds: float
    interrupted: bool


def run(
    source: FrameSource,
    judge: Judge,
    sigmas: Sequence[float],
    *,
    seed: int,
    max_frames: int | None = None,
    max_seconds: float | None = None,
    on_frame: OnFrame,
    on_gap: OnGap,
    clock: Clock = time.perf_counter_ns,
) -> Session:
    """Judge a source's frames at each noise level.

    Args:
        sigmas: standard deviations of the noise added, grey levels; (0,) for the frames as they are.
        seed: of the noise.
        max_frames: stop after so many frames judged.
        max_seconds: ask for no further frame after so long.
        on_frame: told each frame and its verdicts.
        on_gap: told each gap.

    Raises:
        SourceError: the source ended without a single frame.
    """
    known, unknown = match_truths(source.truths, judge.labels)
    judged: list[Judged] = []
    gaps: list[Gap] = []
    frames, interrupted, started = 0, False, clock()
    try:
        for item in source.frames():
            if isinstance(item, Gap):
                gaps.append(item)
                on_gap(item)
            else:
                verdicts = list(
                    judge_at_noise(
                        judge,
                        item.pixels,
                        sigmas,
                        seed=seed,
                        source=item.source,
                        index=item.index,
                        truth=None if item.truth is None else known.get(item.truth),
                        capture_ms=item.capture_ms,
                    )
                )
                judged.extend(verdicts)
                frames += 1
                on_frame(item, verdicts)
            if frames == max_frames or (max_seconds is not None and clock() - started >= max_seconds * 1e9):
                break
    except KeyboardInterrupt:
        interrupted = True
    seconds = (clock() - started) / 1e9
    if frames == 0 and not interrupted:
        reason = f": {gaps[0].source}: {gaps[0].reason}" if gaps else ""
        raise SourceError(f"{source.name}: not one frame could be read{reason}")
    return Session(source.name, tuple(judged), frames, tuple(gaps), tuple(unknown), seconds, interrupted)
