"""How unexpected a segment is to the model: the negative log-likelihood of its visual tokens among those around."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

from videobert.query.model import OpenModel
from videobert.tokens.core import from_json
from videobert.tokens.records import TokenizedVideo

__all__ = ["surprises"]

_VIDEOS_AT_ONCE = 16


def surprises(opened: OpenModel, batches: Collection[str], *, around: int) -> dict[str, float]:
    """Row id -> mean surprise of the segment's clips in nats, each seen with up to `around` clips on either side."""
    found: dict[str, float] = {}
    seen: set[str] = set()
    videos = (from_json(sample) for sample in opened.samples(batches))
    while some := list(islice(videos, _VIDEOS_AT_ONCE)):
        new = [video for video in some if video.video_id not in seen]
        seen.update(video.video_id for video in new)
        found.update(_of_videos(opened, new, around))
    return found


def _of_videos(opened: OpenModel, videos: list[TokenizedVideo], around: int) -> Iterator[tuple[str, float]]:
    from videobert.model.scoring import surprise

    windows, places = [], []
    for video in videos:
        for clip in range(len(video.visual)):
            first, last = max(0, clip - around), min(len(video.visual), clip + around + 1)
            windows.append(video.footage(first, last))
            places.append(clip - first)
    surprise_N = surprise(opened.model, windows, places)
    begin = 0
    for video in videos:
        own_N = surprise_N[begin : begin + len(video.visual)]
        begin += len(video.visual)
        for number, segment in enumerate(video.segments):
            yield f"{video.video_id}:{number}", float(own_N[segment.first_clip : segment.last_clip].mean())
