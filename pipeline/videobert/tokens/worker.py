"""One shard of tokens: nearest leaf a clip, WordPiece a sentence, both aligned."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videobert.codebook.load import load_codebook, load_components, load_tokenizer
from videobert.codebook.moments import Moment
from videobert.codebook.quantiser import residuals_of
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.tokens.config import TokensConfig
from videobert.tokens.core import Sentence, make_segments, split_sentences, to_json
from videobert.tokens.read import array_bytes
from videobert.tokens.records import Segment, TokenizedVideo

__all__ = ["TokensWorker"]


class TokensWorker:
    """Loads codebook and vocabulary once, then quantises shards of features."""

    def __init__(self, config: TokensConfig, store: Store, codebook: Manifest) -> None:
        self._config = config
        self._store = store
        centroids = load_codebook(store, codebook)
        self._encode = centroids.encode_flat if codebook.config["assignment"] == "flat" else centroids.encode
        self._centroids_ND, self._axes_DK = centroids.centroids, load_components(store, codebook)
        self._tokenizer = load_tokenizer(store, codebook)
        self._moment = Moment(**codebook.facts.get("moment", {})).of

    def __call__(self, task: ShardTask) -> Output:
        table = read_table(self._store, task.payload["features"])
        sink = io.BytesIO()
        tar = TarWriter(sink)
        counts = {"videos": 0, "clips": table.num_rows, "segments": 0, "words": 0}
        unseen = 0
        for row in task.payload["videos"]:
            sentences = self.sentences(row)
            sample, video = self.sample(row, table.filter(pc.equal(table["video_id"], row["video_id"])), sentences)
            if video.residuals is not None:
                tar.add(f"{video.video_id}.residuals.npy", array_bytes(video.residuals))
            tar.add(f"{video.video_id}.json", canonical_json(sample))
            counts["videos"] += 1
            counts["segments"] += len(video.segments)
            counts["words"] += sum(len(s.text_ids) for s in video.segments)
            unseen += len(sentences) - sum(bool(s.text) for s in video.segments)
        tar.close()
        if unseen:
            counts["sentences_left_out"] = unseen
        return finish(self._store, task, data=sink.getvalue(), counts=counts, rejects=())

    def sentences(self, row: Mapping[str, Any]) -> list[Sentence]:
        """What is said in a video, by its catalog row."""
        return split_sentences(row["cues"] or [], self._config)

    def sample(
        self, row: Mapping[str, Any], clips: pa.Table, sentences: Sequence[Sentence]
    ) -> tuple[dict[str, Any], TokenizedVideo]:
        """One video by its catalog row and its rows of features: what the tar says of it, and the same as a record."""
        starts, ends = clips["start_seconds"], clips["end_seconds"]
        visual_N, residuals_NK = self.quantised(vectors_of(clips))
        video = TokenizedVideo(
            video_id=row["video_id"],
            visual=visual_N,
            segments=self.segments(sentences, starts.to_numpy(), ends.to_numpy()),
            residuals=residuals_NK,
        )
        times = {"clip_starts": starts.to_pylist(), "clip_ends": ends.to_pylist()}
        return to_json(video, uri=row["uri"], title=row["title"], **times), video

    def quantised(self, vectors_ND: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float16] | None]:
        """Leaves [N] and what they drop [N, K]."""
        visual_N = self._encode(vectors_ND)
        return visual_N, self._residuals(vectors_ND, visual_N)

    def segments(
        self, sentences: Sequence[Sentence], starts_N: NDArray[np.float64], ends_N: NDArray[np.float64]
    ) -> tuple[Segment, ...]:
        """Those of the clips with these times in which the sentences are said."""
        return make_segments(sentences, starts_N, ends_N, tokenize=self._ids, config=self._config, moment=self._moment)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _residuals(self, vectors_ND: NDArray[np.float32], visual_N: NDArray[np.int32]) -> NDArray[np.float16] | None:
        """What the leaf drops of each vector, float16 [N, K]."""
        if self._axes_DK is None:
            return None
        return residuals_of(vectors_ND - self._centroids_ND[visual_N], self._axes_DK)
