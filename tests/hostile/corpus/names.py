"""Good videos under bad names."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.corpus.case import ROWS, Case
from tests.hostile.corpus.clip import Clip, encode_clip

__all__ = ["named_cases"]

_NAMES = (
    "line\nbreak.mp4", "\u202ename from right to left.mp4", "chop \U0001f9c5 the onion.mp4", "quotes '\"`.mp4",
    "dots..mp4.mp4", "a..b/..c/up..mp4", "%2e%2e%2fpercent.mp4", "glob[*]?.mp4", "a::b.mp4", "s3://bucket.mp4",
    "back\\slash.mp4", " leading and trailing .mp4", "-rf.mp4", "$(reboot);&|.mp4", "<script>alert(1)<.mp4",
    "tab\tbell\a.mp4", "UPPER.MP4", "e\u0301 decomposed.mp4", "\u00e9 composed.mp4", "#fragment?query=1.mp4",
    "{batch}.mp4", "n" * 251 + ".mp4", "\u4e2d" * 83 + "ab.mp4",
)  # fmt: skip


def named_cases() -> Iterator[Case]:
    """Each with bytes of its own; then two names for the same bytes."""
    base = encode_clip(Clip(key=2))
    for number, name in enumerate(_NAMES):
        yield Case(kind="name", name=name, data=_marked(base, number), ends=(ROWS,))
    for name in ("twin one.mp4", "twin two.mp4"):
        yield Case(kind="duplicate", name=name, data=_marked(base, len(_NAMES)), ends=(ROWS,))


def _marked(mp4: bytes, number: int) -> bytes:
    """The same film with other bytes: an mp4 may end in a box that means nothing."""
    return mp4 + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
