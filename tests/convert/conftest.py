"""Every conversion in this folder is TensorFlow's."""

from importlib.util import find_spec

import pytest


@pytest.fixture(scope="session", autouse=True)
def tensorflow() -> None:
    if find_spec("tensorflow") is None:
        pytest.skip("conversion needs TensorFlow; pip install 'leukolite[convert]'")
    from leukolite.train.backend import import_keras

    import_keras("the tests")
