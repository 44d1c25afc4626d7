import os
from pathlib import Path

import pytest

from leukolite.edge.host.health import Health, HealthMonitor, read_health

SECOND = 1_000_000_000


@pytest.fixture
def pi(tmp_path) -> Path:
    """A Raspberry Pi's files, as far as they are read."""
    files = {
        "sys/class/thermal/thermal_zone0/temp": "62322\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        "proc/self/statm": "30000 12800 5000 2 0 9000 0\n",
        "proc/meminfo": "MemTotal:        3884352 kB\nMemFree:  100 kB\nMemAvailable:    2048000 kB\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_pi_tells_temperature_clock_throttling_and_memory(pi):
    health = read_health(pi)
    assert (health.temperature_c, health.clock_mhz, health.throttle_mask) == (62.322, 1500, 0x50005)
    assert health.memory_mb == pytest.approx(12800 * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert health.memory_free_mb == 2000
    assert health.disk_free_mb is None


def test_what_a_machine_does_not_tell_is_none(tmp_path):
    assert read_health(tmp_path) == Health()
    assert Health().throttled is None
    assert Health().conditions == ()


@pytest.mark.parametrize("text", ["", "nonsense", "0x", "\xff\n"])
def test_a_sensor_that_tells_nonsense_tells_nothing(pi, text):
    for name in (
        "sys/class/thermal/thermal_zone0/temp",
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "proc/self/statm",
    ):
        (pi / name).write_text(text, encoding="latin-1")
    health = read_health(pi)
    assert (health.temperature_c, health.throttle_mask, health.memory_mb) == (None, None, None)


def test_this_machine_tells_its_memory_and_disk(tmp_path):
    health = read_health(folder=tmp_path)
    assert health.memory_mb > 10
    assert health.disk_free_mb > 0
    assert read_health(folder=tmp_path / "missing").disk_free_mb is None


@pytest.mark.parametrize(
    ("mask", "throttled", "conditions"),
    [
        (0x0, False, ()),
        (0x50000, False, ()),  # it has happened, and is over
        (0x1, True, ("under-voltage",)),
        (0x50005, True, ("under-voltage", "throttled")),
        (0x8, True, ("soft temperature limit",)),
    ],
)
def test_only_what_is_so_now_counts_as_throttled(mask, throttled, conditions):
    assert (Health(throttle_mask=mask).throttled, Health(throttle_mask=mask).conditions) == (throttled, conditions)


@pytest.mark.parametrize(
    ("health", "condition"),
    [
        (Health(temperature_c=80.0), "hot"),
        (Health(disk_free_mb=199.0), "disk nearly full"),
        (Health(memory_free_mb=63.0), "memory nearly full"),
    ],
)
def test_what_a_person_should_know_of_is_a_condition(health, condition):
    assert health.conditions == (condition,)


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_a_monitor_reads_no_more_often_than_its_period():
    reads: list[int] = []
    clock = Clock()

    def read() -> Health:
        reads.append(clock.now)
        return Health()

    monitor = HealthMonitor(read, clock, period_s=2)
    for quarter in range(40):
        clock.now = quarter * SECOND // 4
        monitor.poll()
    assert reads == [0, 2 * SECOND, 4 * SECOND, 6 * SECOND, 8 * SECOND]


def test_a_monitor_tells_a_change_once_and_always_knows_the_latest():
    readings = iter([Health(temperature_c=70), Health(temperature_c=81), Health(temperature_c=82), Health(temperature_c=75)])
    clock = Clock()
    monitor = HealthMonitor(lambda: next(readings), clock, period_s=1)
    changes, latest = [], []
    for seconds in (1, 2, 3):
        clock.now = seconds * SECOND
        changes.append(monitor.poll())
        latest.append(monitor.latest.temperature_c)
    assert [health and health.temperature_c for health in changes] == [81, None, 75]
    assert latest == [81, 82, 75]
