"""Give a bundle that was made before the quality gates the ranges of its training pictures, without converting it again.

    python -m leukolite.convert.appearance edge/bundles/mobilenet_m-cnmc DATA/C-NMC_Leukemia

The pictures are those of the data folder that the manifest's `training.seen` names by their hashes: what fitted or chose the
model. Manifest and card are written anew; model, labels and golden outputs stay as they are.
"""

import sys
from pathlib import Path

from leukolite.appearance import LEAST_SAMPLE, appearance_of
from leukolite.bundle import Bundle, write_bundle
from leukolite.convert.card import model_card
from leukolite.errors import DatasetError, LeukoliteError
from leukolite.manifest import AppearanceRanges, Manifest
from leukolite.train.datasets import open_dataset

SEED = 0  # of the choice, where there are more than are looked at


def seen_appearance(manifest: Manifest, data: Path) -> AppearanceRanges:
    """The ranges of the pictures that a model was trained with.

    Raises:
        DatasetError: the data folder holds too few of them.
        ImageError: one cannot be read.
    """
    seen = set() if manifest.training is None else set(manifest.training.seen)
    files = [sample.path for sample in open_dataset(data).samples if sample.sha256[:12] in seen]
    found = appearance_of(files, manifest.input, SEED)
    if found is None:
        raise DatasetError(
            f"{data}: holds {len(files)} of the pictures that {manifest.name} was trained with, {LEAST_SAMPLE} are needed"
        )
    return found


def add_appearance(path: Path, data: Path) -> AppearanceRanges:
    """Write a bundle's folder again, whole or not at all, with its training pictures' ranges.

    Raises:
        LeukoliteError: `path` is no bundle's folder, cannot be written, or `data` is not what it was trained with.
    """
    bundle = Bundle.load(path)
    appearance = seen_appearance(bundle.manifest, data)
    manifest = bundle.manifest.model_copy(update={"appearance": appearance})
    write_bundle(path, manifest, bundle.model, bundle.golden, model_card(manifest, len(bundle.model)), bundle.compiled)
    return appearance


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{add_appearance(Path(sys.argv[1]), Path(sys.argv[2])).model_dump_json()}\n")
    except LeukoliteError as error:
        sys.exit(f"Error: {error}")
