"""The kinds of .tflite file that one trained network can become, and what the tensors of each may be."""

from dataclasses import dataclass

from leukolite.bundle import VariantName


@dataclass(frozen=True)
class Variant:
    """One kind of file.

    Attributes:
        ops: of `tf.lite.OpsSet`; the only operators that the converter may use.
        is_quantised: weights, or all, become smaller numbers; false leaves float32 as it is.
        is_calibrated: images set the ranges of the activations.
        io_dtype: of the input and output tensors.
        tensor_dtypes: what any tensor of the file may be.
        float_weights: 'float16' where the weights are that, and are widened when the file is loaded.
        is_trained: fine-tuned with simulated quantisation before it is converted.
    """

    name: VariantName
    says: str
    ops: str = "TFLITE_BUILTINS"
    is_quantised: bool = True
    is_calibrated: bool = False
    io_dtype: str = "float32"
    tensor_dtypes: frozenset[str] = frozenset({"float32", "int32", "bool"})
    float_weights: str | None = None
    is_trained: bool = False

    @property
    def is_integer(self) -> bool:
        """No float operator is allowed inside."""
        return "float32" not in self.tensor_dtypes


_INT8 = frozenset({"uint8", "int8", "int32"})

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("float32", "32-bit floats", is_quantised=False),
        Variant(
            "float16",
            "16-bit float weights, computed in 32-bit floats",
            tensor_dtypes=frozenset({"float32", "float16", "int32", "bool"}),
            float_weights="float16",
        ),
        Variant(
            "dynamic-range",
            "int8 weights, activations quantised as they come",
            tensor_dtypes=frozenset({"float32", "int8", "int32", "bool"}),
        ),
        Variant("int8", "full integer, int8", ops="TFLITE_BUILTINS_INT8", is_calibrated=True, io_dtype="uint8", tensor_dtypes=_INT8),
        Variant("int8-qat", "full integer, int8, fine-tuned for it", io_dtype="uint8", tensor_dtypes=_INT8, is_trained=True),
        Variant(
            "int16x8",
            "full integer, int16 activations and int8 weights",
            ops="EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
            is_calibrated=True,
            io_dtype="int16",
            tensor_dtypes=frozenset({"int16", "int8", "int32", "int64"}),
        ),
    )
}
AUTO_ORDER = ("int8", "int8-qat", "int16x8", "float16")
