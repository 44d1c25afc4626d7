"""A SavedModel's folder as a function of a picture: of Keras 2, of Keras 3's `model.export`, or of any `tf.Module`.

It is a graph that TensorFlow runs, and a hostile graph reads and writes files. So what is loaded is checked to be arithmetic on
its input and its weights before any of it runs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from leukolite.convert.fold import FUNCTIONS
from leukolite.errors import ConversionError, first_line
from leukolite.quiet import quiet

PB = "saved_model.pb"
SIGNATURE = "serving_default"
# operators with an effect or a memory that a picture's network needs; every other such operator is refused
ALLOWED = {
    *("Placeholder", "VarHandleOp", "ReadVariableOp", "ResourceGather", "VarIsInitializedOp"),
    *("StatefulPartitionedCall", "PartitionedCall", "If", "While", "Case", "Assert"),
}
# effects of which TensorFlow's own table does not tell: files, processes, code by its name, and the end of this process
REFUSED = re.compile(
    r"Debug\w*|Copy|CopyHost|\w*Dataset\w*|EncodeProto|Abort|ImmutableConst|XlaCustomCall\w*|Mlir\w*|\w*PyFunc\w*|RemoteCall"
    r"|ReadFile|WriteFile|MatchingFiles|Restore\w*|Save\w*|MergeV2Checkpoints|PrintV2"
)
SHAPE_ONLY = {"Cast", "Identity", "Reshape", "Squeeze"}  # behind them they change no value
HALF = ("float16", "bfloat16")
EXPORT = "export it again with model.export('folder')"
ERRORS = (ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError, IndexError, ImportError, NotImplementedError)


def load_signature(path: Path) -> tuple[Callable[[Any], Any], Any, tuple[int | None, ...], str | None]:
    """The function that a SavedModel serves.

    Returns:
        The function of a batch of pictures, the `tf.TensorSpec` of its input, its output's shape, and the name of the function
        at its end, as 'softmax'; None where it is another.

    Raises:
        ConversionError: it is damaged, serves no function of one input and one output, or does more than arithmetic.
    """
    import tensorflow as tf

    _check_objects(path)
    try:
        with quiet():
            loaded = tf.saved_model.load(str(path))
    except (*ERRORS, tf.errors.OpError) as error:
        raise ConversionError(f"{path}: a SavedModel that cannot be loaded ({first_line(error, 150)}); {EXPORT}") from error
    served = dict(loaded.signatures)
    name = SIGNATURE if SIGNATURE in served else next(iter(served), "")
    if not name or (name != SIGNATURE and len(served) > 1):
        found = ", ".join(sorted(served)) or "none"
        raise ConversionError(f"{path}: expected the signature {SIGNATURE}, found {found}; {EXPORT}")
    function = served[name]
    entry, answer = function.structured_input_signature[1], function.structured_outputs
    if len(entry) != 1 or len(answer) != 1:
        raise ConversionError(f"{path}: expected one input and one output, found {len(entry)} and {len(answer)}")
    definition = function.graph.as_graph_def()
    _check_graph(path, definition)
    (argument, spec), (output, result) = next(iter(entry.items())), next(iter(answer.items()))
    batch = spec.shape[0] if spec.shape.rank else None
    if batch not in (None, 1):
        raise ConversionError(f"{path}: its batch is fixed to {batch}; leave it open (None), and {EXPORT}")

    def serve(images: Any) -> Any:
        if batch == 1 and images.shape[0] != 1:
            one = lambda image: function(**{argument: image[tf.newaxis]})[output][0]  # noqa: E731
            return tf.map_fn(one, images, fn_output_signature=result.dtype)
        return function(**{argument: images})[output]

    serve.keeps = loaded  # type: ignore[attr-defined]  # its variables live as long as it does
    shape = tuple(result.shape.as_list()) if result.shape.rank is not None else ()
    return serve, spec, shape, _last_function(definition, function.graph.outputs[0].name)


def _check_objects(path: Path) -> None:
    """Refuse what runs while it is loaded: tables, assets, and graphs of TensorFlow 1."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    try:
        content.ParseFromString((path / PB).read_bytes())
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{path}: {PB} is damaged ({first_line(error, 150)}); {EXPORT}") from error
    # of several graphs TensorFlow takes none as its own: it loads them as those of TensorFlow 1, and runs their first operators
    if len(content.meta_graphs) != 1 or not content.meta_graphs[0].HasField("object_graph_def"):
        raise ConversionError(f"{path}: a SavedModel of TensorFlow 1, or damaged; load it in TensorFlow 2 and {EXPORT}")
    for node in content.meta_graphs[0].object_graph_def.nodes:
        if node.WhichOneof("kind") in ("resource", "asset"):
            raise ConversionError(
                f"{path}: holds a table or a file besides its weights, which a network for pictures does not need; leave it out"
                f" and {EXPORT}"
            )


def _check_graph(path: Path, definition: Any) -> None:
    from tensorflow.python.framework import op_def_registry

    functions, half = {one.signature.name for one in definition.library.function}, _enums(HALF)
    for operator, node in _operators(definition):
        known = op_def_registry.get(operator)
        has_effect = known is None or known.is_stateful or _takes_text(known) or REFUSED.fullmatch(operator) is not None
        if operator not in ALLOWED and has_effect and operator not in functions:
            raise ConversionError(
                f"{path}: it holds {operator}, which is no arithmetic on a picture and is not run; leave it out and {EXPORT}"
            )
        if _types(node) & half:
            raise ConversionError(
                f"{path}: it computes in 16-bit floats; build it with the dtype policy float32, load its weights, and {EXPORT}"
            )


def _takes_text(operator: Any) -> bool:
    """True of an operator that reads text: of a picture's network nothing is text, of a file operator its name is."""
    from tensorflow.core.framework import types_pb2

    return any(argument.type == types_pb2.DT_STRING for argument in operator.input_arg)


def _last_function(definition: Any, name: str) -> str | None:
    """The function that gives a graph's output of that name, through the functions that it calls; None for any other."""
    called = {function.signature.name: function for function in definition.library.function}
    nodes = {node.name: node for node in definition.node}
    while node := nodes.get(name.partition(":")[0]):
        function = called.get(node.attr["f"].func.name or node.op)
        if function is not None:
            number = name.rpartition(":")[2]
            result = function.signature.output_arg[int(number) if number.isdecimal() else 0]  # 0 is not written
            nodes, name = {inner.name: inner for inner in function.node_def}, function.ret[result.name]
        elif node.op in SHAPE_ONLY:
            name = node.input[0]
        else:
            return FUNCTIONS.get(node.op)
    return None


def _operators(definition: Any) -> Iterator[tuple[str, Any]]:
    for nodes in (definition.node, *(function.node_def for function in definition.library.function)):
        for node in nodes:
            yield node.op, node


def _types(node: Any) -> set[int]:
    return {attribute.type for attribute in node.attr.values() if attribute.WhichOneof("value") == "type"}


def _enums(names: tuple[str, ...]) -> set[int]:
    import tensorflow as tf

    return {tf.as_dtype(name).as_datatype_enum for name in names}
