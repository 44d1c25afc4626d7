"""What is inside a .tflite file: its operators and the types of their tensors, read from the flatbuffer itself."""

import struct
from dataclasses import dataclass
from typing import Any

from leukolite.errors import ConversionError


@dataclass(frozen=True)
class Operator:
    """One operator of the graph, in the order of execution.

    Attributes:
        name: as in TFLite's schema, 'CONV_2D'; of a custom operator its own name.
        version: of the operator; a runtime that knows a lesser one refuses the file.
        inputs: the types of the tensors that it reads, 'int8'; of those that it writes in `outputs`.
        weights_channels: output channels of a convolution; 0 of other operators.
        weights_scales: how many quantisation scales a convolution's weights have; 0 where they are floats.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights_channels: int = 0
    weights_scales: int = 0

    @property
    def is_float(self) -> bool:
        """It reads or writes floats."""
        return any(dtype.startswith("float") for dtype in (*self.inputs, *self.outputs))


@dataclass(frozen=True)
class End:
    """An input or output of the model; for integers, real value = (integer - zero_point) * scale.

    Attributes:
        shape: -1 where the file leaves a length open.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Graph:
    """All subgraphs of a file; the ends are those of the first, the model's own.

    Attributes:
        tensor_dtypes: tensor name -> type; shared names of two subgraphs do not occur in converted files.
    """

    operators: tuple[Operator, ...]
    tensor_dtypes: dict[str, str]
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]


def read_graph(content: bytes) -> Graph:
    """Read a .tflite file.

    Raises:
        ConversionError: the bytes are no TFLite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    if content[4:8] != b"TFL3":
        raise ConversionError("the file is no TFLite model (its identifier is not TFL3)")
    type_names = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    operator_names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    operators: list[Operator] = []
    dtypes: dict[str, str] = {}
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        for subgraph in model.subgraphs:
            kinds = [type_names[tensor.type] for tensor in subgraph.tensors]
            dtypes.update((_name(tensor), kind) for tensor, kind in zip(subgraph.tensors, kinds, strict=True))
            for operator in [] if subgraph.operators is None else subgraph.operators:
                code = model.operatorCodes[operator.opcodeIndex]
                number = max(code.builtinCode, code.deprecatedBuiltinCode)  # files of before 2020 fill the latter alone
                name = code.customCode.decode() if code.customCode else operator_names[number]
                reads, writes = ([kinds[i] for i in ends if i >= 0] for ends in (operator.inputs, operator.outputs))
                channels, scales = _weights(name, subgraph.tensors, operator.inputs)
                operators.append(Operator(name, code.version, tuple(reads), tuple(writes), channels, scales))
        first = model.subgraphs[0]
        inputs, outputs = (tuple(_end(first.tensors[i], type_names) for i in ends) for ends in (first.inputs, first.outputs))
    except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:  # what damage leads to
        raise ConversionError(f"the TFLite file is damaged ({type(error).__name__}: {error})") from error
    return Graph(tuple(operators), dtypes, inputs, outputs)


def _name(tensor: Any) -> str:
    return (tensor.name or b"").decode()


def _weights(name: str, tensors: list[Any], inputs: Any) -> tuple[int, int]:
    """Output channels and scales of a convolution's weights."""
    if name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0, 0
    weights = tensors[inputs[1]]
    quantisation = weights.quantization
    scales = 0 if quantisation is None or quantisation.scale is None else len(quantisation.scale)
    return int(weights.shape[0 if name == "CONV_2D" else 3]), scales


def _end(tensor: Any, type_names: dict[int, str]) -> End:
    quantisation = tensor.quantization
    is_quantised = quantisation is not None and quantisation.scale is not None
    return End(
        name=_name(tensor),
        shape=tuple(int(length) for length in (tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature)),
        dtype=type_names[tensor.type],
        scale=float(quantisation.scale[0]) if is_quantised else 1.0,
        zero_point=int(quantisation.zeroPoint[0]) if is_quantised else 0,
    )
