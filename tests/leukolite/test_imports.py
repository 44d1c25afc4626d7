"""Libraries that are missing or broken: one line before any work, whatever the command."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from leukolite.cli import main as leukolite
from leukolite.edge.cli import main as edge_run
from leukolite.errors import LeukoliteError
from leukolite.imports import explained, failed_import, package_of, require

OUT = ("--data", "DIR", "--out", "OUT")
SERVE = ("--bundle", "synthetic-cells", "--camera", "synthetic", "--serve", "0")
WITH_KERAS = pytest.mark.skipif(find_spec("keras") is None, reason="Keras, which is asked for first, is not installed")


@pytest.fixture
def hide(monkeypatch):
    """Makes a library be not installed, though parts of it may be loaded already."""

    def hidden(library: str) -> None:
        for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
            monkeypatch.setitem(sys.modules, name, None)

    return hidden


@pytest.fixture
def site(tmp_path: Path, monkeypatch) -> Path:
    """A folder of installed packages, in which a test puts a broken one."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def failure(module: str) -> str | None:
    try:
        __import__(module)
    except Exception as error:  # noqa: BLE001  # any that a broken library may raise
        sys.modules.pop(module, None)
        return failed_import(error)
    raise AssertionError(f"{module} was imported")


@pytest.mark.parametrize(
    ("library", "command", "arguments", "said"),
    [
        (
            "scipy",
            leukolite,
            ("locating", "DIR"),
            "locating needs scipy, which is not installed; pip install 'leukolite[report]'",
        ),
        (
            "scipy",
            leukolite,
            ("data", "DIR"),
            "leukolite data needs scipy, which is not installed; pip install 'leukolite[report]'",
        ),
        ("scipy", leukolite, ("evaluate", "synthetic-cells", "--data", "DIR"), "leukolite evaluate needs scipy"),
        pytest.param("scipy", leukolite, ("train", "small_cnn", *OUT), "leukolite train needs scipy", marks=WITH_KERAS),
        ("scipy", leukolite, ("train", "small_cnn", "--data", "DIR", "--preview", "OUT.png"), "--preview needs scipy"),
        pytest.param("matplotlib", leukolite, ("train", "small_cnn", *OUT), "leukolite train needs matplotlib", marks=WITH_KERAS),
        pytest.param(
            "sklearn",
            leukolite,
            ("train", "small_cnn", "--data", "DIR", "--out", "OUT", "--split", "image", "--folds", "3"),
            "needs scikit-learn",
            marks=WITH_KERAS,
        ),
        ("keras", leukolite, ("train", "small_cnn", *OUT), "pip install 'leukolite[train]'"),
        ("matplotlib", leukolite, ("evaluate", "synthetic-cells", "--data", "DIR", "--plots", "OUT"), "--plots needs matplotlib"),
        ("sklearn", leukolite, ("evaluate", "synthetic-cells", "--data", "DIR", "--plots", "OUT"), "--plots needs scikit-learn"),
        ("keras", leukolite, ("throughput", "small_cnn"), "leukolite throughput needs keras"),
        ("keras", leukolite, ("convert", "RUN", "--out", "OUT"), "leukolite convert needs keras, which is not installed"),
        ("tensorflow", leukolite, ("convert", "RUN", "--out", "OUT"), "pip install 'leukolite[convert]'"),
        pytest.param(
            "h5py",
            leukolite,
            ("convert", "RUN", "--out", "OUT"),
            "leukolite convert needs h5py, which is not installed",
            marks=WITH_KERAS,
        ),
        ("keras", leukolite, ("calibration-study", "RUN"), "leukolite calibration-study needs keras"),
        pytest.param(
            "matplotlib",
            leukolite,
            ("debug-quantisation", "RUN", "--plot", "OUT.png"),
            "debug-quantisation needs matplotlib",
            marks=WITH_KERAS,
        ),
        pytest.param(
            "matplotlib", leukolite, ("reproduce", "small_cnn", *OUT), "leukolite reproduce needs matplotlib", marks=WITH_KERAS
        ),
        ("keras", leukolite, ("variants", "RUN"), "leukolite variants needs keras"),
        ("starlette", edge_run, SERVE, "pip install 'leukolite[web]'"),
        ("uvicorn", edge_run, SERVE, "the live page needs uvicorn"),
        ("ai_edge_litert", leukolite, ("evaluate", "synthetic-cells", "--data", "DIR"), "pip install ai-edge-litert"),
    ],
)
def test_a_library_that_is_missing_is_named_before_the_work(library, command, arguments, said, hide, refuses, cells, tmp_path):
    places = {"DIR": cells, "OUT": tmp_path / "out", "OUT.png": tmp_path / "out.png", "RUN": tmp_path}
    hide(library)
    line = refuses(command, *(places.get(argument, argument) for argument in arguments))
    assert said in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("library", "arguments"),
    [
        ("jinja2", ("export-android", "synthetic-cells", "--out", "OUT")),
        ("jinja2", ("journal", "summary", "SESSION", "--out", "OUT")),
    ],
)
def test_a_library_that_is_missing_on_the_way_is_one_line_and_leaves_nothing(library, arguments, hide, refuses, call, tmp_path):
    session = tmp_path / "session"
    assert call(edge_run, *SERVE[:4], "--frames", 2, "--record", session).exit_code == 0
    hide(library)
    line = refuses(leukolite, *({"OUT": tmp_path / "out", "SESSION": session}.get(argument, argument) for argument in arguments))
    assert line == "Error: jinja2 is not installed; pip install jinja2"
    assert list(tmp_path.iterdir()) == [session]


