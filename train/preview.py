"""A contact sheet of what a network will see: originals beside their variants."""

from typing import TYPE_CHECKING

import numpy as np

from leukolite.sheets import encode_png, sheet
from leukolite.train.balance import doubled
from leukolite.train.batches import EpochItem, variant
from leukolite.train.recipes import Recipe
from leukolite.train.splits import Split

if TYPE_CHECKING:
    from leukolite.train.fit import Prepared

VARIANTS, ORIGINALS_A_CLASS = 7, 3


def preview_sheet(prepared: "Prepared", recipe: Recipe, split: Split, seed: int) -> bytes:
    """One row an image of the training part: as it is, then as the first epochs show it. A PNG."""
    truth = np.array([sample.label for sample in prepared.dataset.samples])
    copies = set(doubled(truth, split.train)) if recipe.balance == "desaturate" else set()
    rng = np.random.default_rng(seed)
    blocks = []
    for k, label in enumerate(prepared.dataset.labels):
        members = [i for i in split.train if truth[i] == k]
        chosen = [EpochItem(members[i]) for i in rng.permutation(len(members))[:ORIGINALS_A_CLASS]]
        chosen += [EpochItem(one.index, is_copy=True) for one in chosen[:1] if one.index in copies]
        tiles = []
        for one in chosen:
            tiles.append(prepared.pixels[one.index])
            tiles += [variant(prepared.pixels, one, recipe.augmentation, seed=seed, epoch=epoch) for epoch in range(VARIANTS)]
        title = f"{label}: {len(members)} training images" + (", each again without colour" if members[0] in copies else "")
        blocks.append((title, tiles))
    return encode_png(sheet(blocks, columns=VARIANTS + 1, side=prepared.spec.height))
