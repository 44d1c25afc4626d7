"""What systemd wants to hear of a service: that it is ready, that it lives, that it stops. Without systemd nothing is said."""

import os
import socket


def notify(state: str) -> bool:
    """Send one line of the sd_notify protocol, as 'READY=1' or 'WATCHDOG=1'; see sd_notify(3).

    Returns:
        True if a service manager was notified, False where there is none, or where it does not listen.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            # the next watchdog's word comes soon: a frame does not wait
            channel.settimeout(0.0 if state == "WATCHDOG=1" else 1.0)
            channel.sendto(state.encode(), address)
    except OSError:  # a manager that went away, or too many open files, are no reason to stop classifying
        return False
    return True
