"""The whole hostile corpus, class by class."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.corpus.case import Case
from tests.hostile.corpus.damaged import damaged_cases
from tests.hostile.corpus.disguised import disguised_cases
from tests.hostile.corpus.names import named_cases
from tests.hostile.corpus.unusual import unusual_cases

__all__ = ["hostile_cases"]


def hostile_cases(*, seed: int = 0, flips: int = 18, target: str = "file:///etc/hostname") -> Iterator[Case]:
    """Every case: `flips` files with flipped bits, scripts that point to `target`; all of it made here, by code."""
    yield from unusual_cases()
    yield from disguised_cases(target=target)
    yield from damaged_cases(seed=seed, flips=flips)
    yield from named_cases()
