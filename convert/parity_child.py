"""The process that runs a .tflite file on one runtime; `leukolite.convert.parity` starts it. Not for use by hand.

It needs NumPy and a runtime, nothing else: the interpreter may be one that knows neither leukolite nor this Python's packages.
It reads job.json, model.tflite, pixels.npy (uint8) and table.npy (what each grey level becomes) of the folder it is given, says
on stdout how far it is, a line of JSON each, and leaves outputs.npy (float32) and invoke_ms.npy there.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# tflite-runtime beside NumPy 2 fails with an AttributeError or an ImportError when it is loaded, with a SystemError later
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, ImportError, SystemError, OSError, MemoryError)


def main(folder: Path) -> None:
    """Do the job in `folder`: {"runtimes": {name: [module, package]}}, of which the first that is installed runs the model."""
    job = json.loads((folder / "job.json").read_text())
    for name, (module_name, package) in job["runtimes"].items():
        found = {"name": name, "version": _version(package), "numpy": np.__version__}
        try:
            _run(folder, importlib.import_module(module_name))
        except ModuleNotFoundError as error:
            if error.name is not None and module_name.startswith(error.name):
                continue  # it is not installed; one that is there and does not load is an error
            _say({"result": found | {"error": _one_line(error)}})
        except FAILURES as error:
            _say({"result": found | {"error": _one_line(error)}})
        else:
            _say({"result": found | {"error": None}})
        return
    _say({"error": f"no {' or '.join(job['runtimes'])} there"})
    sys.exit(1)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _one_line(error: BaseException) -> str:
    error = error.__cause__ or error  # a SystemError's says more
    return " ".join(str(error).split())[:200] or type(error).__name__


def _run(folder: Path, module: Any) -> None:
    interpreter = module.Interpreter(model_content=(folder / "model.tflite").read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    pixels, table = np.load(folder / "pixels.npy", mmap_mode="r"), np.load(folder / "table.npy")
    outputs = np.empty((len(pixels), answer["shape"][1]), np.float32)
    times = np.empty(len(pixels))
    scale, zero_point = answer["quantization"]
    for i, image in enumerate(pixels):
        interpreter.set_tensor(entry["index"], table[image][np.newaxis])
        started = time.perf_counter()
        interpreter.invoke()
        times[i] = 1e3 * (time.perf_counter() - started)
        raw = interpreter.get_tensor(answer["index"])[0]
        outputs[i] = raw if raw.dtype == np.float32 else (raw.astype(np.float32) - zero_point) * np.float32(scale)
        if i % 10 == 9:
            _say({"stage": "running", "done": i + 1, "total": len(pixels)})
    np.save(folder / "outputs.npy", outputs)
    np.save(folder / "invoke_ms.npy", times)


def _say(values: dict[str, Any]) -> None:
    os.write(_ANSWERS, (json.dumps(values) + "\n").encode())


if __name__ == "__main__":
    _ANSWERS = os.dup(1)  # the libraries may write to stdout what they like
    os.dup2(2, 1)
    main(Path(sys.argv[1]))
