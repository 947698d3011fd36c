"""The held-out share: by content, stable, and growing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videobert.runtime.held_out import is_held_out

IDS = [f"video-{n}" for n in range(4_000)]


def test_the_share_is_about_the_fraction() -> None:
    for fraction in (0.1, 0.25, 0.5):
        share = sum(is_held_out(name, fraction) for name in IDS) / len(IDS)
        assert abs(share - fraction) < 4 * (fraction * (1 - fraction) / len(IDS)) ** 0.5


@given(name=st.text(max_size=20), small=st.floats(0, 1), large=st.floats(0, 1))
def test_a_larger_share_holds_the_smaller(name: str, small: float, large: float) -> None:
    small, large = sorted((small, large))
    assert is_held_out(name, large) or not is_held_out(name, small)
    assert not is_held_out(name, 0.0) and is_held_out(name, 1.0)


def test_the_split_of_former_runs_stays() -> None:
    assert [name for name in IDS[:40] if is_held_out(name, 0.1)] == ["video-4", "video-7", "video-13", "video-25"]
