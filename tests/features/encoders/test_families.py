"""What becomes of each family of transformers is what docs/encoders.md says: a dozen, or all (make test-families)."""

import importlib.util

import pytest
import transformers

from tests.features.encoders.families import PAGE, row_of, rows_on_page
from tests.features.encoders.tiny_models import pixel_families

QUICK = {
    "clip", "siglip", "siglip2", "dinov2", "vit", "videomae", "timesformer", "vivit", "vjepa2", "xclip",
    "videoprism_vision_model", "qwen2_vl",
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Small random models of every family take a quarter of an hour."""
    if "family" in metafunc.fixturenames:
        wanted = pixel_families() if metafunc.config.getoption("--all-families") else QUICK
        metafunc.parametrize("family", sorted(wanted))


@pytest.mark.filterwarnings("ignore")
def test_the_page_says_what_becomes_of_a_family(family: str) -> None:
    row = rows_on_page()[family]
    if "needs the package timm" in row and importlib.util.find_spec("timm"):
        pytest.skip("the page was written without timm")
    assert row_of(family) == row


@pytest.mark.slow
def test_the_page_names_every_family_and_the_version() -> None:
    assert set(rows_on_page()) == set(pixel_families())
    assert f"With transformers {transformers.__version__}" in PAGE.read_text("utf-8")
