"""What every training worker runs, in this process or under Ray Train: load, resume, train, checkpoint."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from videobert.codebook.load import TOKENIZER_FILES, load_codebook, output_named
from videobert.model.network import VideoBert
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.checkpoint_io import restore, write_checkpoint
from videobert.pretrain.checkpoints import drop_old_checkpoints, find_checkpoint
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.state import TrainState
from videobert.pretrain.stopping import best_step
from videobert.pretrain.train import train
from videobert.pretrain.windows import Windows, plan_windows
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import Manifest
from videobert.runtime.progress import clock_text
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json
from videobert.tokens.read import read_samples
from videobert.tokens.records import TokenizedVideo

__all__ = ["TrainJob", "training_windows"]

_LOG = logging.getLogger("videobert")
_EVERY_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """Everything a worker needs; small, since it travels to every worker."""

    config: PretrainConfig
    store: Store
    folder: str
    """The model's folder, relative to the root."""
    codebook: Manifest
    tokens: tuple[Manifest, ...]

    def __call__(self, rank: int, world_size: int) -> None:
        """Train from the last checkpoint to the end; only rank 0 writes."""
        model, state = self._model()
        windows = training_windows(self.store, self.tokens, self.codebook, self.config)
        extra = {name: self.store.read(output_named(self.codebook, name).path) for name in TOKENIZER_FILES}
        started, logged = time.monotonic(), 0.0

        def on_step(record: dict[str, float]) -> None:
            nonlocal logged
            now = time.monotonic()
            if rank == 0 and now - logged >= _EVERY_SECONDS:
                logged = now
                _LOG.info("pretrain: %s", _progress_line(record, now - started))

        def on_check(at: TrainState) -> None:
            if rank == 0:
                check, best = at.checks[-1], best_step(at.checks)
                ranking = f", ranking {check['ranking']:.3f}" if "ranking" in check else ""
                _LOG.info(
                    "pretrain: step %d, loss %.3f%s on the videos kept aside; %s", at.step, check["loss"], ranking,
                    "the best so far" if best == at.step else f"best after {best} steps",
                )  # fmt: skip

        def on_checkpoint(current: VideoBert, at: TrainState) -> None:
            if rank == 0:
                written = write_checkpoint(self.store, self.folder, current, at, extra)
                drop_old_checkpoints(self.store, written, keep=self.config.keep_checkpoints, best=best_step(at.checks))

        if state.step:
            _LOG.info("pretrain: resuming at step %d", state.step)
        train(
            model, windows, self.config, state=state, rank=rank, world_size=world_size, on_step=on_step,
            on_check=on_check, on_checkpoint=on_checkpoint,
        )  # fmt: skip

    def _model(self) -> tuple[VideoBert, TrainState]:
        if checkpoint := find_checkpoint(self.store, self.folder):
            return restore(self.store, checkpoint)
        codebook = load_codebook(self.store, self.codebook)
        words = json.loads(self.store.read(output_named(self.codebook, "tokenizer.json").path))["model"]["vocab"]
        vocabulary = Vocabulary.from_wordpiece(words, leaves=len(codebook.centroids))
        model = VideoBert.create(
            self.config, vocabulary=vocabulary, centroids_NF=codebook.centroids,
            components=self.codebook.facts.get("components", 0),
        )  # fmt: skip
        return model, TrainState()


def training_windows(store: Store, tokens: tuple[Manifest, ...], codebook: Manifest, config: PretrainConfig) -> Windows:
    """The training share of the corpus. A single window does not depend on how videos lie in batches and shards."""
    outputs = [output for manifest in tokens for output in manifest.outputs]
    segments = [output.counts["segments"] for output in outputs]
    plan = plan_windows(segments, window_segments=config.window_segments, seed=config.seed)
    fraction = codebook.facts["heldout_fraction"]

    def read(number: int, rest: Callable[[], None]) -> list[TokenizedVideo]:
        videos, shared = [], dict[int, int]()
        for sample in read_samples(store, [outputs[shard] for shard in plan[number]]):
            if not is_held_out(sample["video_id"], fraction):
                videos.append(from_json(_lean(sample, shared)))
            rest()
        return sorted(videos, key=lambda video: video.video_id)

    return Windows(segments=tuple(sum(segments[shard] for shard in window) for window in plan), read=read)


def _lean(sample: dict[str, Any], shared: dict[int, int]) -> dict[str, Any]:
    """The sample without its sentences, which nothing here reads, and equal ids as one object: 0.6 of the memory."""
    for segment in sample["segments"]:
        segment["text"] = ""
        segment["text_ids"] = [shared.setdefault(number, number) for number in segment["text_ids"]]
    return sample


def _progress_line(record: dict[str, float], seconds: float) -> str:
    speed = record["tokens_per_second"]
    return f"step {record['step']:,.0f}, loss {record['loss']:.3f}, {speed:,.0f} tokens/s, {clock_text(seconds)} gone"
