"""`videobert demo-videos`: write the videos of the demo."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DemoVideosCommand"]


@dataclass(frozen=True, kw_only=True)
class DemoVideosCommand:
    """Write the demo's videos: the procedural kitchen, a few real clips, three broken files."""

    out: str
    """Where: a path or an fsspec URL; videos go to OUT/videos/BATCH, the ground truth to OUT/truth."""
    seed: int = 241
    """Everything in the kitchen derives from it; in this one, people stir the egg and chop the onion."""
    videos_per_batch: int = 30
    """Kitchen videos of each of the three batches."""
    processes: int = 2
    """Processes that render."""

    def execute(self) -> None:
        from videobert.demo.demo import write_demo_corpus

        corpus = write_demo_corpus(
            self.out,
            seed=self.seed,
            videos_per_batch=self.videos_per_batch,
            processes=self.processes,
            progress=lambda line: print(line, flush=True),
        )
        done = f"{corpus.written} written" if corpus.written else "nothing to write"
        print(
            f"corpus: {corpus.kitchen.videos} kitchen videos ({corpus.kitchen.seconds / 60:.0f} minutes), "
            f"{corpus.real_clips} real clips, {corpus.broken_files} broken files in {corpus.videos}; {done}"
        )
