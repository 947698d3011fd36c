"""Which row stands for a video, and what a sample says about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.shard.config import ShardConfig
from videobert.shard.core import METADATA_FIELDS, member_name, metadata_bytes, unique_videos


def _row(uri: str, video_id: str = "ab", **more: Any) -> dict[str, Any]:
    return {**dict.fromkeys(METADATA_FIELDS), "uri": uri, "video_id": video_id, "etag": "x", **more}


def test_of_files_with_the_same_bytes_the_smallest_uri_stands_for_all() -> None:
    rows = [_row("s3://b/z"), _row("s3://b/a"), _row("s3://b/m", "cd")]
    for order in (rows, rows[::-1]):
        assert {k: row["uri"] for k, row in unique_videos(order).items()} == {"ab": "s3://b/a", "cd": "s3://b/m"}


def test_of_files_with_the_same_bytes_the_one_with_captions_stands_for_all() -> None:
    cues = [{"start_seconds": 0.0, "end_seconds": 1.0, "text": "Chop."}]
    silent, titled = _row("a", cues=[], caption_source="none"), _row("b", cues=cues, caption_source="chapters")
    spoken = [_row(uri, cues=cues, caption_source="vtt") for uri in ("c", "d")]
    rows = [silent, titled, *spoken]
    for order in (rows, rows[::-1]):
        assert unique_videos(order)["ab"]["uri"] == "c"
    assert unique_videos([silent, titled])["ab"]["uri"] == "b"
    assert unique_videos([_row("e", cues=None), silent])["ab"]["uri"] == "a"


@pytest.mark.parametrize(
    ("uri", "name"),
    [("a/Talk.MP4", "ab.mp4"), ("a/x.tar.webm", "ab.webm"), ("a/none", "ab.video"), ("a/x.m p", "ab.video"),
     ("a/x.ä", "ab.video"), ("a/x.averylongending", "ab.video"), ("a/x.", "ab.video")],
)  # fmt: skip
def test_the_member_is_named_by_content(uri: str, name: str) -> None:
    assert member_name(_row(uri)) == name


def test_metadata_holds_its_fields_only_and_does_not_depend_on_their_order() -> None:
    row = _row("s3://b/a", cues=[{"start_seconds": 0.0, "end_seconds": 1.0, "text": "ü"}], source_digest="d")
    data = metadata_bytes(row)
    assert set(json.loads(data)) == set(METADATA_FIELDS)
    assert metadata_bytes(dict(reversed(row.items()))) == data


def test_a_shard_of_no_bytes_is_refused() -> None:
    with pytest.raises(InputError, match="shard_bytes"):
        ShardConfig(shard_bytes=0)
