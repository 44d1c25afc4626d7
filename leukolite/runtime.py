"""Inference runtimes: one invoke of a TFLite model.

LiteRT is the default, tflite-runtime the elder on old images, edgetpu is LiteRT with the Coral accelerator's delegate.
"""

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from leukolite.errors import BundleError, RuntimeUnavailable
from leukolite.manifest import TensorFormat
from leukolite.quiet import quiet

# name -> (module with the Interpreter, package, how to get it)
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", "pip install 'leukolite[tflite-runtime]' (Python 3.11)"),
    "edgetpu": ("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
}
CPU_RUNTIMES = ("litert", "tflite-runtime")
EDGETPU_LIBRARY = "libedgetpu.so.1"
EDGETPU_OP = b"edgetpu-custom-op"  # stands in every model that edgetpu_compiler made


@dataclass(frozen=True)
class Tensor:
    """A model's input or output tensor."""

    shape: tuple[int, ...]
    format: TensorFormat


class Runtime(Protocol):
    """Runs one model. `name` and `version` are those of what really computes; `delegate` is an accelerator's library, if any."""

    name: str
    version: str
    threads: int
    delegate: str | None
    input: Tensor
    output: Tensor

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape (classes,), for one input of `input`'s shape and type."""
        ...


class TfliteRuntime:
    """A TFLite interpreter of LiteRT or tflite-runtime, on the CPU or with the Edge TPU's delegate.

    Args:
        model: the .tflite file's bytes.
        threads: CPU threads, 1 or more.
        name: a key of `RUNTIMES`.
        allow_cpu: where the Edge TPU is asked for and cannot compute, let LiteRT do so on the CPU; `name` then says litert.

    Raises:
        RuntimeUnavailable: the package is not installed or does not load, or the accelerator is not there or not used.
        BundleError: the runtime refuses the model.
    """

    def __init__(self, model: bytes, *, threads: int = 1, name: str = "litert", allow_cpu: bool = False) -> None:
        module_name, package, remedy = RUNTIMES[name]
        try:
            module: Any = importlib.import_module(module_name)
            self.version = importlib.metadata.version(package)
        except (ImportError, AttributeError) as error:  # tflite-runtime beside numpy 2 fails with an AttributeError
            raise RuntimeUnavailable(f"the runtime {name} cannot be loaded ({error}); {remedy}") from error
        self.threads = threads
        delegates = _edgetpu(module, model, allow_cpu=allow_cpu) if name == "edgetpu" else []
        self.delegate = EDGETPU_LIBRARY if delegates else None
        self.name = "litert" if name == "edgetpu" and not delegates else name
        options = {"experimental_delegates": delegates} if delegates else {}
        try:
            with quiet():
                self._interpreter = module.Interpreter(model_content=model, num_threads=threads, **options)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            if EDGETPU_OP.decode() in reason:
                raise BundleError(
                    f"the model was compiled for the Edge TPU, {self.name} cannot run it; --runtime edgetpu"
                ) from error
            raise BundleError(f"{self.name} {self.version} refuses the model ({reason[:200]})") from error
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


def _edgetpu(module: Any, model: bytes, *, allow_cpu: bool) -> list[Any]:
    """The Edge TPU's delegate, or none where it would not compute and the CPU may.

    A model that was not compiled for it loads with the delegate all the same, and then every operator runs on the CPU.
    """
    if EDGETPU_OP not in model:
        if allow_cpu:
            return []
        raise RuntimeUnavailable(
            "the model was not compiled for the Edge TPU: all of it would run on the CPU; compile it with edgetpu_compiler,"
            " or allow that with --allow-cpu"
        )
    try:
        with quiet():
            return [module.load_delegate(EDGETPU_LIBRARY)]
    except (OSError, ValueError, RuntimeError) as error:  # the library is missing; no device; the device is in use
        reason = " ".join(str(error).split()) or "no Edge TPU answers"
        raise RuntimeUnavailable(
            f"the Edge TPU cannot be used ({reason[:200]}); plug it in, sudo apt install libedgetpu1-std,"
            " or take a bundle that was not compiled for it"
        ) from error


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
