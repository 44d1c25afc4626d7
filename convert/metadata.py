"""TFLite Model Metadata: what a .tflite file says of itself, so that MediaPipe Tasks and ML Model Binding can read it.

The metadata is a flatbuffer of its own (TensorFlow's `metadata_schema.fbs`, identifier M001) in one of the model's
buffers; the labels follow the model as a zip archive. The packages that write it need mediapipe or an old protobuf; it
is three tables for an image classifier, so they are written here with `flatbuffers`, their slots named as in the schema.
"""

import struct
from typing import Any

import numpy as np

from leukolite import __version__
from leukolite.bundle import LABELS
from leukolite.convert.archive import append_files
from leukolite.errors import ConversionError
from leukolite.manifest import Manifest
from leukolite.preprocess import CROPS, InputSpec
from leukolite.wording import RESEARCH_USE

FIELD, MODEL_IDENTIFIER, METADATA_IDENTIFIER = "TFLITE_METADATA", b"TFL3", b"M001"
ALIGNMENT = 16  # schema.fbs: weights begin at multiples of it; the Python builder forgets
OLDEST_READER = "1.0.0"  # version of the schema that first had every table used here
READABLE_DTYPES = ("uint8", "float32")  # of input and output: what MediaPipe's ImageClassifier takes

# numbers from metadata_schema.fbs
_RGB, _TENSOR_AXIS_LABELS, _FEATURE_PROPERTIES, _IMAGE_PROPERTIES, _NORMALIZATION_OPTIONS = 1, 2, 1, 2, 1


def with_metadata(model: bytes, manifest: Manifest) -> bytes:
    """The model with its metadata and labels inside; the network is the same.

    Args:
        model: a .tflite file; metadata that it already has is replaced.
        manifest: of the model; its input and output tensors must be uint8 or float32.

    Raises:
        ConversionError: the tensors are of another type, or the file is no TFLite model.
    """
    for name, tensor in (("input", manifest.input_tensor), ("output", manifest.output_tensor)):
        if tensor.dtype not in READABLE_DTYPES:
            raise ConversionError(
                f"the model's {name} is {tensor.dtype}, expected {' or '.join(READABLE_DTYPES)} (MediaPipe reads no other);"
                " export the run's int8 or float variant"
            )
    packed = _with_buffer(model, _model_metadata(manifest))
    return append_files(packed, {LABELS: "".join(f"{label}\n" for label in manifest.labels).encode()})


def _with_buffer(model: bytes, metadata: bytes) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    class AlignedBuilder(flatbuffers.Builder):
        def StartVector(self, size: int, count: int, alignment: int) -> Any:  # noqa: N802
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    if model[4:8] != MODEL_IDENTIFIER:
        raise ConversionError(f"the model is no TFLite file (identifier {model[4:8]!r}, expected {MODEL_IDENTIFIER!r})")
    try:
        tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
        tree.metadata = [entry for entry in tree.metadata or [] if bytes(entry.name) != FIELD.encode()]
        entry = schema.MetadataT(name=FIELD, buffer=len(tree.buffers))
        tree.buffers.append(schema.BufferT(data=np.frombuffer(metadata, np.uint8)))
        tree.metadata.append(entry)
        builder = AlignedBuilder(len(model) + len(metadata) + 65536)
        builder.Finish(tree.Pack(builder), MODEL_IDENTIFIER)
    except (struct.error, IndexError, TypeError, ValueError, AttributeError) as error:  # what damage leads to
        raise ConversionError(f"the TFLite file is damaged ({type(error).__name__}: {error})") from error
    return bytes(builder.Output())


def _model_metadata(manifest: Manifest) -> bytes:
    """The flatbuffer of `ModelMetadata`, one subgraph with one input image and one output of probabilities."""
    import flatbuffers

    spec = manifest.input
    is_float = manifest.input_tensor.dtype == "float32"
    low, high = sorted((spec.offset, 255 * spec.scale + spec.offset)) if is_float else (0.0, 255.0)
    tables = _Tables(flatbuffers.Builder(1024))
    labels = tables.table(  # AssociatedFile
        {0: LABELS, 1: "The classes in the order of the output.", 2: _Byte(_TENSOR_AXIS_LABELS)}
    )
    normalization = tables.table({0: tables.floats(0.0 - spec.offset / spec.scale), 1: tables.floats(1 / spec.scale)})
    image = tables.table(  # TensorMetadata
        {
            0: "image",
            1: f"{spec.width}x{spec.height} RGB: {_seen(spec)}, resized",
            3: tables.table(  # Content
                {0: _Byte(_IMAGE_PROPERTIES), 1: tables.table({0: _Byte(_RGB)})}
            ),
            4: tables.tables(tables.table({0: _Byte(_NORMALIZATION_OPTIONS), 1: normalization})),
            5: tables.table({0: tables.floats(high), 1: tables.floats(low)}),  # Stats
        }
    )
    probability = tables.table(  # TensorMetadata
        {
            0: "probability",
            1: "Probability of each class, before the manifest's temperature.",
            3: tables.table({0: _Byte(_FEATURE_PROPERTIES), 1: tables.table({})}),
            5: tables.table({0: tables.floats(1.0), 1: tables.floats(0.0)}),
            6: tables.tables(labels),
        }
    )
    subgraph = tables.table({0: "classifier", 2: tables.tables(image), 3: tables.tables(probability)})
    root = tables.table(  # ModelMetadata
        {
            0: manifest.name,
            1: f"Classifies one {manifest.unit} per image: {', '.join(manifest.labels)}. {RESEARCH_USE}",
            2: f"bundle schema {manifest.schema_version}",
            3: tables.tables(subgraph),
            4: f"leukolite {__version__}",
            7: OLDEST_READER,
        }
    )
    tables.builder.Finish(root, METADATA_IDENTIFIER)
    return bytes(tables.builder.Output())


def _seen(spec: InputSpec) -> str:
    """What of a picture goes in; MediaPipe has no field for it and stretches what it is given."""
    if spec.crop == "centre-square":
        return f"a centre-square crop of {spec.crop_fraction:g} of the shorter side"
    return CROPS[spec.crop]


class _Byte(int):
    """An enumeration's value: one byte inside its table."""


class _Tables:
    """Flatbuffer tables from {slot: value}: a string, an enumeration's byte, or the offset of what was made before."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def floats(self, *values: float) -> int:
        return int(self.builder.CreateNumpyVector(np.array(values, np.float32)))

    def tables(self, *offsets: int) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def table(self, slots: dict[int, str | int]) -> int:
        made = {slot: self.builder.CreateString(value) if isinstance(value, str) else value for slot, value in slots.items()}
        self.builder.StartObject(max(made, default=-1) + 1)
        for slot, value in made.items():
            if isinstance(value, _Byte):
                self.builder.PrependInt8Slot(slot, int(value), 0)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self.builder.EndObject())
