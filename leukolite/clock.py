"""The two clocks, always an argument: one that never jumps, for durations; one that people read."""

from collections.abc import Callable

Clock = Callable[[], int]  # nanoseconds, monotonic: time.perf_counter_ns is CLOCK_MONOTONIC on Linux, as V4L2's buffers
WallClock = Callable[[], float]  # seconds since 1970, UTC; it may be set while a session runs
