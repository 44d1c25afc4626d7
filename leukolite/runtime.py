"""Inference runtimes: one invoke of a TFLite model.

LiteRT is the default, tflite-runtime the elder on old images, edgetpu is LiteRT with the Coral accelerator's delegate.
"""

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import Field, StringConstraints

from leukolite.errors import BundleError, RuntimeUnavailable, first_line
from leukolite.first_opening import open_elsewhere_first
from leukolite.frozen import Frozen
from leukolite.manifest import TensorFormat
from leukolite.quiet import quiet
from leukolite.wording import count

# name -> (module with the Interpreter, package, how to get it)
RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime", "pip install 'leukolite[tflite-runtime]' (Python 3.11)"),
    "edgetpu": ("ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"),
}
CPU_RUNTIMES = ("litert", "tflite-runtime")
BROKEN = (AttributeError, SystemError)  # what tflite-runtime raises beside NumPy 2, sometimes only when it computes
EDGETPU_LIBRARY = "libedgetpu.so.1"
EDGETPU_OP = b"edgetpu-custom-op"  # stands in every model that edgetpu_compiler made


@dataclass(frozen=True)
class Tensor:
    """A model's input or output tensor."""

    shape: tuple[int, ...]
    format: TensorFormat

    def check(self, values: np.ndarray) -> None:
        """Raises: ValueError, where an array is of another shape or type."""
        if values.shape != self.shape or values.dtype != self.format.dtype:
            raise ValueError(f"expected {self.format.dtype} of shape {self.shape}, found {values.dtype} of {values.shape}")


class RuntimeOptions(Frozen):
    """Which runtime is asked for, and how.

    Attributes:
        name: a key of `RUNTIMES`.
        threads: CPU threads, 1 or more.
        allow_cpu: where the Edge TPU is asked for and cannot compute, let LiteRT do so on the CPU.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "litert"
    threads: int = Field(default=1, ge=1)
    allow_cpu: bool = False

    def with_cpu(self, allowed: bool) -> "RuntimeOptions":
        """The same; the CPU may compute too where it is `allowed` now."""
        return self.model_copy(update={"allow_cpu": self.allow_cpu or allowed})


class RuntimeInfo(Frozen):
    """What really computes: name, version, CPU threads, and the accelerator's library; a `delegate` of None is the CPU."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    version: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    threads: int = Field(ge=1)
    delegate: Annotated[str, StringConstraints(min_length=1, max_length=4000)] | None = None

    def __str__(self) -> str:
        """'litert 2.3.0, 1 thread', with the accelerator's library where there is one."""
        delegate = f" with {self.delegate}" if self.delegate else ""
        return f"{self.name} {self.version}{delegate}, {count(self.threads, 'thread')}"


