"""Under which terms the images and weights behind a model were had, and what may be done with it; as far as that is known.

`NOTICE` at the top of the repository says the same of the shipped models at more length.
"""

from leukolite.convert.provenance import is_external
from leukolite.manifest import Training
from leukolite.train.runs import MODEL as OF_A_RUN

RECOVERED = "mobilenet_1_0_224_imagenet_notop.weights.h5"  # what the shipped models started from

DATA_TERMS = {
    "taleqani": (
        "Images: Aria et al. 2021, Kaggle mehradaria/leukemia. Their licence is what that page states; it is not recorded here,"
        " so read it before you use the model beyond research."
    ),
    "c-nmc": (
        "Images: C-NMC 2019, The Cancer Imaging Archive, doi 10.7937/tcia.2019.dc64i46r, under CC BY 3.0: name the authors"
        " (Mourya, Gupta and Gupta) and the changes, here the training of a network."
    ),
    "all-idb2": (
        "Images: ALL-IDB2, Donida Labati, Piuri and Scotti 2011, given on request by the University of Milan for research. Their"
        " terms are those that come with the set; they are not recorded here, so ask its authors before you use the model beyond"
        " research."
    ),
    "synthetic": "Images: rendered by leukolite; nobody else has a right to them.",
    "folders": "Images: its maker's own; who made the model knows their terms.",
}
_IMAGENET = (
    "Starting weights: MobileNet v1 of ImageNet, recovered from an embedding extractor that Google published under Apache-2.0."
    " ImageNet gives its images for non-commercial research and education; whether that binds a network is not settled."
)
_OWN = (
    f"Starting weights: `{OF_A_RUN}`, as every training by leukolite calls its network. Those of a model that leukolite ships are"
    " of an earlier training of its own on the same images; of another model, who trained it knows their terms."
)
_EXTERNAL = "Network: trained elsewhere; its maker's terms hold, and are not known to leukolite."
_PERMITTED = {
    "synthetic": "leukolite gives this model under Apache-2.0: use, change and pass it on.",
    "c-nmc": "leukolite gives this model under Apache-2.0: use, change and pass it on, with the attribution above.",
}
_UNSETTLED = (
    "leukolite itself claims nothing beyond Apache-2.0 in this model. Whether its images' terms reach it is not settled: use it"
    " for research, and pass it on with this card."
)


def terms(training: Training | None) -> list[str]:
    """The lines of a card's section."""
    dataset = "folders" if training is None else training.dataset
    lines = [DATA_TERMS[dataset]]
    external = training is not None and is_external(training.recipe)
    if external:
        lines.append(_EXTERNAL)
    elif training is not None:
        lines += _weights(str(training.recipe.get("weights")))
    lines.append(_UNSETTLED if external else _PERMITTED.get(dataset, _UNSETTLED))
    return [*lines, "No terms make it a medical device: it is not one, and no authority has seen it."]


def _weights(name: str) -> list[str]:
    if name == "none":
        return []
    if name == OF_A_RUN:
        return [_OWN]
    return [_IMAGENET if name == RECOVERED else f"Starting weights: `{name}`; who gave them knows their terms."]
