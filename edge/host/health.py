"""How the machine fares: temperature, clock, throttling, memory, disk. What a machine does not tell is None, never a guess."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOT_C = 80.0  # Raspberry Pi documentation: the Arm cores are throttled from 80 degrees on
LOW_DISK_MB = 200.0
LOW_MEMORY_MB = 64.0

# Raspberry Pi documentation, vcgencmd get_throttled; bits 16 to 19 say that it has happened since the start
THROTTLE_BITS = {0: "under-voltage", 1: "Arm frequency capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True, slots=True)
class Health:
    """One reading.

    Attributes:
        temperature_c: of the processor, degrees Celsius.
        clock_mhz: of the first core.
        throttle_mask: the Raspberry Pi firmware's bits.
        memory_mb: resident memory of this process, 2**20 bytes.
        memory_free_mb: what the machine could still give.
        disk_free_mb: where the session is written.
    """

    temperature_c: float | None = None
    clock_mhz: float | None = None
    throttle_mask: int | None = None
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    disk_free_mb: float | None = None

    @property
    def throttled(self) -> bool | None:
        """True while the firmware holds the processor back; None where nobody can tell."""
        return None if self.throttle_mask is None else bool(self.throttle_mask & 0xF)

    @property
    def conditions(self) -> tuple[str, ...]:
        """What a person should know of; empty when all is well."""
        found = [name for bit, name in THROTTLE_BITS.items() if self.throttle_mask is not None and self.throttle_mask >> bit & 1]
        if self.temperature_c is not None and self.temperature_c >= HOT_C:
            found.append("hot")
        if self.disk_free_mb is not None and self.disk_free_mb < LOW_DISK_MB:
            found.append("disk nearly full")
        if self.memory_free_mb is not None and self.memory_free_mb < LOW_MEMORY_MB:
            found.append("memory nearly full")
        return tuple(found)


def read_health(root: Path = Path("/"), folder: Path | None = None) -> Health:
    """One reading, in well under a millisecond on a PC.

    Args:
        root: where /sys and /proc lie.
        folder: where the session is written; None leaves the disk out.
    """
    sys = root / "sys"
    temperature = _number(_text(sys / "class/thermal/thermal_zone0/temp"))
    clock = _number(_text(sys / "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"))
    pages = _text(root / "proc/self/statm").split()
    return Health(
        temperature_c=None if temperature is None else temperature / 1000,
        clock_mhz=None if clock is None else clock / 1000,
        throttle_mask=_hexadecimal(_text(sys / "devices/platform/soc/soc:firmware/get_throttled")),
        memory_mb=int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if len(pages) > 1 and pages[1].isdigit() else None,
        memory_free_mb=_available(_text(root / "proc/meminfo")),
        disk_free_mb=_disk_free(folder),
    )


class HealthMonitor:
    """The latest reading, renewed at most once in `period_s`.

    Args:
        read: makes a reading.
        clock: nanoseconds, monotonic.
    """

    def __init__(self, read: Callable[[], Health], clock: Callable[[], int], period_s: float = 2.0) -> None:
        self._read, self._clock, self._period_ns = read, clock, round(period_s * 1e9)
        self.latest = read()
        self._due = clock() + self._period_ns

    def poll(self) -> Health | None:
        """A new reading whose conditions differ from the last one's; None otherwise."""
        now = self._clock()
        if now < self._due:
            return None
        self._due = now + self._period_ns
        before, self.latest = self.latest, self._read()
        return self.latest if self.latest.conditions != before.conditions else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # this machine has no such sensor
        return ""


def _number(text: str) -> float | None:
    return float(text) if text.lstrip("-").isdigit() else None


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None


def _available(meminfo: str) -> float | None:
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return None


def _disk_free(folder: Path | None) -> float | None:
    if folder is None:
        return None
    try:
        return shutil.disk_usage(folder).free / 2**20
    except OSError:
        return None
