"""The process that opens a model first, on a machine that has not opened it before; `leukolite.first_opening` starts it.

It needs NumPy and a runtime, nothing else. On stdin come a line of JSON, {"path", "module", "threads", "bytes", "memory",
"cpu_s"}, and the model. Its answer is one line of JSON on stdout, {"error": null} or what the runtime says against the model. A
crash is an answer too: it ends this process and no other.
"""

import importlib
import json
import os
import sys
import time
from typing import Any

BROKEN = "broken"  # the runtime itself fails, whatever the model
ENOUGH_S = 1.0  # of computing; a model that is slower is tried on one input


def main() -> None:
    """Answer for the model on stdin."""
    answers = os.dup(1)  # the libraries may write to stdout what they like
    os.dup2(2, 1)
    job = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = job["path"]
    answer: dict[str, str | None] = {"error": None}
    try:
        module = importlib.import_module(job["module"])
        _bound(job["memory"], job["cpu_s"])
        open_model(module, sys.stdin.buffer.read(job["bytes"]), job["threads"])
    except (AttributeError, SystemError, ImportError) as error:
        answer = {"error": BROKEN, "text": _one_line(error.__cause__ or error)}
    except MemoryError:
        answer = {"error": "refused", "text": "out of memory"}
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        answer = {"error": "refused", "text": _one_line(error)}
    os.write(answers, (json.dumps(answer) + "\n").encode())


def open_model(module: Any, model: bytes, threads: int) -> None:
    """Open a model and let it compute on black, white and noise: some damage shows with other values alone.

    Raises: what the runtime raises.
    """
    import numpy as np

    interpreter = module.Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    rng, began = np.random.default_rng(0), time.monotonic()
    for fill in (0, 255, None):
        for detail in interpreter.get_input_details():
            shape = detail["shape"]
            values = rng.integers(0, 256, shape) if fill is None else np.full(shape, fill)
            interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            interpreter.get_tensor(detail["index"])
        if time.monotonic() - began > ENOUGH_S:
            break


def _bound(memory: int, cpu_s: int) -> None:
    """Keep what a model can take within bounds, as far as the system offers that."""
    try:
        import resource
    except ImportError:
        return
    spent = int(time.process_time())
    for kind, most in (("RLIMIT_DATA", memory), ("RLIMIT_CPU", spent + cpu_s), ("RLIMIT_CORE", 0)):
        try:
            limit = getattr(resource, kind)
            _, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (AttributeError, ValueError, OSError):
            continue


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:2000] or type(error).__name__


if __name__ == "__main__":
    main()
