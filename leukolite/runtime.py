"""Inference runtimes: one invoke of a TFLite model. LiteRT is the default, tflite-runtime the elder on old images."""

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from leukolite.bundle import TensorFormat
from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.quiet import quiet

# name -> (module with the Interpreter, package, how to get it)
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", "pip install 'leukolite[tflite-runtime]' (Python 3.11)"),
}


@dataclass(frozen=True)
class Tensor:
    """A model's input or output tensor."""

    shape: tuple[int, ...]
    format: TensorFormat


class Runtime(Protocol):
    """Runs one model. `name` and `version` are those of the library that really computes."""

    name: str
    version: str
    threads: int
    input: Tensor
    output: Tensor

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape (classes,), for one input of `input`'s shape and type."""
        ...


class TfliteRuntime:
    """A TFLite interpreter of LiteRT or tflite-runtime.

    Args:
        model: the .tflite file's bytes.
        threads: CPU threads, 1 or more.
        name: a key of `RUNTIMES`.

    Raises:
        RuntimeUnavailable: the package is not installed or does not load.
        BundleError: the runtime refuses the model.
    """

    def __init__(self, model: bytes, *, threads: int = 1, name: str = "litert") -> None:
        module_name, package, remedy = RUNTIMES[name]
        try:
            module: Any = importlib.import_module(module_name)
            self.version = importlib.metadata.version(package)
        except (ImportError, AttributeError) as error:  # tflite-runtime beside numpy 2 fails with an AttributeError
            raise RuntimeUnavailable(f"the runtime {name} cannot be loaded ({error}); {remedy}") from error
        self.name, self.threads = name, threads
        try:
            with quiet():
                self._interpreter = module.Interpreter(model_content=model, num_threads=threads)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"{name} {self.version} refuses the model ({reason[:200]})") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(f"expected a model with one input and one output, found {len(inputs)} and {len(outputs)}")
        self.input, self.output = _tensor(inputs[0]), _tensor(outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`. Raises: ValueError, as the interpreter does, on another shape or type."""
        self._interpreter.set_tensor(self._input_index, batch)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise BundleError(f"{self.name} {self.version} fails on the model ({' '.join(str(error).split())[:200]})") from error
        raw = self._interpreter.get_tensor(self._output_index)[0]
        if raw.dtype == np.float32:
            return np.asarray(raw)
        output = self.output.format
        return np.asarray((raw.astype(np.float32) - output.zero_point) * np.float32(output.scale))

    def tensor_dtypes(self) -> dict[str, str]:
        """Every tensor's name and type: what `convert` reads to prove that no float is left inside."""
        return {detail["name"]: np.dtype(detail["dtype"]).name for detail in self._interpreter.get_tensor_details()}


def _tensor(detail: dict[str, Any]) -> Tensor:
    dtype = np.dtype(detail["dtype"]).name
    if dtype not in ("uint8", "int8", "int16", "float32"):
        raise BundleError(f"expected a uint8, int8, int16 or float32 tensor, found {dtype}")
    scale, zero_point = detail["quantization"]
    shape = tuple(int(length) for length in detail["shape"])
    if dtype == "float32":
        return Tensor(shape, TensorFormat(dtype="float32"))
    if not scale > 0:
        raise BundleError(f"tensor {detail['name']}: {dtype} without quantisation parameters")
    return Tensor(shape, TensorFormat(dtype=dtype, scale=float(scale), zero_point=int(zero_point)))
