import os
import signal

import pytest

from leukolite.edge.control import Control
from leukolite.edge.host.signals import stopped_by_signals


@pytest.mark.parametrize(("number", "by"), [(signal.SIGINT, "the user"), (signal.SIGTERM, "SIGTERM")])
def test_the_first_signal_stops_the_session(number, by):
    with stopped_by_signals(Control()) as control:
        os.kill(os.getpid(), number)
    assert control.stopped_by == by


def test_a_second_control_c_interrupts_at_once():
    with stopped_by_signals(Control()):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_do_what_they_did_before():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stopped_by_signals(Control()):
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
