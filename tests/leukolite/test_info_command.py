import pytest

from leukolite.cli import main as leukolite
from leukolite.shipped import find_bundle, shipped_bundles


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundle_is_described_with_its_figures(call, name):
    result = call(leukolite, "info", name)
    assert result.exit_code == 0, result.output
    assert all(word in result.stdout for word in (name, "sha256", "sigma 10", "Research use only"))


def test_the_description_of_a_bundle_says_where_it_comes_from(call, tiny_bundle):
    text = " ".join(call(leukolite, "info", tiny_bundle).stdout.split())
    assert "judges one cell an image" in text
    assert "blast*, healthy (* malignant)" in text
    assert "synthetic (train 28, validation 4, test 8), seed 0" in text
    assert "threshold 0.5, abstains never" in text


def test_a_folder_of_the_users_goes_before_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic-cells").mkdir()
    here = (tmp_path / "synthetic-cells").relative_to(tmp_path)
    assert find_bundle(here) == here