def test_fine_tuning_asks_for_its_libraries_before_the_work(monkeypatch, refuses, tmp_path):
    from leukolite.convert import options

    monkeypatch.setattr(options, "import_keras", lambda *_, **__: None)
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    line = refuses(leukolite, "convert", tmp_path, "--to", "int8-qat", "--out", tmp_path / "out")
    assert line == (
        "Error: int8-qat needs tensorflow-model-optimization, which is not installed; pip install 'leukolite[convert]'"
    )


@pytest.mark.parametrize(
    ("library", "code", "said"),
    [
        (
            "cv2",
            "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
            "opencv-python-headless does not load (libGL.so.1: cannot open shared object file: No such file or directory);"
            " pip uninstall -y opencv-python, then pip install --force-reinstall opencv-python-headless, which needs no display",
        ),
        (
            "cv2",
            "raise ImportError('numpy.core.multiarray failed to import')",
            "opencv-python-headless does not load (numpy.core.multiarray failed to import);"
            " it was built for another NumPy: pip install --force-reinstall numpy opencv-python-headless",
        ),
        ("cv2", "raise AttributeError('_ARRAY_API not found')", "it was built for another NumPy"),
        ("sklearn", "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')", "numpy scikit-learn"),
        ("numpy", "raise ImportError('libopenblas.so: no')", "numpy does not load (libopenblas.so: no); pip install"),
        ("pydantic", "import pydantic_core_gone", "pydantic needs pydantic-core-gone, which is not installed"),
        ("PIL", "def broken(:", "pillow does not load (invalid syntax"),
        (
            "matplotlib",
            "raise OSError('Matplotlib requires a cache directory; set the MPLCONFIGDIR environment variable to one')",
            "; set the variable MPLCONFIGDIR, or TMPDIR, to a folder that can be written",
        ),
        ("keras", "raise RuntimeError('Descriptors cannot be created directly.')", "keras does not load (Descriptors cannot"),
    ],
)  # fmt: skip
def test_a_library_that_is_broken_is_named_with_its_reason_and_the_remedy(library, code, said, site, monkeypatch):
    (site / library).mkdir()
    (site / library / "__init__.py").write_text(code)
    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    assert said in (failure(library) or "")


def test_an_error_of_ours_keeps_its_traceback():
    def raise_ours() -> None:
        raise ImportError("cannot import name 'gone' from 'leukolite.errors'", name="leukolite.errors")

    with pytest.raises(ImportError, match="gone"), explained():
        raise_ours()
    with pytest.raises(ModuleNotFoundError), explained():
        __import__("leukolite.gone")
    assert failed_import(KeyError("a programming error")) is None


def test_a_broken_extra_is_told_from_a_missing_one(site):
    (site / "broken_extra.py").write_text("raise OSError('cannot load libx.so')")
    with pytest.raises(LeukoliteError, match=r"^it: broken-extra does not load \(cannot load libx.so\); pip install --force-re"):
        require("it", "broken_extra", extra="x")
    with pytest.raises(LeukoliteError, match=r"^it needs missing-extra, which is not installed; pip install 'leukolite\[x\]'"):
        require("it", "missing_extra", extra="x")


def test_a_package_is_called_as_pip_calls_it():
    assert [package_of(name) for name in ("cv2", "PIL.Image", "tf_keras")] == ["opencv-python-headless", "pillow", "tf-keras"]


@pytest.mark.parametrize(("library", "package"), [("cv2", "opencv-python-headless"), ("pydantic", "pydantic")])
def test_a_command_of_a_broken_installation_ends_with_one_line(library, package, tmp_path):
    """As a process of its own, in which nothing has been imported yet."""
    broken = tmp_path / "site-packages" / library
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import sys\nsys.stderr.write('a page\\n')\nraise ImportError('libGL.so.1: no')")
    code = f"import sys; sys.path.insert(0, {str(broken.parent)!r}); from leukolite.cli import main; main(['info', 'x'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {package} does not load (libGL.so.1: no); pip ")
    assert result.stderr.count("\n") == 1


def test_matplotlib_without_a_home_says_nothing(tmp_path):
    code = "from leukolite.imports import require; require('--plots', 'matplotlib.figure', extra='report')"
    nowhere = {"HOME": "/proc/nowhere", "TMPDIR": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME")}
    result = subprocess.run([sys.executable, "-c", code], env=environment | nowhere, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
