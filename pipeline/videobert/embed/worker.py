"""One shard of embeddings: the segments and videos of one token tar through the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from videobert.codebook.load import load_tokenizer
from videobert.embed.config import FEATURE_PROMPT, EmbedConfig
from videobert.embed.core import embedding_table, unit_mean
from videobert.model.load import load_committed_model
from videobert.model.scoring import encode_video, pooled
from videobert.runtime.device import pick_device
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json
from videobert.tokens.read import read_shard
from videobert.tokens.records import TokenizedVideo

__all__ = ["EmbedWorker"]


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
        rows: list[dict[str, Any]] = []
        embeddings, features, videos = [], [], 0
        batch, path = task.payload
        around = self._model.reading.context_clips
        for sample in read_shard(self._store, path):
            video = from_json(sample)
            spans = [video.footage(s.first_clip, s.last_clip, around=around) for s in video.segments]
            vectors_SR = encode_video(self._model, spans)
            pooled_SF = pooled(self._model, spans, pool=self._config.pool, prompt=self._prompt)
            rows += _segment_rows(sample, video)
            rows.append(_video_row(sample, video))
            embeddings += [vectors_SR, unit_mean(vectors_SR)[None]]
            features += [pooled_SF, pooled_SF.astype(np.float64).mean(0, keepdims=True).astype(np.float32)]
            videos += 1
        width = self._model.config.hidden_size * (2 if self._config.pool == "paper" else 1)
        table = embedding_table(
            rows,
            np.concatenate([np.empty((0, self._model.retrieval_video.out_features), np.float32), *embeddings]),
            np.concatenate([np.empty((0, width), np.float32), *features]),
            lineage={
                "batch_key": batch, "shard": task.shard, "encoder_spec": self._manifest.facts["feature_spec"],
                "codebook_spec": self._manifest.facts["codebook_spec"], "model_spec": self._manifest.spec,
            },
        )  # fmt: skip
        counts = {"videos": videos, "segments": len(rows) - videos, "rows": len(rows)}
        return finish(self._store, task, data=table_bytes(table), counts=counts, rejects=())


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
