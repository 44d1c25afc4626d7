"""The shared language of leukolite: bundles, preprocessing, noise, metrics, verdicts and synthetic smears.

Nothing here needs TensorFlow, Keras or a camera. Research use only; never a diagnosis.
"""

from pathlib import Path

__version__ = "0.1.0"

# Python started in a checkout finds this folder before the installed package: let it find the sibling folders too
if (Path(__file__).parent.parent / "pyproject.toml").is_file():
    __path__.append(str(Path(__file__).parent.parent))
