"""What a model reads of a video: a visual token for every clip, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.errors import InputError
from videobert.query.lineage import Lineage
from videobert.runtime.storage import Store
from videobert.tokens.read import read_shard

__all__ = ["Clip", "Timeline", "read_timeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One visual token."""

    start_seconds: float
    end_seconds: float
    leaf: int
    """Of the codebook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The clips of a video, and which of them are a row."""

    clips: list[Clip]
    first: int
    """Of the row, a place in `clips`."""
    last: int
    """One past its last."""


def read_timeline(store: Store, lineage: Lineage) -> Timeline:
    """The clips of a row's video; reads the shard of tokens until it is there. Raises InputError when it is gone."""
    step = lineage.step("tokens")
    number = lineage.row_id.partition(":")[2]
    try:
        for sample in read_shard(store, step.url.removeprefix(f"{store.root}/")):
            if sample["video_id"] != lineage.video_id:
                continue
            segments, times = sample["segments"], zip(sample["clip_starts"], sample["clip_ends"], strict=True)
            clips = [
                Clip(start_seconds=start, end_seconds=end, leaf=int(leaf))
                for (start, end), leaf in zip(times, sample["visual"], strict=True)
            ]
            own = segments[int(number)] if number else {"first_clip": 0, "last_clip": len(clips)}
            return Timeline(clips=clips, first=own["first_clip"], last=own["last_clip"])
    except FileNotFoundError:
        pass
    raise InputError(f"{step.url} is gone or without video {lineage.video_id}; run the stage tokens of its batch again")
