"""What is plugged in, with a folder for /dev and answers for the kernel's."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from leukolite.edge.camera.discover import list_cameras
from leukolite.edge.camera.open import KINDS, CameraKind
from leukolite.edge.camera.source import CameraInfo
from leukolite.edge.camera.v4l2 import Capabilities, Capability, plugged_in_v4l2, v4l2_capabilities


def kinds(devices: Path, capabilities: Capabilities = v4l2_capabilities) -> list[CameraKind]:
    """All there are, V4L2 with its devices in a folder."""
    v4l2 = partial(plugged_in_v4l2, devices, capabilities)
    return [replace(kind, plugged_in=v4l2) if "v4l2" in kind.prefixes else kind for kind in KINDS]


def capability(driver: str, card: str, flags: int) -> Capability:
    return Capability(driver, card, "usb-1.2", flags)


def test_the_names_that_last_are_listed_with_their_camera(tmp_path):
    for name in ("video0", "video1", "video2"):
        (tmp_path / name).touch()
    links = {
        "usb-Maker_Scope_A17-video-index0": "video1",
        "usb-Maker_Scope_A17-video-index1": "video2",
        "usb-Gone-video": "video9",
    }
    (tmp_path / "v4l" / "by-id").mkdir(parents=True)
    (tmp_path / "v4l" / "by-path").mkdir()
    for link, target in links.items():
        (tmp_path / "v4l" / "by-id" / link).symlink_to(f"../../{target}")
    (tmp_path / "v4l" / "by-path" / "pci-0:1.2-video-index0").symlink_to("../../video1")
    flags = {"video0": 0x1, "video1": 0x1, "video2": 0x04A00000}
    found, _ = list_cameras(kinds(tmp_path, lambda device: capability("uvcvideo", "Scope", flags[device.name]))[2:])
    assert [(camera.name, camera.lasting_names) for camera in found] == [
        (f"v4l2:{tmp_path / 'video0'}", ()),
        (
            f"v4l2:{tmp_path / 'video1'}",
            (
                f"v4l2:{tmp_path / 'v4l' / 'by-id' / 'usb-Maker_Scope_A17-video-index0'}",
                f"v4l2:{tmp_path / 'v4l' / 'by-path' / 'pci-0:1.2-video-index0'}",
            ),
        ),
    ]


def test_cameras_are_listed_and_codecs_metadata_nodes_and_raw_sensors_are_not(tmp_path, picamera2):
    nodes = {
        "video0": ("unicam", "unicam", 0x1),
        "video1": ("uvcvideo", "USB Microscope", 0x04200001),
        "video2": ("uvcvideo", "USB Microscope", 0x04A00000),
        "video10": ("bcm2835-codec", "bcm2835-codec-decode", 0x04204000),
    }
    for name in nodes:
        (tmp_path / name).touch()
    found, troubles = list_cameras(kinds(tmp_path, lambda device: capability(*nodes[device.name])))
    assert found == [CameraInfo("picamera2:0", "ov5647"), CameraInfo(f"v4l2:{tmp_path / 'video1'}", "USB Microscope")]
    assert troubles == []


def test_what_cannot_be_asked_is_told(tmp_path, monkeypatch):
    def refuse(device: Path) -> Capability:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "picamera2", None)
    (tmp_path / "video0").touch()
    found, troubles = list_cameras(kinds(tmp_path, refuse))
    assert found == []
    assert "python3-picamera2" in troubles[0]
    assert troubles[1] == f"{tmp_path / 'video0'}: Permission denied"


def test_the_kernel_is_asked_and_a_file_is_no_camera(tmp_path):
    (tmp_path / "video0").write_text("no camera")
    found, troubles = list_cameras(kinds(tmp_path))
    assert found == []
    assert "video0" in troubles[-1]
