"""The explanation of a hit as one page: every clip above a bar of what it adds, and the words in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videobert.applications.summarise.clips import open_clips
from videobert.query.embeddings import resolve_embed_spec
from videobert.runtime.storage import Store
from videobert.visualization.environment import data_url, render_file
from videobert.visualization.nearest import NearestClip
from videobert.visualization.pictures import clip_pictures

if TYPE_CHECKING:
    from videobert.applications.explain import Part

__all__ = ["page"]


def page(store: Store, model: str, text: str, parts: Sequence[Part]) -> bytes:
    """HTML that needs nothing else; what comes from outside is escaped."""
    video_id = parts[0].row_id.partition(":")[0]
    known = open_clips(store, resolve_embed_spec(store, model), video_id)
    wanted = {
        part.name: NearestClip(
            tar=known.path(store, "shard"), video_id=video_id, start_seconds=part.start_seconds,
            end_seconds=part.end_seconds, squared_distance=0.0,
        )
        for part in parts if part.kind == "clip"
    }  # fmt: skip
    pictures = clip_pictures(store, list(wanted.values()), known.options)
    urls = {name: data_url(pictures[clip]) for name, clip in wanted.items() if clip in pictures}
    most = max(abs(part.adds) for part in parts) or 1.0
    given = {"text": text, "parts": parts, "urls": urls, "most": most}
    return render_file("videobert.visualization", "explain.html", given)
