import os
import signal
from collections.abc import Iterator

import pytest

from leukolite.edge.control import Control
from leukolite.edge.host.signals import STUCK_S, stopped_by_signals


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "by"), [(signal.SIGINT, "the user"), (signal.SIGTERM, "SIGTERM")])
def test_the_first_signal_stops_the_session(number, by):
    with stopped_by_signals(Control()) as control:
        send(number)
    assert control.stopped_by == by


def test_a_second_control_c_interrupts_the_frame_in_hand_at_once_and_only_once():
    with stopped_by_signals(Control()) as control:
        with control.in_hand():
            send(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
            send(signal.SIGINT)
        assert control.stopped_by == "the user"


def test_what_is_not_in_hand_is_interrupted_by_no_number_of_signals():
    with stopped_by_signals(Control()) as control:
        with control.in_hand():
            pass
        send(*[signal.SIGINT] * 20, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    assert control.stopped_by == "the user"


def test_what_hangs_is_ended_by_a_control_c_long_after_the_one_that_was_noted():
    now = [100.0]
    with stopped_by_signals(Control(), clock=lambda: now[0]):
        send(signal.SIGINT)
        now[0] += 2 * STUCK_S  # the session took so long to end
        send(signal.SIGINT)
        now[0] += STUCK_S - 1
        send(signal.SIGINT, signal.SIGTERM)
        now[0] += 1
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_afterwards_signals_do_what_they_did_before():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stopped_by_signals(Control()):
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_process_that_was_asked_to_end_is_not_disturbed_afterwards():
    with stopped_by_signals(Control()):
        send(signal.SIGTERM)
    send(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
