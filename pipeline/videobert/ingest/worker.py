"""One catalog part: read every video of a group once, hash, probe, find its captions."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from videobert.errors import VideoError
from videobert.ingest.captions import MAX_CAPTION_BYTES, Cue, clean_cues, parse_captions
from videobert.ingest.config import IngestConfig
from videobert.ingest.core import CATALOG_SCHEMA, PartPayload, SourceFile
from videobert.ingest.speech import Transcriber
from videobert.runtime.filesystem import fetch, open_filesystem
from videobert.runtime.manifest import Output, Reject
from videobert.runtime.parquet import read_table, table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.runtime.tombstones import tombstones
from videobert.video.decode import VideoProbe
from videobert.video.isolated import IsolatedDecoder

__all__ = ["IngestWorker"]


class IngestWorker:
    """Turns a group of source files into rows of the catalog and rejects."""

    def __init__(self, config: IngestConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._decoder = IsolatedDecoder(config.limits)
        self._transcribe = Transcriber(config.speech_model) if config.speech_model else None

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
                    if not _is_object(file.uri):
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
        cues, source, language, note = self._captions(file, facts, local)
        return {
            "video_id": video_id, "uri": file.uri, "size_bytes": local.stat().st_size, "source_digest": file.digest,
            "container": facts.container, "codec": facts.codec, "width": facts.width, "height": facts.height,
            "rotation": facts.rotation, "fps": facts.fps, "duration_seconds": facts.duration_seconds,
            "has_audio": facts.has_audio, "title": PurePosixPath(file.uri).stem, "caption_source": source,
            "caption_language": language, "caption_note": note,
            "cues": [{"start_seconds": c.start_seconds, "end_seconds": c.end_seconds, "text": c.text} for c in cues],
        }  # fmt: skip

    def _captions(self, file: SourceFile, facts: VideoProbe, local: Path) -> tuple[list[Cue], str, str, str]:
        """Cues, their source, language, and what went wrong on the way; a video without captions is legal."""
        notes = []
        for uri, _ in file.sidecars:
            suffix = PurePosixPath(uri).suffix.lower()
            try:
                cues = parse_captions(_read(uri), suffix)
            except ValueError as error:
                notes.append(f"{uri}: {error}")
                continue
            if cues:
                return cues, suffix.removeprefix("."), _language_of(uri), "; ".join(notes)
        try:
            if facts.subtitles:
                cues = clean_cues(self._decoder.subtitles(local, language=self._config.language))
                if cues:
                    return cues, "embedded", self._config.language, "; ".join(notes)
            if self._transcribe and facts.has_audio:
                cues, language = self._transcribe(self._decoder.sound(local))
                if cues:
                    return cues, "speech", language, "; ".join(notes)
        except VideoError as error:  # the pictures may be good all the same
            notes.append(f"subtitles or sound: {error.reason}: {error}")
        return [], "none", "", "; ".join(notes)


def _read(uri: str) -> bytes:
    """The bytes of a caption file, and not many more than are allowed however large it is."""
    if not _is_object(uri):
        raise ValueError("a pipe, a device or a folder")
    filesystem, path = open_filesystem(uri)
    try:
        with filesystem.open(path, "rb") as source:
            return bytes(source.read(MAX_CAPTION_BYTES + 1))
    except FileNotFoundError as error:
        raise ValueError("vanished since it was listed") from error
    except PermissionError as error:
        raise ValueError("may not be read") from error


def _is_object(uri: str) -> bool:
    """False for a pipe, a device or a folder, which a local name may stand for: reading them may never end."""
    filesystem, path = open_filesystem(uri)
    return not isinstance(filesystem, LocalFileSystem) or not Path(path).exists() or Path(path).is_file()


def _language_of(uri: str) -> str:
    """`talk.en.vtt` -> `en`."""
    parts = PurePosixPath(uri).name.split(".")
    return parts[-2] if len(parts) > 2 and 2 <= len(parts[-2]) <= 5 and parts[-2] != "info" else ""
