"""What a corpus takes: `python -m infra.capacity --hours 23186 [--help]`.

Bytes come from the pipeline's own writers, run over a few synthetic videos of the given kind; times and requests from
measured figures (docs/capacity.md names the commands), or from yours. Prices are yours too: no cloud's are in here.
"""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tyro

from videobert.embed.core import embedding_table
from videobert.features.config import FeaturesConfig
from videobert.features.rows import features_schema
from videobert.ingest.config import IngestConfig
from videobert.ingest.core import CATALOG_SCHEMA
from videobert.runtime.parquet import table_bytes
from videobert.runtime.spec import canonical_json
from videobert.runtime.tar import TarWriter
from videobert.shard.config import ShardConfig
from videobert.shard.core import metadata_bytes
from videobert.tokens.core import to_json
from videobert.tokens.records import Segment, TokenizedVideo

SAMPLE = 20
"""Synthetic videos that the writers see."""
CLIP_SECONDS = FeaturesConfig().clip_seconds

WORD = "stirring "
"""In place of a word: nine letters with its space, and one WordPiece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus, its models, and what a clip costs."""

    hours: float = 23_186
    """Hours of video; the default is the paper's set."""
    minutes_per_video: float = 4.5
    """Length of a video; the paper's 312 thousand have 4.5."""
    megabits: float = 1.0
    """Bits of video and sound per second, in millions."""
    seconds_per_sentence: float = 6.0
    """A sentence is a segment and a row of embeddings."""
    words_per_sentence: int = 12
    """WordPieces per sentence."""
    feature_dimension: int = 1024
    """Of the clip encoder; S3D and V-JEPA 2 have 1,024."""
    hidden: int = 1024
    """Of BERT; LARGE has 1,024. The paper's pooled feature takes twice as many numbers."""
    retrieval_dimension: int = 128
    """Of the searched vectors."""
    decode_ms: float = 10.0
    """CPU milliseconds of decoding and resizing a clip: 3 (320 x 240, 12 fps) to 66 (1280 x 720) were measured."""
    encode_ms: float = 50.0
    """CPU milliseconds of encoding a clip; 50 is the packaged network. 0 where a GPU does it."""
    quantise_ms: float = 0.012
    """CPU milliseconds of finding a clip's leaf among 12 ** 4."""
    clips_per_gpu_second: float = 0.0
    """What one of your GPUs encodes; 0 leaves GPU-hours out, since none was measured."""

    @property
    def videos(self) -> int:
        return math.ceil(self.hours * 60 / self.minutes_per_video)

    @property
    def clips(self) -> int:
        return self.videos * self.clips_per_video

    @property
    def clips_per_video(self) -> int:
        return int(self.minutes_per_video * 60 / CLIP_SECONDS)

    @property
    def segments_per_video(self) -> int:
        return max(1, int(self.minutes_per_video * 60 / self.seconds_per_sentence))

    @property
    def video_bytes(self) -> int:
        return round(self.minutes_per_video * 60 * self.megabits * 1e6 / 8)


def bytes_per_video(corpus: Corpus) -> dict[str, float]:
    """Stored bytes of one video at each stage, by writing `SAMPLE` of them; the file's own footer is shared by few."""
    rng = np.random.default_rng(0)
    words = (WORD * corpus.words_per_sentence).strip()
    cues = [
        {"start_seconds": start, "end_seconds": start + corpus.seconds_per_sentence, "text": words}
        for start in np.arange(corpus.segments_per_video) * corpus.seconds_per_sentence
    ]
    catalog, features, tokens, rows = [], [], io.BytesIO(), []
    tar = TarWriter(tokens)
    metadata = 0
    for _ in range(SAMPLE):
        video_id = rng.bytes(32).hex()
        row = _catalog_row(corpus, video_id, cues)
        catalog.append(row)
        metadata += 2 * 512 + len(metadata_bytes(row))
        features.append(_features(corpus, video_id, rng))
        video = _tokens(corpus, video_id, words, rng)
        starts = (np.arange(corpus.clips_per_video) * CLIP_SECONDS).tolist()
        sample = to_json(video, uri=row["uri"], title=row["title"], clip_starts=starts, clip_ends=starts)
        tar.add(f"{video_id}.json", canonical_json(sample))
        rows += [_embedding_row(row, number, words) for number in range(-1, len(video.segments))]
    vectors = [rng.random((len(rows), n), dtype=np.float32) for n in (corpus.retrieval_dimension, 2 * corpus.hidden)]
    lineage = dict.fromkeys(("batch_key", "encoder_spec", "codebook_spec", "model_spec"), "spec-01234567") | {
        "shard": 0
    }
    sizes = {
        "catalog": len(table_bytes(pa.Table.from_pylist(catalog, schema=CATALOG_SCHEMA))),
        "shards": SAMPLE * corpus.video_bytes + metadata,
        "features": len(table_bytes(pa.concat_tables(features))),
        "tokens": len(tokens.getvalue()),
        "embeddings": len(table_bytes(embedding_table(rows, *vectors, lineage=lineage))),
    }
    return {stage: size / SAMPLE for stage, size in sizes.items()}


