"""An int8 model for an accelerator: checked against its rules, and compiled by its maker's own compiler.

The bundle keeps the model that runs anywhere; what was compiled lies beside it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukolite.bundle import Bundle, write_bundle
from leukolite.convert.card import model_card
from leukolite.convert.edgetpu import EDGETPU, compile_edgetpu
from leukolite.convert.ethosu import ETHOS_U, compile_ethosu
from leukolite.convert.variants import VARIANTS
from leukolite.errors import ConversionError
from leukolite.manifest import CompiledModel, Manifest

TARGETS = (EDGETPU, *ETHOS_U)


@dataclass(frozen=True)
class Compiled:
    """What a compiler made, and what there is to say about it.

    Attributes:
        content: the compiled .tflite file; None where the compiler is not at hand.
        notes: lines for the user.
    """

    record: CompiledModel
    content: bytes | None
    notes: tuple[str, ...] = ()


def compile_bundle(path: Path, targets: Sequence[str]) -> list[Compiled]:
    """Compile a bundle's model for each target and write the bundle again, with what was made.

    Args:
        path: the bundle's folder.
        targets: of `TARGETS`.

    Raises:
        BundleError: it is no bundle.
        ConversionError: the model is not int8, breaks a rule of the accelerator, or its compiler
            fails. The bundle stays as it is.
    """
    bundle = Bundle.load(path)
    manifest = bundle.manifest
    if not VARIANTS[manifest.variant].is_integer or manifest.variant == "int16x8":
        raise ConversionError(f"{path}: accelerators take int8 or int8-qat, found {manifest.variant}", advice="to-int8")
    made = [compile_edgetpu(bundle.model) if target == EDGETPU else compile_ethosu(bundle.model, target) for target in targets]
    results = []
    for target, (content, facts, notes) in zip(targets, made, strict=True):
        results.append(Compiled(_record(target, content, **facts), content, notes))
    contents = {result.record.target: result.content for result in results if result.content is not None}
    now = _with_tolerance(manifest.model_copy(update={"compiled": [result.record for result in results]}), contents)
    write_bundle(path, now, bundle.model, bundle.golden, model_card(now, len(bundle.model)), contents, force=True)
    return results


def _record(target: str, content: bytes | None, **facts: object) -> CompiledModel:
    return CompiledModel.model_validate(
        {
            "target": target,
            "file": None if content is None else f"model_{target}.tflite",
            "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
            **facts,
        }
    )


def _with_tolerance(manifest: Manifest, contents: dict[str, bytes]) -> Manifest:
    """The golden outputs may differ on the Edge TPU by as much as on the elder runtime, whose int8 kernels are not LiteRT's."""
    if EDGETPU not in contents:
        return manifest
    tolerance = manifest.golden.tolerance | {EDGETPU: VARIANTS[manifest.variant].tolerance["tflite-runtime"]}
    return manifest.model_copy(update={"golden": manifest.golden.model_copy(update={"tolerance": tolerance})})
