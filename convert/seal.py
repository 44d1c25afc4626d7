"""Golden verdicts, card and `SHA256SUMS` for a bundle's folder that is as it should be.

    python -m leukolite.convert.seal edge/bundles/mobilenet_m-cnmc

for a bundle that was made before bundles had them, or whose manifest or card was changed on purpose. Manifest, model, labels and
golden outputs stay as they are, byte by byte: what they say is taken on trust, so compare them with where they came from first.
"""

import sys
from pathlib import Path

from leukolite.bundle import CARD, GOLDEN, LABELS, MANIFEST, MODEL, Bundle, bundle_files
from leukolite.convert.card import model_card
from leukolite.errors import LeukoliteError
from leukolite.files import write_file
from leukolite.golden_verdicts import VERDICTS
from leukolite.sums import SUMS, hash_of, sums_of, sums_text

_KEPT = (MODEL, MANIFEST, LABELS, GOLDEN)


def seal(path: Path) -> str:
    """Write the files that follow from the others.

    Args:
        path: the bundle's folder.

    Returns:
        The bundle's new hash.

    Raises:
        LeukoliteError: it is no bundle, or cannot be written.
    """
    if not path.is_dir():
        raise LeukoliteError(f"{path}: expected a bundle's folder; unpack a zip first")
    bundle = Bundle.load_trusted(path)
    card = model_card(bundle.manifest, len(bundle.model))
    made = bundle_files(bundle.manifest, bundle.model, bundle.golden, card, bundle.compiled)
    compiled = [one.file for one in bundle.manifest.compiled if one.file is not None]
    files = {name: (path / name).read_bytes() for name in (*_KEPT, *compiled)} | {name: made[name] for name in (VERDICTS, CARD)}
    sums = sums_of(files)
    for name, content in ((VERDICTS, files[VERDICTS]), (CARD, files[CARD]), (SUMS, sums_text(sums).encode())):
        write_file(path / name, content, force=True)
    return hash_of(sums)


if __name__ == "__main__":
    try:
        for name in sys.argv[1:]:
            sys.stdout.write(f"{seal(Path(name))}  {name}\n")
    except LeukoliteError as error:
        sys.exit(f"Error: {error}")
