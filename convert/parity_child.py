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


def main(folder: Path) -> None:
    """Do the job in `folder`: {"runtimes": {name: [module, package]}}, of which the first that is installed is taken."""
    job = json.loads((folder / "job.json").read_text())
    found = None
    for name, (module_name, package) in job["runtimes"].items():
        try:
            found = name, importlib.import_module(module_name), importlib.metadata.version(package)
            break
        except (ImportError, AttributeError):  # tflite-runtime beside numpy 2 fails with an AttributeError
            continue
    if found is None:
        _say({"error": f"no {' or '.join(job['runtimes'])} there"})
        sys.exit(1)
    name, module, version = found
    try:
        if (folder / "model.tflite").is_file():
            _run(folder, module)
        _say({"result": {"name": name, "version": version, "error": None}})
    except (RuntimeError, ValueError, AttributeError) as error:
        _say({"result": {"name": name, "version": version, "error": " ".join(str(error).split())[:200]}})


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
