"""A real consumer: MediaPipe Tasks' ImageClassifier judges images with an exported model. Runs where mediapipe is installed.

    python mediapipe_scores.py MODEL.tflite IMAGES.npz SCORES.json

IMAGES holds arrays named 0, 1, ... (uint8 RGB, any size); SCORES is a list of {label: score} in their order.
"""

import json
import sys
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision


def main(model: str, images: str, scores: str) -> None:
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    answers = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        arrays = np.load(images)
        for i in range(len(arrays)):
            result = classifier.classify(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(arrays[str(i)])))
            answers.append({one.category_name: one.score for one in result.classifications[0].categories})
    Path(scores).write_text(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
