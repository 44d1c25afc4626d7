"""What is inside a .tflite file: its operators and the types of their tensors, read from the flatbuffer itself."""

import struct
from dataclasses import dataclass

from leukolite.errors import ConversionError


@dataclass(frozen=True)
class Operator:
    """One operator of the graph, in the order of execution.

    Attributes:
        name: as in TFLite's schema, 'CONV_2D'; of a custom operator its own name.
        inputs: the types of the tensors that it reads, 'int8'; of those that it writes in `outputs`.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def is_float(self) -> bool:
        """It reads or writes floats."""
        return any(dtype.startswith("float") for dtype in (*self.inputs, *self.outputs))


@dataclass(frozen=True)
class Graph:
    """All subgraphs of a file.

    Attributes:
        tensor_dtypes: tensor name -> type; shared names of two subgraphs do not occur in converted files.
        per_channel: names of the weights with a scale a channel.
    """

    operators: tuple[Operator, ...]
    tensor_dtypes: dict[str, str]
    per_channel: frozenset[str]


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
    per_channel: set[str] = set()
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        for subgraph in model.subgraphs:
            kinds = [type_names[tensor.type] for tensor in subgraph.tensors]
            names = [bytes(tensor.name or b"").decode() for tensor in subgraph.tensors]
            dtypes.update(zip(names, kinds, strict=True))
            for name, tensor in zip(names, subgraph.tensors, strict=True):
                if tensor.quantization is not None and tensor.quantization.scale is not None and len(tensor.quantization.scale) > 1:
                    per_channel.add(name)
            for operator in subgraph.operators or []:
                code = model.operatorCodes[operator.opcodeIndex]
                number = max(code.builtinCode, code.deprecatedBuiltinCode)  # files of before 2020 fill the latter alone
                name = bytes(code.customCode).decode() if code.customCode else operator_names[number]
                reads, writes = ([kinds[i] for i in ends if i >= 0] for ends in (operator.inputs, operator.outputs))
                operators.append(Operator(name, code.version, tuple(reads), tuple(writes)))
    except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:  # what damage leads to
        raise ConversionError(f"the TFLite file is damaged ({type(error).__name__}: {error})") from error
    return Graph(tuple(operators), dtypes, frozenset(per_channel))
