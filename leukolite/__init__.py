"""leukolite puts classifiers of acute lymphoblastic leukaemia onto small machines. Research use only; never a diagnosis.

    import leukolite

    model = leukolite.load("mobilenet_m-taleqani")
    result = model("smear.jpg")
    print(result.label, result.probability, result.excluded)

What stands in `__all__` is the public surface; it is imported when it is first used.
"""

import importlib
import os

__version__ = "0.1.0"

# Python started in a checkout finds this folder before the installed package: let it find the sibling folders too
_CHECKOUT = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
if os.path.isfile(os.path.join(_CHECKOUT, "pyproject.toml")):  # noqa: PTH113, PTH118
    __path__.append(_CHECKOUT)

TYPE_CHECKING = False  # as type checkers know it; `typing` would take longer than all the rest, before Ctrl-C is provided for
if TYPE_CHECKING:
    from leukolite.bundle import Bundle
    from leukolite.classes import Classes
    from leukolite.classifier import Classifier, Verdict, open_classifier
    from leukolite.edge.events import RegionResult
    from leukolite.edge.field.exclusion import Exclusion, ExclusionKind
    from leukolite.edge.model import Model, Result, load
    from leukolite.errors import BundleError, ImageError, LeukoliteError, RuntimeUnavailable
    from leukolite.noise import add_gaussian_noise
    from leukolite.runtime import RuntimeInfo, RuntimeOptions
    from leukolite.shipped import shipped_bundles

_HOME = {
    "Bundle": "leukolite.bundle",
    "BundleError": "leukolite.errors",
    "Classes": "leukolite.classes",
    "Classifier": "leukolite.classifier",
    "Exclusion": "leukolite.edge.field.exclusion",
    "ExclusionKind": "leukolite.edge.field.exclusion",
    "ImageError": "leukolite.errors",
    "LeukoliteError": "leukolite.errors",
    "Model": "leukolite.edge.model",
    "RegionResult": "leukolite.edge.events",
    "Result": "leukolite.edge.model",
    "RuntimeInfo": "leukolite.runtime",
    "RuntimeOptions": "leukolite.runtime",
    "RuntimeUnavailable": "leukolite.errors",
    "Verdict": "leukolite.classifier",
    "add_gaussian_noise": "leukolite.noise",
    "load": "leukolite.edge.model",
    "open_classifier": "leukolite.classifier",
    "shipped_bundles": "leukolite.shipped",
}

__all__ = [
    "Bundle",
    "BundleError",
    "Classes",
    "Classifier",
    "Exclusion",
    "ExclusionKind",
    "ImageError",
    "LeukoliteError",
    "Model",
    "RegionResult",
    "Result",
    "RuntimeInfo",
    "RuntimeOptions",
    "RuntimeUnavailable",
    "Verdict",
    "__version__",
    "add_gaussian_noise",
    "load",
    "open_classifier",
    "shipped_bundles",
]


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for, so that `import leukolite` costs milliseconds."""
    if name not in _HOME:
        raise AttributeError(f"module 'leukolite' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
