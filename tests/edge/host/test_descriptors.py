"""A session has descriptors enough, and a side service only what it does not need."""

import resource
import subprocess
import sys

import pytest

from leukolite.edge.host.descriptors import RESERVED, WANTED, to_spare

SHOW = "from leukolite.edge.host.descriptors import raise_limit, to_spare; raise_limit(); print(to_spare(0))"


def spare(soft: int, hard: int) -> int:
    """As a process sees it that has its three streams and the folder's listing open, or few more."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.parametrize(("soft", "hard", "limit"), [(32, 200, 200), (64, 64, 64), (200, 300, 300), (256, 8192, WANTED)])
def test_a_process_takes_what_it_may_have_and_no_more_than_it_wants(soft, hard, limit):
    if hard > resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
        pytest.skip("this machine gives no process so many descriptors")
    assert limit - 10 < spare(soft, hard) < limit


def test_what_is_to_spare_leaves_the_sessions_own():
    assert to_spare(0) - to_spare() == RESERVED
    with open("/dev/null"), open("/dev/null"):  # noqa: PTH123
        fewer = to_spare(0)
    assert to_spare(0) == fewer + 2
