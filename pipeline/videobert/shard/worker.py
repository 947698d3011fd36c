"""One tar: the original bytes of its videos, checked against the catalog, with their metadata."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from videobert.errors import VideoError
from videobert.runtime.filesystem import fetch
from videobert.runtime.manifest import Output, Reject
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.shard.core import member_name

__all__ = ["ShardWorker"]


class ShardWorker:
    """Packs the catalog rows of one shard."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, task: ShardTask) -> Output:
        rejects: list[Reject] = []
        packed = 0
        with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
            tar_path, video_path = Path(folder) / "shard.tar", Path(folder) / "video"
            with tar_path.open("wb") as sink:
                tar = TarWriter(sink)
                for metadata in task.payload.values():
                    row = json.loads(metadata)
                    try:
                        _fetch_exactly(row, video_path)
                    except VideoError as error:
                        rejects.append(Reject.of(error, video_id=row["video_id"], uri=row["uri"]))
                        continue
                    # WebDataset groups neighbours of one key; a stream reads the metadata before the bytes.
                    tar.add(f"{row['video_id']}.json", metadata)
                    tar.add_file(member_name(row), video_path)
                    packed += 1
                tar.close()
            return finish(self._store, task, data=tar_path, counts={"videos": packed}, rejects=rejects)


def _fetch_exactly(row: dict[str, Any], target: Path) -> None:
    found = fetch(row["uri"], target)
    if found != row["video_id"]:
        raise VideoError(
            "changed",
            f"{row['uri']} has other bytes ({found[:12]}) than when it was ingested ({row['video_id'][:12]}); "
            "run ingest again",
        )
