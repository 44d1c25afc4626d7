"""What the tests of one field share: a rendered one, and a bundle whose cells can be found in it."""

from pathlib import Path

import numpy as np
import pytest

from leukolite.bundle import Bundle
from leukolite.manifest import Manifest
from leukolite.shipped import find_bundle
from leukolite.synthetic import SyntheticField, render_field


@pytest.fixture(scope="session")
def field() -> SyntheticField:
    return render_field(np.random.default_rng(5), width=800, height=640, white_cells=6)


@pytest.fixture(scope="session")
def demo() -> Manifest:
    return Bundle.load(find_bundle(Path("synthetic-cells"))).manifest
