"""One shard of tokens: nearest leaf a clip, WordPiece a sentence, both aligned."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from videobert.codebook.load import load_codebook, load_tokenizer
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.tokens.config import TokensConfig
from videobert.tokens.core import make_segments, split_sentences, to_json
from videobert.tokens.records import TokenizedVideo

__all__ = ["TokensWorker"]


class TokensWorker:
    """Loads codebook and vocabulary once, then quantises shards of features."""

    def __init__(self, config: TokensConfig, store: Store, codebook: Manifest) -> None:
        self._config = config
        self._store = store
        centroids = load_codebook(store, codebook)
        self._encode = centroids.encode_flat if codebook.config["assignment"] == "flat" else centroids.encode
        self._tokenizer = load_tokenizer(store, codebook)

    def __call__(self, task: ShardTask) -> Output:
        table = read_table(self._store, task.payload["features"])
        sink = io.BytesIO()
        tar = TarWriter(sink)
        counts = {"videos": 0, "clips": table.num_rows, "segments": 0, "words": 0}
        for row in task.payload["videos"]:
            clips = table.filter(pc.equal(table["video_id"], row["video_id"]))
            video = self._tokens(row, clips)
            starts, ends = clips["start_seconds"].to_pylist(), clips["end_seconds"].to_pylist()
            sample = to_json(video, uri=row["uri"], title=row["title"], clip_starts=starts, clip_ends=ends)
            tar.add(f"{video.video_id}.json", canonical_json(sample))
            counts["videos"] += 1
            counts["segments"] += len(video.segments)
            counts["words"] += sum(len(s.text_ids) for s in video.segments)
        tar.close()
        return finish(self._store, task, data=sink.getvalue(), counts=counts, rejects=())

    def _tokens(self, row: dict[str, Any], clips: pa.Table) -> TokenizedVideo:
        segments = make_segments(
            split_sentences(row["cues"] or [], self._config),
            clips["start_seconds"].to_numpy(),
            clips["end_seconds"].to_numpy(),
            tokenize=lambda text: list(self._tokenizer.encode(text, add_special_tokens=False).ids),
            config=self._config,
        )
        visual_N = self._encode(vectors_of(clips))
        return TokenizedVideo(video_id=row["video_id"], visual=visual_N, segments=segments)