class Runtime(Protocol):
    """Runs one model. `info` is of what really computes."""

    info: RuntimeInfo
    input: Tensor
    output: Tensor

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape (classes,), for one input, which is left as it is.

        Raises:
            ValueError: the input is of another shape or type than `input`.
        """
        ...


class TfliteRuntime:
    """A TFLite interpreter of LiteRT or tflite-runtime, on the CPU or with the Edge TPU's delegate.

    Args:
        model: the .tflite file's bytes.
        options: where the CPU computes in the Edge TPU's place, `info.name` says litert.

    Raises:
        RuntimeUnavailable: no runtime has that name, its package is not installed or does not load, or the accelerator is not
            there or not used.
        BundleError: the runtime refuses the model, or would crash or never end, as `leukolite.first_opening` finds.
    """

    def __init__(self, model: bytes, options: RuntimeOptions = RuntimeOptions()) -> None:  # noqa: B008  # immutable
        name = options.name
        if name not in RUNTIMES:
            raise RuntimeUnavailable(f"no runtime is called {name}; known: {', '.join(RUNTIMES)}")
        module_name, package, remedy = RUNTIMES[name]
        try:
            module: Any = importlib.import_module(module_name)
            version = importlib.metadata.version(package)
        except (ImportError, *BROKEN) as error:
            raise RuntimeUnavailable(f"the runtime {name} cannot be loaded ({first_line(error)}); {remedy}") from error
        delegates = _edgetpu(module, model, allow_cpu=options.allow_cpu) if name == "edgetpu" else []
        self.info = RuntimeInfo(
            name="litert" if name == "edgetpu" and not delegates else name,
            version=version,
            threads=options.threads,
            delegate=EDGETPU_LIBRARY if delegates else None,
        )
        with_delegates = {"experimental_delegates": delegates} if delegates else {}
        try:
            self._open_elsewhere_first(model, module_name, compiled=bool(delegates))
            with quiet():
                self._interpreter = module.Interpreter(model_content=model, num_threads=options.threads, **with_delegates)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            if EDGETPU_OP.decode() in str(error):
                raise BundleError(
                    f"the model was compiled for the Edge TPU, {self.info.name} cannot run it", advice="edgetpu"
                ) from error
            raise BundleError(f"{self.info.name} {version} refuses the model ({first_line(error)})") from error
        except BROKEN as error:
            raise self._broken(error) from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BundleError(f"expected a model with one input and one output, found {len(inputs)} and {len(outputs)}")
        self.input, self.output = _tensor(inputs[0]), _tensor(outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]

    def _open_elsewhere_first(self, model: bytes, module: str, *, compiled: bool) -> None:
        """Let a process of its own try what may crash this one; of a `compiled` model as far as the CPU gets."""
        try:
            open_elsewhere_first(model, module, self.info.name, self.info.version, self.info.threads)
        except RuntimeError as error:
            if not (compiled and EDGETPU_OP.decode() in str(error)):
                raise

    def invoke(self, batch: np.ndarray) -> np.ndarray:
        """See `Runtime.invoke`. Raises: ValueError, as the interpreter does, on another shape or type."""
        try:
            self._interpreter.set_tensor(self._input_index, batch)
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output_index)[0]
        except RuntimeError as error:
            raise BundleError(f"{self.info.name} {self.info.version} fails on the model ({first_line(error)})") from error
        except BROKEN as error:
            raise self._broken(error) from error
        if raw.dtype == np.float32:
            return np.asarray(raw)
        output = self.output.format
        return np.asarray((raw.astype(np.float32) - output.zero_point) * np.float32(output.scale))

    def _broken(self, error: BaseException) -> RuntimeUnavailable:
        """What to raise where the runtime itself fails, whatever the model."""
        remedy = RUNTIMES[self.info.name][2]
        return RuntimeUnavailable(
            f"the runtime {self.info.name} {self.info.version} does not work beside NumPy {np.__version__}"
            f" ({first_line(error.__cause__ or error)}); {remedy}"
        )

    def tensor_dtypes(self) -> dict[str, str]:
        """Every tensor's name and type: what `convert` reads to check that no float is left inside."""
        return {detail["name"]: np.dtype(detail["dtype"]).name for detail in self._interpreter.get_tensor_details()}


def _edgetpu(module: Any, model: bytes, *, allow_cpu: bool) -> list[Any]:
    """The Edge TPU's delegate, or none where it would not compute and the CPU may.

    A model that was not compiled for it loads with the delegate all the same, and then every operator runs on the CPU.
    """
    if EDGETPU_OP not in model:
        if allow_cpu:
            return []
        raise RuntimeUnavailable(
            "the model was not compiled for the Edge TPU: all of it would run on the CPU; compile it with edgetpu_compiler",
            advice="allow-cpu",
        )
    try:
        with quiet():
            return [module.load_delegate(EDGETPU_LIBRARY)]
    except (OSError, ValueError, RuntimeError) as error:  # the library is missing; no device; the device is in use
        reason = first_line(error) if str(error).strip() else "no Edge TPU answers"
        raise RuntimeUnavailable(
            f"the Edge TPU cannot be used ({reason}); plug it in, sudo apt install libedgetpu1-std,"
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
