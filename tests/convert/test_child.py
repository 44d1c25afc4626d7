import sys
import time

import pytest

from leukolite.convert.child import ChildFailed, run_child


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import json, os, sys\ndef say(**v): print(json.dumps(v), flush=True)\n{code}"]


def no_progress(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def test_a_child_says_how_far_it_is_and_then_its_result():
    heard = []
    code = "say(stage='half', done=1, total=2)\nsay(result=[1, 2])"
    assert run_child(python(code), lambda *stage: heard.append(stage)) == [1, 2]
    assert heard == [("half", 1, 2)]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("say(error='two\\nlines'); sys.exit(1)", "^two lines$"),
        ("raise MemoryError('none left')", "MemoryError: none left"),
        ("os.abort()", "SIGABRT"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("sys.exit(3)", "exit code 3"),
        ("print('chatter')", "answers 'chatter', not as it was asked to"),
        ("print(42)", "answers '42', not as"),
        ("print('[1]')", "answers '\\[1\\]', not as"),
        ("print('{\"stage\": 1}')", "not as it was asked to"),
        ("os.write(1, b'\\xff\\xfe\\n')", "not as it was asked to"),
        ("say(result=1); sys.exit(1)", "exit code 1"),
        ("pass", "exit code 0"),
    ],
)
def test_a_child_without_a_result_says_why(code, said):
    with pytest.raises(ChildFailed, match=said):
        run_child(python(code), no_progress)


def test_a_program_that_is_not_there_is_named():
    with pytest.raises(ChildFailed, match=r"no-such-python cannot be started \(No such file"):
        run_child(["no-such-python"], no_progress)


def test_a_child_that_never_answers_is_ended_with_what_it_started():
    start = time.monotonic()
    with pytest.raises(ChildFailed, match=r"has not answered within 0\.3 s"):
        run_child(["/bin/sh", "-c", "sleep 60; true"], no_progress, limit_s=0.3)  # the shell's own child holds its stdout
    assert time.monotonic() - start < 30


def test_ctrl_c_ends_the_child(tmp_path):
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    mark = tmp_path / "went-on"
    code = f"import time\nsay(stage='x', done=0, total=1)\ntime.sleep(30)\nopen({str(mark)!r}, 'w')"
    with pytest.raises(KeyboardInterrupt):
        run_child(python(code), interrupt)  # returns at once: it waits for the end of a child it has killed
    assert not mark.exists()


def test_chatter_on_stderr_is_not_shown(capfd):
    run_child(python("os.write(2, b'library chatter'); say(result=None)"), no_progress)
    assert capfd.readouterr() == ("", "")
