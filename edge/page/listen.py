"""Where the live page is served: the address as it is given, the port as it is taken, and the token of who may come."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from leukolite.edge.host.descriptors import RESERVED, to_spare
from leukolite.errors import LeukoliteError
from leukolite.imports import require

_BESIDES = 8  # descriptors of the page's own that are no connections, and of the session's that are opened after it


@dataclass(frozen=True, slots=True)
class Address:
    """Where to serve; port 0 takes one that is free."""

    host: str
    port: int


class AddressType(click.ParamType):
    """'8000', '0.0.0.0:8000' or '[::1]:8000'."""

    name = "[HOST:]PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        host, colon, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not (port.isascii() and port.isdecimal() and int(port) <= 65535) or (colon and not host):
            self.fail(f"expected a port like 8000, or an address like 0.0.0.0:8000, found {value!r}", param, ctx)
        return Address(host or "127.0.0.1", int(port))


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket on which nobody is answered yet.

    Attributes:
        token: what viewers must bring, also on this machine: it has other users.
        is_local: only this machine can come.
        url: for people, with the token in it.
        connections: how many there may be at once.
    """

    bound: socket.socket
    port: int
    token: str
    is_local: bool
    url: str
    connections: int


@contextmanager
def listening(address: Address) -> Iterator[Listener]:
    """Take the port, before anything that takes time.

    Raises:
        LeukoliteError: Starlette or Uvicorn is not installed, the port or the address is not available, or this process may
            open too few files.
    """
    require("the live page", "starlette", "uvicorn", extra="web")
    from leukolite.edge.page.door import BACKLOG, FEWEST_CONNECTIONS, MOST_CONNECTIONS  # wants Uvicorn

    try:
        family, *_, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError as error:
        reason = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0))
        raise LeukoliteError(
            f"{_authority(address.host, address.port)}: cannot serve there ({reason[0].lower()}{reason[1:]});"
            " expected a port that is free, and an address of this machine",
            advice="serve",
        ) from error
    with bound:
        host, port = bound.getsockname()[:2]
        is_local, token = ipaddress.ip_address(host).is_loopback, secrets.token_urlsafe(32)
        url = f"http://{_authority(host if is_local else _reachable(host), port)}/?token={token}"
        connections = min(MOST_CONNECTIONS, to_spare(RESERVED + _BESIDES))
        if connections < FEWEST_CONNECTIONS:
            raise LeukoliteError(
                f"{_authority(host, port)}: cannot serve there: this process may open too few files, expected"
                f" {FEWEST_CONNECTIONS - connections} more; raise the limit (`ulimit -n`, LimitNOFILE= of a service),"
                " or do without the page"
            )
        yield Listener(bound, port, token, is_local, url, connections)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reachable(host: str) -> str:
    """A name of this machine for other machines, where `host` stands for all of its addresses."""
    if not ipaddress.ip_address(host).is_unspecified:
        return host
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))  # sends nothing: it only asks which way out there is
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
