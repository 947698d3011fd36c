"""What is generated is current, and the picture draws every stage."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from infra.docs.generated import FILES, REPOSITORY
from videobert.stages import stage_names


@pytest.mark.parametrize(("path", "render"), FILES.items(), ids=list(FILES))
def test_it_is_current(path: str, render: Callable[[], str]) -> None:
    assert (REPOSITORY / path).read_text() == render(), f"{path} is old; run python -m infra.docs"


def test_the_picture_draws_every_stage_and_nothing_from_outside() -> None:
    picture = ET.fromstring((REPOSITORY / "docs/images/flow.svg").read_text())
    assert set(stage_names()) <= {"".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert not [name for element in picture.iter() for name in element.attrib if name.endswith("href")]
