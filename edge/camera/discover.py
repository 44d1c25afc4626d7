"""What is plugged in, of every kind of camera that can tell."""

from collections.abc import Sequence

from leukolite.edge.camera.open import KINDS, CameraKind
from leukolite.edge.camera.source import CameraInfo


def list_cameras(kinds: Sequence[CameraKind] = KINDS) -> tuple[list[CameraInfo], list[str]]:
    """What is plugged in, and why something could not be asked."""
    found: list[CameraInfo] = []
    troubles: list[str] = []
    for kind in kinds:
        cameras, complaints = kind.plugged_in()
        found += cameras
        troubles += complaints
    return found, troubles
