"""The cheap half of tests/floors.sh: the lowest versions that pyproject.toml allows are stated, alike everywhere, and kept."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pytest
from floors import PYPROJECT, floors, number, requirements

from leukolite.edge.camera import opencv
from leukolite.errors import LeukoliteError
from leukolite.frozen import Frozen
from leukolite.train.backend import LEAST_KERAS, _check_version

CHECKOUT = PYPROJECT.parent
PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
SOURCES = [file for part in ("leukolite", "edge", "train", "convert", "benchmarks") for file in (CHECKOUT / part).rglob("*.py")]

# why a floor is no lower: package -> version, reason
REASONS = {
    "click": ("8.2.1", "before 8.2 stdout and stderr of a command were tested as one"),
    "keras": ("3.15.1", "runs code, or reads other files, from a hostile .keras or .h5 file before"),
    "pillow": ("10.3", "a hostile colour profile overflows a buffer before (CVE-2024-28219)"),
    "rich": ("14.3.1", "leaves blank lines before an error where stderr is no terminal before"),
    "numpy": ("1.24.2", "what Raspberry Pi OS Bookworm's picamera2 was built for"),
    "opencv-python-headless": (
        "4.9.0.80",
        "below, its frames as stored have no time, by which they are held against the decoded ones",
    ),
    "scipy": ("1.11.4", "takes all images for copies of one before, and raises nothing"),
}


@pytest.mark.parametrize("name", sorted({name for name, _ in requirements(*EXTRAS)} - {"leukolite"}))
def test_every_requirement_has_a_floor(name):
    assert name in floors(*EXTRAS), f"{name}: write {name}>=VERSION"


def test_a_floor_that_has_a_reason_stays_above_it():
    lowest = floors(*[extra for extra in EXTRAS if extra != "train"]) | {"numpy": floors()["numpy"]}
    for name, (version, why) in REASONS.items():
        assert number(lowest[name]) >= number(version), f"{name}: {why}"


def test_no_extra_allows_less_than_leukolite_itself():
    for name, version in floors().items():
        assert number(floors(*EXTRAS)[name]) >= number(version), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_version_that_a_page_asks_for_is_pyprojects(page):
    lowest = floors(*EXTRAS) | {"numpy": floors()["numpy"]}
    for name, relation, version in re.findall(r"\b([a-z][\w-]+)(>=|==)(\d[\d.]*\d)", page.read_text(encoding="utf-8")):
        if name in lowest and relation == ">=":
            assert version == lowest[name], name
        elif name in lowest:
            assert number(version) >= number(lowest[name]), f"{name}=={version} is below the floor"


def test_the_keras_that_a_command_asks_for_is_pyprojects():
    assert floors("keras")["keras"] == LEAST_KERAS


@pytest.mark.parametrize("version", ["3.8.0", "3.15.0", "3.9", "2.15.0"])
def test_an_older_keras_is_refused_with_the_remedy(version):
    with pytest.raises(LeukoliteError, match=f"Keras {version} runs code .* pip install -U 'keras>={LEAST_KERAS}'"):
        _check_version("leukolite convert", version)


@pytest.mark.parametrize("version", [LEAST_KERAS, "3.15.1.dev0", "3.16.0", "4.0"])
def test_a_newer_keras_is_not(version):
    _check_version("leukolite convert", version)


def test_python_is_what_the_classifiers_and_ruff_say():
    lowest, above = re.fullmatch(r">=(3\.\d+),<(3\.\d+)", PROJECT["requires-python"]).groups()
    told = [entry.rpartition(" ")[2] for entry in PROJECT["classifiers"] if "Python :: 3." in entry]
    assert told == [f"3.{minor}" for minor in range(number(lowest)[1], number(above)[1])]


# what OpenCV has differs between 4.8, 4.13 and 5.0


def test_opencv_is_silenced_where_it_has_no_logging_module(monkeypatch):
    levels = []
    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.setattr(cv2, "setLogLevel", levels.append, raising=False)
    opencv.silence_opencv()
    assert levels == [0]


NEWER_OPENCV = {"cv2.utils": "opencv.py asks whether it has `logging`", "cv2.setLogLevel": "gone in 5.0, opencv.py asks"}


def test_what_opencv_has_in_some_versions_only_is_asked_for_in_one_place():
    found = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in NEWER_OPENCV:
                found.setdefault(ast.unparse(node), set()).add(file.relative_to(CHECKOUT).as_posix())
    assert found == {name: {"edge/camera/opencv.py"} for name in NEWER_OPENCV}


# what older pydantic and Pillow do


def test_pydantic_of_before_2_10_has_nothing_to_warn_of():
    assert Frozen.model_config["protected_namespaces"] == ()


def test_a_picture_without_exif_is_read_where_pillow_raises_for_it(monkeypatch):
    from PIL import Image

    from leukolite.images import _exif

    class Older(Image.Exif):
        def get_ifd(self, tag):
            if tag == 0xA005:
                raise KeyError(0x8769)
            return {}

    exif = Older()
    exif[0x0112] = 6
    picture = Image.new("RGB", (2, 2))
    monkeypatch.setattr(picture, "getexif", lambda: exif)
    assert _exif(picture)[0x0112] == 6, "its orientation is kept"


def test_the_script_knows_its_tiers_before_it_installs_anything():
    ended = subprocess.run(
        ["bash", CHECKOUT / "tests" / "floors.sh", "edge", "nothing"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (2, "nothing: expected edge, extras, pi or convert\n")


def test_the_line_for_bookworm_is_where_the_script_looks_for_it():
    page = Path(CHECKOUT / "docs" / "how-to" / "raspberry-pi.md").read_text(encoding="utf-8")
    assert re.search(r'pip install leukolite "numpy==1\.24\.2', page)
