"""What is plugged in, of every kind of camera that can tell."""

from collections.abc import Sequence

from leukolite.edge.camera.boundary import failure_of
from leukolite.edge.camera.open import KINDS, CameraKind
from leukolite.edge.camera.source import CameraInfo


def list_cameras(kinds: Sequence[CameraKind] = KINDS) -> tuple[list[CameraInfo], list[str]]:
    """What is plugged in, and why something could not be asked."""
    found: list[CameraInfo] = []
    troubles: list[str] = []
    for kind in kinds:
        try:
            cameras, complaints = kind.plugged_in()
        except Exception as error:  # noqa: BLE001  # a driver's: the other kinds are listed all the same
            cameras, complaints = [], [f"{kind.prefixes[0]}: {failure_of('the driver', error)}"]
        found += cameras
        troubles += complaints
    return found, troubles