def objects(corpus: Corpus) -> dict[str, int]:
    """Objects of each stage: one shard in, one shard out."""
    shards = math.ceil(corpus.videos / max(1, ShardConfig().shard_bytes // corpus.video_bytes))
    parts = math.ceil(corpus.videos / IngestConfig().files_per_part)
    return {"catalog": parts} | dict.fromkeys(("shards", "features", "tokens", "embeddings"), shards)


def core_hours(corpus: Corpus) -> dict[str, float]:
    """CPU core-hours of the stages whose work grows with the clips."""
    a_clip = {"decode": corpus.decode_ms, "encode": corpus.encode_ms, "quantise": corpus.quantise_ms}
    return {name: corpus.clips * ms / 3.6e6 for name, ms in a_clip.items()}


def _catalog_row(corpus: Corpus, video_id: str, cues: list[dict[str, object]]) -> dict[str, object]:
    return {
        "video_id": video_id, "uri": f"s3://bucket/incoming/2026-01-01/{video_id[:11]}.mp4", "source_digest": video_id,
        "size_bytes": corpus.video_bytes, "container": "mp4", "codec": "h264", "width": 640, "height": 360,
        "rotation": 0, "fps": 29.97, "duration_seconds": corpus.minutes_per_video * 60, "has_audio": True,
        "title": WORD * 6, "caption_source": "sidecar", "caption_language": "en", "caption_note": "", "cues": cues,
    }  # fmt: skip


def _features(corpus: Corpus, video_id: str, rng: np.random.Generator) -> pa.Table:
    clips, dimension = corpus.clips_per_video, corpus.feature_dimension
    start = np.arange(clips) * CLIP_SECONDS
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(clips * dimension, dtype=np.float32)), dimension)
    columns = [
        pa.array([video_id] * clips),
        pa.array(np.arange(clips, dtype=np.int32)),
        start,
        start + CLIP_SECONDS,
        vectors,
    ]
    return pa.table(columns, schema=features_schema(dimension))


def _tokens(corpus: Corpus, video_id: str, words: str, rng: np.random.Generator) -> TokenizedVideo:
    edges = np.linspace(0, corpus.clips_per_video, corpus.segments_per_video + 1).astype(int).tolist()
    segments = tuple(
        Segment(
            start_seconds=a * CLIP_SECONDS, end_seconds=b * CLIP_SECONDS, first_clip=a, last_clip=b, text=words,
            text_ids=tuple(rng.integers(1000, 30_000, corpus.words_per_sentence).tolist()),
        )
        for a, b in itertools.pairwise(edges)
        if b > a
    )  # fmt: skip
    visual = rng.integers(0, 12**4, corpus.clips_per_video).astype(np.int32)
    return TokenizedVideo(video_id=video_id, visual=visual, segments=segments)


def _embedding_row(row: dict[str, object], segment: int, words: str) -> dict[str, object]:
    return {
        "row_id": f"{row['video_id']}:{segment}", "level": "video" if segment < 0 else "segment", "segment": segment,
        "video_id": row["video_id"], "start_seconds": 6.0 * segment, "end_seconds": 6.0 * segment + 6, "text": words,
        "title": row["title"], "source_uri": row["uri"],
    }  # fmt: skip


def main() -> None:
    corpus = tyro.cli(Corpus, prog="python -m infra.capacity", description=__doc__)
    print(f"{corpus.hours:,.0f} hours: {corpus.videos:,} videos, {corpus.clips:,} clips of {CLIP_SECONDS} s\n")
    counts = objects(corpus)
    print(f"{'stored':<12}{'bytes per clip':>16}{'GB':>12}{'objects':>12}")
    for stage, size in bytes_per_video(corpus).items():
        per_clip, gigabytes = size / corpus.clips_per_video, size * corpus.videos / 1e9
        print(f"{stage:<12}{per_clip:>16,.0f}{gigabytes:>12,.0f}{counts[stage]:>12,}")
    print(f"\n{'work':<12}{'core-hours':>14}")
    for name, hours in core_hours(corpus).items():
        print(f"{name:<12}{hours:>14,.{0 if hours >= 1 else 1}f}")
    if corpus.clips_per_gpu_second:
        print(f"{'encode':<12}{corpus.clips / corpus.clips_per_gpu_second / 3600:>14,.0f} GPU-hours")


if __name__ == "__main__":
    main()
