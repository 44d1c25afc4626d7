"""Where the live page is served: the address as it is given, the port as it is taken, and who may come."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from leukolite.errors import LeukoliteError
from leukolite.imports import require


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
        token: what viewers must bring; None where only this machine can come.
        url: for people, with the token in it.
    """

    bound: socket.socket
    port: int
    token: str | None
    url: str


@contextmanager
def listening(address: Address) -> Iterator[Listener]:
    """Take the port, before anything that takes time.

    Raises:
        LeukoliteError: Starlette or Uvicorn is not installed, or the port or the address is not available.
    """
    require("the live page", "starlette", "uvicorn", extra="web")
    try:
        family, *_, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.create_server(place, family=family)
    except OSError as error:
        reason = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0))
        raise LeukoliteError(
            f"{_authority(address.host, address.port)}: cannot serve there ({reason[0].lower()}{reason[1:]});"
            " expected a port that is free, and an address of this machine",
            advice="serve",
        ) from error
    with bound:
        host, port = bound.getsockname()[:2]
        if ipaddress.ip_address(host).is_loopback:
            yield Listener(bound, port, None, f"http://{_authority(host, port)}/")
        else:
            token = secrets.token_urlsafe(32)
            yield Listener(bound, port, token, f"http://{_authority(_reachable(host), port)}/?token={token}")


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
