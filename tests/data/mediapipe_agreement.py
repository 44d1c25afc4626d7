"""Do MediaPipe Tasks and leukolite say the same of the same images? Measured on every shipped bundle and real images.

    python tests/data/mediapipe_agreement.py DATA --python .venv-android/bin/python [--every 20] [--json FILE]

DATA holds taleqani, ALL_IDB2, C-NMC_Leukemia and BCCD; `make environments` makes the interpreter. A bundle is exported, and
MediaPipe's ImageClassifier judges each image twice: as `leukolite.preprocess` makes it, where the probabilities must be
those of leukolite's runtime and the manifest's decision must give the verdict of leukolite's judge; and as it is in its
file, which MediaPipe stretches and resizes in its own way.
"""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from leukolite.bundle import Bundle
from leukolite.classifier import open_classifier
from leukolite.convert.android import ASSETS, export_android
from leukolite.decision import calibrate, decide
from leukolite.image_files import list_images
from leukolite.images import read_rgb
from leukolite.preprocess import crop_and_resize, to_input
from leukolite.shipped import find_bundle, shipped_bundles

# a bundle's dataset -> the folder with images of it; rendered cells have none: real pixels all the same, not what it judges
FOLDERS = {"taleqani": "taleqani", "all-idb2": "ALL_IDB2", "c-nmc": "C-NMC_Leukemia", "synthetic": "BCCD"}
CHUNK = 200  # images that are held at once
SCORES = Path(__file__).parent / "mediapipe_scores.py"


@dataclass(frozen=True)
class Agreement:
    """Of MediaPipe with leukolite; `as_is`: on the files' own pixels, without leukolite's crop and resize.

    `same_top`: MediaPipe lists the label of leukolite's greatest probability first. `ties`: images with two such labels, of
    which leukolite takes the first and MediaPipe may list either.
    """

    bundle: str
    n: int
    same_top: int
    ties: int
    same_verdict: int
    max_difference: float
    as_is_same_verdict: int
    as_is_max_difference: float


def measure(name: str, images: Sequence[Path], python: str) -> Agreement:
    """Judge the images both ways; differences are of a probability before any temperature."""
    source = Bundle.load(find_bundle(Path(name)))
    classifier = open_classifier(source)
    manifest = source.manifest
    malignant = [manifest.labels.index(label) for label in manifest.malignant]
    ours, verdicts, theirs, tops, as_is = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        export_android(source, Path(folder) / "export")
        model = Path(folder) / "export" / ASSETS / "model.tflite"
        for start in range(0, len(images), CHUNK):
            captures = [read_rgb(path) for path in images[start : start + CHUNK]]
            ours += [classifier.runtime.invoke(to_input(capture, manifest.input, classifier.table)) for capture in captures]
            verdicts += [classifier(capture).index for capture in captures]
            resized = [crop_and_resize(capture, manifest.input) for capture in captures]
            answers = mediapipe_answers(model, [*resized, *captures], python)
            scores = [np.array([answer[label] for label in manifest.labels], np.float32) for answer in answers]
            theirs += scores[: len(captures)]
            as_is += scores[len(captures) :]
            tops += [manifest.labels.index(next(iter(answer))) for answer in answers[: len(captures)]]

    def decided(rows: list[np.ndarray]) -> list[int | None]:
        return [decide(calibrate(row, manifest.decision.temperature), manifest.decision, malignant) for row in rows]

    def count_same(one: Sequence[int | None], other: Sequence[int | None]) -> int:
        return sum(a == b for a, b in zip(one, other, strict=True))

    return Agreement(
        bundle=name,
        n=len(images),
        same_top=count_same([int(row.argmax()) for row in ours], tops),
        ties=sum(int((row == row.max()).sum() > 1) for row in ours),
        same_verdict=count_same(verdicts, decided(theirs)),
        max_difference=float(np.abs(np.array(ours) - np.array(theirs)).max()),
        as_is_same_verdict=count_same(verdicts, decided(as_is)),
        as_is_max_difference=float(np.abs(np.array(ours) - np.array(as_is)).max()),
    )


def mediapipe_answers(model: Path, images: Sequence[np.ndarray], python: str) -> list[dict[str, float]]:
    """What MediaPipe's ImageClassifier says of each image: label -> score, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        arrays, scores = Path(folder) / "images.npz", Path(folder) / "scores.json"
        np.savez(arrays, **{str(i): image for i, image in enumerate(images)})
        command = [python, str(SCORES), str(model), str(arrays), str(scores)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}: {result.stderr[-2000:]}")
        answers: list[dict[str, float]] = json.loads(scores.read_text())
    return answers


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--python", required=True, envvar="LEUKOLITE_ANDROID_PYTHON", help="An interpreter with mediapipe.")
@click.option("--every", default=1, show_default=True, help="Only every n-th image.")
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(data: Path, python: str, every: int, json_path: Path | None) -> None:
    """Print one row for each shipped bundle."""
    rows = []
    click.echo("| bundle | n | same top | ties | same verdict | max difference | as is: same verdict | max difference |")
    click.echo("|---|---|---|---|---|---|---|---|")
    for name in shipped_bundles():
        training = Bundle.load(find_bundle(Path(name))).manifest.training
        folder = data / FOLDERS[training.dataset if training else "synthetic"]
        images = list_images(folder).images[::every]
        row = measure(name, images, python)
        rows.append(asdict(row))
        shown = [row.bundle, row.n, row.same_top, row.ties, row.same_verdict, f"{row.max_difference:.6f}"]
        click.echo("| " + " | ".join(map(str, [*shown, row.as_is_same_verdict, f"{row.as_is_max_difference:.3f}"])) + " |")
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
