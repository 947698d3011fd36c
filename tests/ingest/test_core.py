"""Which files are videos, and which sidecars are theirs."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from videobert.ingest.config import IngestConfig
from videobert.ingest.core import SourceFile, find_videos

EXTENSIONS = IngestConfig().extensions


def _found(*names: str, language: str = "") -> dict[str, list[str]]:
    listing = {f"s3://b/in/{name}": (1, f"etag-{name}") for name in names}
    cut = len("s3://b/in/")
    return {f.uri[cut:]: [s[cut:] for s, _ in f.sidecars] for f in find_videos(listing, EXTENSIONS, language=language)}


def test_a_sidecar_belongs_to_the_longest_stem() -> None:
    assert _found("a.mp4", "a.b.mp4", "a.b.vtt") == {"a.mp4": [], "a.b.mp4": ["a.b.vtt"]}
    assert _found("a.mp4", "a.b.vtt") == {"a.mp4": ["a.b.vtt"]}  # here `b` is the language
    assert _found("a.mp4", "a.b.mp4", "a.b.en.vtt", "a.vtt") == {"a.mp4": ["a.vtt"], "a.b.mp4": ["a.b.en.vtt"]}
    assert _found("a.mp4", "ab.vtt", "a.b.c.vtt", "other/a.vtt") == {"a.mp4": []}


def test_both_containers_of_a_talk_share_its_captions() -> None:
    assert _found("a.mp4", "a.webm", "a.srt") == {"a.mp4": ["a.srt"], "a.webm": ["a.srt"]}


def test_sidecars_come_in_the_order_of_preference() -> None:
    names = ("a.mp4", "a.info.json", "a.srt", "a.en.vtt", "a.de.vtt", "a.vtt")
    assert _found(*names)["a.mp4"] == ["a.de.vtt", "a.en.vtt", "a.vtt", "a.srt", "a.info.json"]
    assert _found(*names, language="en")["a.mp4"][0] == "a.en.vtt"
    assert _found("a.mp4", "a.ende.vtt", "a.en-GB.vtt", language="EN")["a.mp4"] == ["a.en-GB.vtt", "a.ende.vtt"]


def test_only_files_with_a_known_ending_are_videos() -> None:
    assert list(_found("x/B.MP4", "a.mov", ".hidden.mp4", "readme.txt", "mp4", "a.mp4.part")) == ["a.mov", "x/B.MP4"]


def test_the_digest_follows_video_and_sidecars() -> None:
    file = SourceFile(uri="u", size_bytes=1, etag="e", sidecars=(("s", "e"),))
    others = [
        dataclasses.replace(file, etag="f"), dataclasses.replace(file, size_bytes=2),
        dataclasses.replace(file, sidecars=()), dataclasses.replace(file, sidecars=(("s", "f"),)),
    ]  # fmt: skip
    assert len({file.digest, *(other.digest for other in others)}) == 5


_NAMES = st.from_regex(r"[ab](\.[ab])?(\.en)?\.(mp4|vtt|srt|json|txt)", fullmatch=True)


@given(names=st.sets(_NAMES, max_size=8))
def test_every_video_is_found_once_and_no_sidecar_has_two_stems(names: set[str]) -> None:
    found = _found(*names)
    assert list(found) == sorted(n for n in names if n.endswith(".mp4"))
    owned = [sidecar for sidecars in found.values() for sidecar in sidecars]
    assert len(owned) == len(set(owned))  # there is one container only
    for video, sidecars in found.items():
        assert all(sidecar.startswith(video.removesuffix("mp4")) for sidecar in sidecars)
