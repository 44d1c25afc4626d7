"""A model that may crash the runtime crashes a child; what is known to open needs none."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from leukolite import first_opening
from leukolite.bundle import MODEL
from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.first_opening import REMEMBERED, open_elsewhere_first
from leukolite.runtime import TfliteRuntime
from leukolite.shipped import find_bundle

# bytes of tests/data/tiny.tflite that, changed so, made LiteRT 2.3 on x86_64 die with SIGSEGV
CRASHING = ((788, 0x40), (1340, 0x10), (1844, 0x10), (2488, 0x40))
FAKE = """
import os, signal, time
class Interpreter:
    def __init__(self, model_content, num_threads):
        what, _, how = model_content.decode().partition(" ")
        if what == "die":
            os.kill(os.getpid(), getattr(signal, how))
        if what == "exit":
            os._exit(3)
        if what == "sleep":
            time.sleep(60)
        if what == "loop":
            while True: pass
        if what == "memory":
            bytearray(4_000_000_000)
        if what == "chatter":
            os.write(1, b"library chatter")
        if what == "raise":
            raise {"ValueError": ValueError, "RuntimeError": RuntimeError, "SystemError": SystemError}[how]("two\\nlines")
    def allocate_tensors(self): pass
    def invoke(self): pass
    def get_input_details(self): return []
    def get_output_details(self): return []
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has opened nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(first_opening, "_opened", set())
    return tmp_path / "cache" / "leukolite"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The models that a child was asked about; it takes them all."""
    models: list[bytes] = []
    monkeypatch.setattr(first_opening, "_ask", lambda model, *_: models.append(model))
    return models


@pytest.fixture
def fake_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "fake_runtime.py").write_text(FAKE)
    monkeypatch.syspath_prepend(tmp_path / "modules")


def try_it(model: bytes, version: str = "1.0") -> None:
    open_elsewhere_first(model, "fake_runtime", "fake", version, 1)


def test_models_that_crash_the_runtime_are_one_line_each(tiny_model):
    """Which of these crash depends on the runtime; that none of them ends this process does not."""
    crashed = 0
    for at, bits in CRASHING:
        model = bytearray(tiny_model)
        model[at] ^= bits
        try:
            TfliteRuntime(bytes(model))
        except BundleError as error:
            crashed += re.fullmatch(r"the model crashes litert .+", str(error)) is not None
    assert crashed or sys.platform != "linux" or "2.3" not in TfliteRuntime(tiny_model).info.version


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL"])
def test_every_crash_is_said_with_what_to_do(fake_runtime, name):
    with pytest.raises(
        BundleError, match=rf"^the model crashes fake 1\.0 \({name}\); .*: copy the bundle again, or do not use it$"
    ):
        try_it(f"die {name}".encode())


def test_a_model_that_never_opens_is_given_up(fake_runtime, monkeypatch):
    monkeypatch.setattr(first_opening, "LIMIT_S", 0.5)
    began = time.monotonic()
    with pytest.raises(BundleError, match=r"fake 1\.0 has not opened the model within 0\.5 s"):
        try_it(b"sleep")
    assert time.monotonic() - began < 30


def test_a_model_that_computes_without_an_end_is_given_up(fake_runtime, monkeypatch):
    monkeypatch.setattr(first_opening, "CPU_LIMIT_S", 1)
    with pytest.raises(BundleError, match="has not opened the model after computing for 1 s"):
        try_it(b"loop")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds memory on Linux alone")
def test_a_model_that_wants_gigabytes_is_refused(fake_runtime):
    with pytest.raises(RuntimeError, match="out of memory"):
        try_it(b"memory")


@pytest.mark.parametrize(
    ("kind", "raised"), [("ValueError", RuntimeError), ("RuntimeError", RuntimeError), ("SystemError", SystemError)]
)
def test_what_the_runtime_says_comes_through_in_one_line(fake_runtime, kind, raised):
    with pytest.raises(raised, match=r"^two lines$"):
        try_it(f"raise {kind}".encode())


def test_what_a_library_prints_is_no_answer(fake_runtime, capfd):
    try_it(b"chatter")
    assert capfd.readouterr() == ("", "")


def test_a_child_without_an_answer_opens_nothing(fake_runtime):
    with pytest.raises(RuntimeUnavailable, match="cannot be tried in a process of its own"):
        try_it(b"exit")


@pytest.mark.parametrize("python", ["", "/no/such/python"])
def test_without_a_python_to_start_a_new_model_is_not_opened(fake_runtime, monkeypatch, python):
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(RuntimeUnavailable, match="cannot be tried in a process of its own"):
        try_it(b"x")


def test_a_model_is_tried_once_on_a_machine(asked, cache, monkeypatch):
    try_it(b"x")
    monkeypatch.setattr(first_opening, "_opened", set())  # another process
    try_it(b"x")
    assert asked == [b"x"]
    try_it(b"y")
    try_it(b"x", version="1.1")
    assert asked == [b"x", b"y", b"x"]
    assert len((cache / REMEMBERED).read_text().splitlines()) == 3


def test_a_model_that_crashed_is_not_remembered(fake_runtime, cache):
    for _ in range(2):
        with pytest.raises(BundleError):
            try_it(b"die SIGABRT")
    assert not (cache / REMEMBERED).exists()


def test_what_is_remembered_does_not_grow_for_ever(asked, cache, monkeypatch):
    monkeypatch.setattr(first_opening, "MOST_REMEMBERED_BYTES", 500)
    for n in range(30):
        try_it(b"%d" % n)
    assert (cache / REMEMBERED).stat().st_size < 1000


def put_pipe(path: Path, content: bytes) -> None:
    os.mkfifo(path)


def put_link(path: Path, content: bytes) -> None:
    (path.parent / "elsewhere").write_bytes(content)
    path.symlink_to("elsewhere")


def put_open_to_all(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o666)


@pytest.mark.parametrize("put", [put_pipe, put_link, put_open_to_all, lambda path, _: path.mkdir()])
def test_what_others_could_have_remembered_is_not_believed(asked, cache, monkeypatch, put):
    try_it(b"x")
    content = (cache / REMEMBERED).read_bytes()
    (cache / REMEMBERED).unlink()
    put(cache / REMEMBERED, content)
    monkeypatch.setattr(first_opening, "_opened", set())
    try_it(b"x")
    assert asked == [b"x", b"x"]


@pytest.mark.parametrize("place", ["/proc/leukolite/cache", "relative", "/dev/null/cache"])
def test_without_a_place_to_remember_each_process_tries_again(asked, monkeypatch, place):
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    try_it(b"x")
    try_it(b"x")
    assert asked == [b"x"]
    monkeypatch.setattr(first_opening, "_opened", set())
    try_it(b"x")
    assert asked == [b"x", b"x"]


def test_shipped_models_need_no_child(asked, cache):
    model = (find_bundle(Path("synthetic-cells")) / MODEL).read_bytes()
    TfliteRuntime(model)
    assert asked == []
    TfliteRuntime(model + b"\0")
    assert asked == [model + b"\0"]


@pytest.mark.parametrize("is_on_path", [False, True])
def test_nothing_of_the_folder_that_it_was_started_in_is_imported(tiny_model, tmp_path, monkeypatch, is_on_path):
    here = tmp_path / "here"
    for name in ("numpy.py", "json.py", "ai_edge_litert/__init__.py", "leukolite/__init__.py", "sitecustomize.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\nraise RuntimeError('not this one')\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(here))
    if is_on_path:
        monkeypatch.setattr(sys, "path", ["", str(here), *sys.path])
    open_elsewhere_first(tiny_model, "ai_edge_litert.interpreter", "litert", "0", 1)
    assert not (tmp_path / "imported").exists()


def test_a_folder_that_was_deleted_meanwhile_is_no_harm(tiny_model, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    open_elsewhere_first(tiny_model, "ai_edge_litert.interpreter", "litert", "0", 1)
