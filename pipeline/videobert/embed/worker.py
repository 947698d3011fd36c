"""One shard of embeddings: the segments and videos of one token tar through the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from videobert.codebook.load import load_tokenizer
from videobert.embed.config import FEATURE_PROMPT, EmbedConfig
from videobert.embed.core import embedding_table, unit_mean
from videobert.model.load import load_committed_model
from videobert.model.network import VideoBert
from videobert.model.scoring import encode_video, pooled
from videobert.runtime.device import pick_device
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json
from videobert.tokens.read import read_shard
from videobert.tokens.records import TokenizedVideo

__all__ = ["EmbedWorker", "EmbeddedVideo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedVideo:
    """The rows of one video, its segments first; S rows, R and F as in the schema."""

    rows: list[dict[str, Any]]
    embeddings: NDArray[np.float32]
    """[S, R]."""
    features: NDArray[np.float32]
    """[S, F]."""


class EmbedWorker:
    """Loads the model once, then embeds token shards."""

    def __init__(self, config: EmbedConfig, store: Store, model: Manifest) -> None:
        self._config = config
        self._store = store
        self._manifest = model
        torch.set_num_threads(1)  # the same sums in the same order, whatever the number of workers
        self._model = load_committed_model(store, model).to(pick_device(config.device))
        self._prompt = load_tokenizer(store, model).encode(FEATURE_PROMPT, add_special_tokens=False).ids

    def __call__(self, task: ShardTask) -> Output:
        batch, path = task.payload
        parts = [self.of_sample(sample) for sample in read_shard(self._store, path)]
        table = self.table(parts, batch=batch, shard=task.shard)
        counts = {"videos": len(parts), "segments": table.num_rows - len(parts), "rows": table.num_rows}
        return finish(self._store, task, data=table_bytes(table), counts=counts, rejects=())

    @property
    def model(self) -> VideoBert:
        """The network, in evaluation mode."""
        return self._model

    def of_sample(self, sample: dict[str, Any]) -> EmbeddedVideo:
        """One video by its token sample."""
        video = from_json(sample)
        around = self._model.reading.context_clips
        spans = [video.footage(s.first_clip, s.last_clip, around=around) for s in video.segments]
        vectors_SR = encode_video(self._model, spans)
        pooled_SF = pooled(self._model, spans, pool=self._config.pool, prompt=self._prompt)
        mean_1F = pooled_SF.astype(np.float64).mean(0, keepdims=True).astype(np.float32)
        return EmbeddedVideo(
            rows=[*_segment_rows(sample, video), _video_row(sample, video)],
            embeddings=np.concatenate([vectors_SR, unit_mean(vectors_SR)[None]]),
            features=np.concatenate([pooled_SF, mean_1F]),
        )

    def table(self, parts: Sequence[EmbeddedVideo], *, batch: str, shard: int) -> pa.Table:
        """All rows of a shard with their lineage."""
        width = self._model.config.hidden_size * (2 if self._config.pool == "paper" else 1)
        nothing_R = np.empty((0, self._model.retrieval_video.out_features), np.float32)
        return embedding_table(
            [row for part in parts for row in part.rows],
            np.concatenate([nothing_R, *(part.embeddings for part in parts)]),
            np.concatenate([np.empty((0, width), np.float32), *(part.features for part in parts)]),
            lineage={
                "batch_key": batch, "shard": shard, "encoder_spec": self._manifest.facts["feature_spec"],
                "codebook_spec": self._manifest.facts["codebook_spec"], "model_spec": self._manifest.spec,
            },
        )  # fmt: skip


def _segment_rows(sample: dict[str, Any], video: TokenizedVideo) -> list[dict[str, Any]]:
    return [
        {
            "row_id": f"{video.video_id}:{number}", "level": "segment", "video_id": video.video_id, "segment": number,
            "start_seconds": s.start_seconds, "end_seconds": s.end_seconds, "text": s.text, "title": sample["title"],
            "source_uri": sample["uri"],
        }
        for number, s in enumerate(video.segments)
    ]  # fmt: skip


def _video_row(sample: dict[str, Any], video: TokenizedVideo) -> dict[str, Any]:
    return {
        "row_id": video.video_id, "level": "video", "video_id": video.video_id, "segment": -1,
        "start_seconds": sample["clip_starts"][0], "end_seconds": sample["clip_ends"][-1],
        "text": " ".join(s.text for s in video.segments if s.text), "title": sample["title"],
        "source_uri": sample["uri"],
    }  # fmt: skip
