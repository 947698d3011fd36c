"""A shard of tokens: what is counted of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.codebook.test_run import CLIPS, CONFIG, VIDEOS, inputs
from videobert.codebook.run import run
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.shards import ShardTask
from videobert.tokens.config import TokensConfig
from videobert.tokens.worker import TokensWorker

SECONDS = CLIPS * 1.5


def counted(root: Path, *cues: dict[str, Any]) -> dict[str, int]:
    """What the worker counts of one video with these captions."""
    found = inputs(root, VIDEOS[:5], VIDEOS[5:])
    codebook = run(CONFIG, found, LocalExecutor())
    row = {"video_id": VIDEOS[0], "uri": "file:///a.mp4", "title": "a", "cues": list(cues)}
    payload = {"features": found.upstream["features"][0].outputs[0].path, "videos": [row]}
    task = ShardTask(shard=0, input_digest="", payload=payload, path="tokens.tar", receipt="receipt.json")
    return TokensWorker(TokensConfig(), found.store, codebook)(task).counts


def cue(start: float, text: str) -> dict[str, Any]:
    return {"start_seconds": start, "end_seconds": start + 2, "text": text}


def test_sentences_where_no_clip_is_are_counted(tmp_path: Path) -> None:
    counts = counted(
        tmp_path, cue(1, "Now we chop the onion."), cue(SECONDS + 1, "Then we fry."), cue(9_000, "And stir.")
    )
    assert counts["sentences_left_out"] == 2


def test_where_each_has_a_segment_nothing_is_said_of_them(tmp_path: Path) -> None:
    assert "sentences_left_out" not in counted(tmp_path, cue(1, "Now we chop the onion."), cue(4, "Then we fry."))
