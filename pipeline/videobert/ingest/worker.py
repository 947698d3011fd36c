"""One catalog part: read every video of a group once, hash, probe, find its captions."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from videobert.errors import VideoError
from videobert.ingest.choose import CaptionFinder, is_object
from videobert.ingest.config import IngestConfig
from videobert.ingest.core import CATALOG_SCHEMA, PartPayload, SourceFile
from videobert.ingest.language import language_tag
from videobert.ingest.speech import Transcriber
from videobert.runtime.filesystem import fetch
from videobert.runtime.manifest import Output, Reject
from videobert.runtime.parquet import read_table, table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.runtime.tombstones import tombstones
from videobert.video.isolated import IsolatedDecoder

__all__ = ["IngestWorker"]


class IngestWorker:
    """Turns a group of source files into rows of the catalog and rejects."""

    def __init__(self, config: IngestConfig, store: Store) -> None:
        self._store = store
        self._decoder = IsolatedDecoder(config.limits)
        transcribe = Transcriber(config.speech_model) if config.speech_model else None
        self._captions = CaptionFinder(self._decoder, transcribe, language_tag(config.language))

    def __call__(self, task: ShardTask) -> Output:
        payload: PartPayload = task.payload
        former = self._former_rows(payload.former_path)
        rows: list[dict[str, Any]] = [former[uri] for uri in payload.keep_uris]
        rejects: list[Reject] = []
        forgotten, never_again = 0, tombstones(self._store)
        for file in payload.files:
            if file.uri in former and former[file.uri]["source_digest"] == file.digest:
                rows.append(former[file.uri])
                continue
            with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
                local = Path(folder) / f"video{PurePosixPath(file.uri).suffix.lower()}"
                video_id = ""
                try:
                    if not is_object(file.uri):
                        raise VideoError("no-file", f"{file.uri} is a pipe, a device or a folder")
                    video_id = fetch(file.uri, local)
                    if video_id in never_again:
                        forgotten += 1
                        continue
                    if not local.stat().st_size:
                        raise VideoError("empty", f"{file.uri} has no bytes")
                    rows.append(self._row(file, video_id, local))
                except VideoError as error:
                    rejects.append(Reject.of(error, video_id=video_id, uri=file.uri))
        rows.sort(key=lambda row: row["uri"])
        table = pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA)
        counts = {"videos": len(rows), **({"forgotten": forgotten} if forgotten else {})}
        return finish(self._store, task, data=table_bytes(table), counts=counts, rejects=rejects)

    def _former_rows(self, path: str) -> dict[str, dict[str, Any]]:
        rows = read_table(self._store, path).to_pylist() if path else []
        return {row["uri"]: row for row in rows}

    def _row(self, file: SourceFile, video_id: str, local: Path) -> dict[str, Any]:
        facts = self._decoder.probe(local)
        found = self._captions.find(file, facts, local)
        return {
            "video_id": video_id, "uri": file.uri, "size_bytes": local.stat().st_size, "source_digest": file.digest,
            "container": facts.container, "codec": facts.codec, "width": facts.width, "height": facts.height,
            "rotation": facts.rotation, "fps": facts.fps, "duration_seconds": facts.duration_seconds,
            "has_audio": facts.has_audio, "title": PurePosixPath(file.uri).stem, "caption_source": found.source,
            "caption_language": found.language, "caption_note": "; ".join(found.notes), "caption_files": found.files,
            "cues": [dataclasses.asdict(cue) for cue in found.cues],
        }  # fmt: skip
