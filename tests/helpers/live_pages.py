"""The live page as a script asks for it: by the address that `edge-run` prints."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class PageAddress:
    """Of a page on this machine."""

    port: int
    token: str

    @classmethod
    def of(cls, line: str) -> "PageAddress":
        """Of the line 'live page: http://127.0.0.1:8000/?token=...', which is the first on stderr."""
        assert line.startswith("live page: http://127.0.0.1:"), line
        url = urlsplit(line.removeprefix("live page: ").strip())
        assert url.port is not None
        return cls(url.port, parse_qs(url.query)["token"][0])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def view(self) -> bytes:
        """A request for the state, as it goes over the wire."""
        return f"GET /view HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()

    def connect(self, timeout: float = 20) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def look(self, viewer: http.client.HTTPConnection) -> dict[str, Any]:
        viewer.request("GET", "/view", headers=self.headers)
        return dict(json.loads(viewer.getresponse().read()))

    def post(self, viewer: http.client.HTTPConnection, button: str, content: object = None) -> int:
        """Returns: the answer's status."""
        body = None if content is None else json.dumps(content)
        viewer.request("POST", f"/{button}", body, self.headers | {"Content-Type": "application/json"})
        answer = viewer.getresponse()
        answer.read()
        return answer.status


@contextmanager
def killed_at_the_end(process: "subprocess.Popen[str]") -> Iterator[None]:
    """A test that fails leaves no session behind, for which `Popen` would wait without end."""
    try:
        yield
    finally:
        process.kill()
