"""One shard of features: decode and encode every video of one tar, or one chunk of a long one."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any

from videobert.features.config import FeaturesConfig
from videobert.features.core import ClipSource, ClipVectors, VideoEnd, encode_videos
from videobert.features.encoders import Encoder, load_encoder
from videobert.features.encoders.served import ServedEncoder
from videobert.features.long_videos import ChunkTask, LocalCopy, chunk_tasks, join_chunks, metadata_of
from videobert.features.rows import ClipRows
from videobert.features.views import ViewedClips, draw_view
from videobert.runtime.executor import Service
from videobert.runtime.manifest import Output, Reject
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.split_shards import SplitShard
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_json, read_members
from videobert.video.chunks import ChunkClips, ChunkFacts
from videobert.video.isolated import IsolatedDecoder

__all__ = ["FeaturesWorker"]

_COPY_BYTES = 1 << 20
_Video = tuple[dict[str, Any], str, IO[bytes]]


class FeaturesWorker:
    """Loads the encoder once, or asks those that others have loaded, and turns tars into Parquet of clip vectors."""

    def __init__(self, config: FeaturesConfig, store: Store, encoders: Service | None = None) -> None:
        self._config = config
        self._store = store
        self._encoder: Encoder = ServedEncoder(encoders) if encoders else load_encoder(config)
        self._decoder = IsolatedDecoder(config.limits, on_gpu=config.decoding_gpu is not None)
        self._copy: LocalCopy | None = None

    def __call__(self, task: ShardTask | ChunkTask) -> Output | SplitShard | None:
        """The shard; or, while chunks of a long video are missing, what they are; nothing for a chunk."""
        with tempfile.TemporaryDirectory(prefix="videobert-") as name, (Path(name) / "vectors").open("w+b") as spool:
            rows = ClipRows(spool, dimension=self._encoder.dimension, options=self._config.decoding)
            if isinstance(task, ChunkTask):
                self._chunk(task, rows, Path(name) / "rows.parquet")
                return None
            self._drop_copy()
            with closing(self._videos(task.payload)) as videos:
                return self._shard(task, videos, rows, Path(name))

    def _shard(self, task: ShardTask, videos: Iterator[_Video], rows: ClipRows, folder: Path) -> Output | SplitShard:
        first = list(itertools.islice(videos, 1))
        chunks = chunk_tasks(task, first[0][0], self._config) if first else []
        if missing := [chunk for chunk in chunks if not self._store.exists(chunk.path)]:
            return SplitShard(task=task, parts=tuple(missing))
        if chunks and join_chunks(self._store, chunks, rows, max_packets=self._config.limits.max_packets):
            first = []
        uris: dict[str, str] = {}
        ends = self._encode(self._sources(itertools.chain(first, videos), folder, uris), rows)
        rejects = [Reject.of(e.error, video_id=e.name, uri=uris[e.name]) for e in ends if e.error]
        rows.write(folder / "rows.parquet")
        return finish(self._store, task, data=folder / "rows.parquet", counts=rows.counts, rejects=rejects)

    def _chunk(self, task: ChunkTask, rows: ClipRows, target: Path) -> None:
        """A chunk that cannot be read says so: its video is then read in one go, which tells what is wrong with it."""
        if self._copy is None or self._copy.tar != task.tar:
            self._drop_copy()
            self._copy = LocalCopy(self._store, task.tar)
        clips = self._decoder.clips(
            self._copy.path, self._encoder.request, self._config.decoding, clip_range=task.clip_range
        )
        source = ChunkClips(clips, task.clip_range, self._config.decoding)
        (end,) = self._encode([(task.video_id, self._viewed(source, task.video_id))], rows)
        rows.write(target, metadata_of(ChunkFacts.unreadable() if end.error else source.facts))
        self._store.write(task.path, target)

    def _drop_copy(self) -> None:
        """Videos are large: one at a time."""
        if self._copy:
            self._copy.close()
        self._copy = None

    def _encode(self, sources: Iterable[tuple[str, ClipSource]], rows: ClipRows) -> Sequence[VideoEnd]:
        """Add the clips of all videos; how each ended."""
        ends = []
        with closing(encode_videos(sources, self._encoder, ahead=self._config.decode_ahead)) as found:
            for event in found:
                if isinstance(event, ClipVectors):
                    rows.add(event.index_N, event.features_ND)
                    continue
                ends.append(event)
                if event.error:
                    rows.drop()
                else:
                    rows.keep(event.name, event.damaged_seconds, held_from=event.held_from)
        return ends

    def _sources(
        self, videos: Iterable[_Video], folder: Path, uris: dict[str, str]
    ) -> Iterator[tuple[str, ClipSource]]:
        """The clips of every video by its id, from a local file that lasts as long; notes where each came from."""
        for metadata, suffix, reader in videos:
            path = folder / f"video{suffix}"
            with path.open("wb") as sink:
                shutil.copyfileobj(reader, sink, _COPY_BYTES)
            uris[metadata["video_id"]] = metadata["uri"]
            clips = self._decoder.clips(path, self._encoder.request, self._config.decoding)
            yield metadata["video_id"], self._viewed(clips, metadata["video_id"])
            path.unlink()

    def _viewed(self, clips: ClipSource, video_id: str) -> ClipSource:
        return ViewedClips(clips, draw_view(self._config, video_id)) if self._config.is_view else clips

    def _videos(self, tar_path: str) -> Generator[_Video]:
        """(metadata, suffix, bytes) of every sample; the tar is read once, front to back."""
        with self._store.open(tar_path) as source:
            metadata: dict[str, Any] = {}
            for name, reader in read_members(source):
                if name.endswith(".json"):
                    metadata = read_json(name, reader)
                else:
                    yield metadata, PurePosixPath(name).suffix, reader
