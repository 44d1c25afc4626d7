"""Cameras without hardware: the libraries' fakes in the libraries' places."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fake_picamera2 import FakePicamera2
from fake_v4l2 import FakeVideo

from leukolite.edge.camera import v4l2 as v4l2_module


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type[FakePicamera2]]]:
    """A fake library with the attributes given."""
    module = ModuleType("picamera2")
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(FakePicamera2, "made", [])

    def plug(**attributes: object) -> type[FakePicamera2]:
        for name, value in attributes.items():
            monkeypatch.setattr(FakePicamera2, name, value)
        module.Picamera2 = FakePicamera2  # type: ignore[attr-defined]
        return FakePicamera2

    plug()
    return plug


@pytest.fixture
def v4l2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A device that OpenCV opens."""
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr(v4l2_module.cv2, "VideoCapture", FakeVideo)
    return str(device)


@pytest.fixture(params=[True, False], ids=["PyAV", "OpenCV"])
def with_pyav(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if not request.param:
        monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    return request.param
