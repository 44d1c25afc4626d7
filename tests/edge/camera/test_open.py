"""Sources by the names that users give them."""

import pytest

from leukolite.edge.camera.open import KINDS, CameraKind, open_camera, open_source
from leukolite.edge.camera.picamera import PiCamera
from leukolite.edge.camera.scripted import ScriptedCamera
from leukolite.edge.camera.source import CameraOptions
from leukolite.edge.camera.stream import StreamCamera
from leukolite.edge.camera.synthetic import SyntheticCamera
from leukolite.edge.camera.v4l2 import V4l2Camera
from leukolite.errors import SourceError
from leukolite.synthetic import LABELS


@pytest.mark.parametrize(
    "name", ["hubble", "synthetic:0", "synthetic:nan", "synthetic:-3", "picamera2:x", "v4l2:", "v4l2:video0", "http:", "ftp://x"]
)
def test_an_unknown_camera_is_refused_by_name(name):
    with pytest.raises(SourceError, match=f"no camera named '{name}'; there is synthetic"):
        open_camera(name, "cell", LABELS, seed=0)


@pytest.mark.parametrize("name", ["v4l2:/dev/caf\udce9", "rtsp://\udce9/live", "\udce9"])
def test_a_camera_whose_name_is_not_utf8_is_refused_for_opencv_crashes_on_it(name):
    with pytest.raises(SourceError, match="a camera's name is UTF-8"):
        open_camera(name, "cell", LABELS, seed=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("synthetic", SyntheticCamera),
        ("synthetic:12.5", SyntheticCamera),
        ("picamera2", PiCamera),
        ("picamera2:1", PiCamera),
        ("v4l2:/dev/video0", V4l2Camera),
        ("rtsp://microscope/live", StreamCamera),
        ("http://microscope:8080/?action=stream", StreamCamera),
    ],
)
def test_a_camera_is_found_by_name_and_nothing_is_opened_yet(name, kind):
    assert isinstance(open_camera(name, "cell", LABELS, seed=0), kind)


def test_a_size_is_refused_where_there_is_none_to_choose():
    with pytest.raises(SourceError, match="synthetic: this camera has a size of its own") as refused:
        open_camera("synthetic", "cell", LABELS, seed=0, size=(640, 480))
    assert refused.value.advice == "camera-size-kinds"


def test_a_new_kind_of_camera_is_one_entry_in_the_table():
    class Telescope(ScriptedCamera):
        @staticmethod
        def of_name(name: str, options: CameraOptions) -> ScriptedCamera | None:
            return Telescope([], name=f"{name}, {options.size}") if name.endswith("hubble") else None

    kinds = (*KINDS, CameraKind("telescope:NAME", ("telescope",), Telescope.of_name, has_sizes=True))
    opened = open_camera("telescope:hubble", "cell", LABELS, seed=0, size=(640, 480), kinds=kinds)
    assert opened.name == "telescope:hubble, (640, 480)"
    with pytest.raises(SourceError, match=r"no camera named 'telescope:x'; there is synthetic.*, telescope:NAME$"):
        open_camera("telescope:x", "cell", LABELS, seed=0, kinds=kinds)


def test_no_two_kinds_share_a_prefix():
    prefixes = [prefix for kind in KINDS for prefix in kind.prefixes]
    assert len(prefixes) == len(set(prefixes))


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        open_source(tmp_path / "nowhere")
