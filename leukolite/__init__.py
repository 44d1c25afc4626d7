"""The shared language of leukolite: bundles, preprocessing, noise, metrics, verdicts and synthetic smears.

Nothing here needs TensorFlow, Keras or a camera. Research use only; never a diagnosis.
"""

__version__ = "0.1.0"
