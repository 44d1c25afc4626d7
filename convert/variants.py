"""The kinds of .tflite file that one trained network can become, and what the tensors of each may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.manifest import VariantName


@dataclass(frozen=True)
class Variant:
    """One kind of file.

    Attributes:
        says: what it is, in a few words.
        weights_dtype: of the weights.
        tensor_dtypes: what any tensor of the file may be.
        tolerance: runtime -> how far its probabilities may lie from the reference's (LiteRT on the converting machine).
        ops: of `tf.lite.OpsSet`; the only operators that the converter may use.
        is_quantised: weights, or all, become smaller numbers; false leaves float32 as it is.
        is_calibrated: images set the ranges of the activations.
        io_dtype: of the input and output tensors.
        float_weights: 'float16' where the weights are that, and are widened when the file is loaded.
        is_trained: fine-tuned with simulated quantisation before it is converted.
    """

    name: VariantName
    says: str
    weights_dtype: str
    tensor_dtypes: frozenset[str]
    tolerance: dict[str, float]
    ops: str = "TFLITE_BUILTINS"
    is_quantised: bool = True
    is_calibrated: bool = False
    io_dtype: str = "float32"
    float_weights: str | None = None
    is_trained: bool = False

    @property
    def is_integer(self) -> bool:
        """No float operator is allowed inside."""
        return "float32" not in self.tensor_dtypes


_FLOAT = {"litert": 0.01, "tflite-runtime": 0.01}  # seen: 1e-5; kernels of half precision on Arm differ more
_INTEGER = {"litert": 0.02, "tflite-runtime": 0.08}  # seen: 1/256 between processors, 0.05 between the two runtimes
_INT8 = frozenset({"uint8", "int8", "int32"})

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("float32", "32-bit floats", "float32", frozenset({"float32", "int32", "bool"}), _FLOAT, is_quantised=False),
        Variant(
            "float16",
            "16-bit float weights, computed in 32-bit floats",
            "float16",
            frozenset({"float32", "float16", "int32", "bool"}),
            _FLOAT,
            float_weights="float16",
        ),
        Variant(
            "dynamic-range",
            "int8 weights, activations quantised as they come",
            "int8",
            frozenset({"float32", "int8", "int32", "bool"}),
            _INTEGER,
        ),
        Variant(
            "int8",
            "full integer, int8",
            "int8",
            _INT8,
            _INTEGER,
            ops="TFLITE_BUILTINS_INT8",
            is_calibrated=True,
            io_dtype="uint8",
        ),
        Variant("int8-qat", "full integer, int8, fine-tuned for it", "int8", _INT8, _INTEGER, io_dtype="uint8", is_trained=True),
        Variant(
            "int16x8",
            "full integer, int16 activations and int8 weights",
            "int8",
            frozenset({"int16", "int8", "int32", "int64"}),
            _INTEGER,
            ops="EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
            is_calibrated=True,
            io_dtype="int16",
        ),
    )
}
AUTO_ORDER = ("int8", "int8-qat", "int16x8", "float16")


def bundle_places(out: Path, variants: Sequence[str], *, auto: bool) -> dict[str, Path]:
    """Folder of each variant's bundle: `out` itself, of several a folder each in it; with `auto` one is made of all."""
    is_one = auto or len(variants) == 1
    return {variant: out if is_one else out / variant for variant in variants}
