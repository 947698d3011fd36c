"""A batch of small real videos in a folder, and what ingest makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.video.videos import numbered_frame, write_video
from videobert.ingest.config import IngestConfig
from videobert.ingest.run import run
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.filesystem import fetch
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store

BATCH = "2026-01-01"
CAPTIONS = "WEBVTT\n\n00:00.000 --> 00:01.000\nCut the onion.\n"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three real videos of two seconds, of different bytes."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        write_video(folder / f"{n}.mp4", [numbered_frame(n + k) for k in range(20)], fps=10, audio=n == 0)
        for n in range(3)
    ]


@dataclass
class Batch:
    """A source folder, a root, and the videos that were read."""

    folder: Path
    store: Store
    config: IngestConfig
    fetched: list[str] = field(default_factory=list)

    def put(self, source: Path | bytes, name: str) -> Path:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())
        return target

    def run(self, **changes: Any) -> Manifest:
        self.fetched.clear()
        config = IngestConfig(**{"source": self.config.source, "files_per_part": 2, **changes})
        return run(config, Inputs(store=self.store, batch=BATCH), LocalExecutor())

    def rows(self, manifest: Manifest) -> dict[str, dict[str, Any]]:
        table = pa.concat_tables(read_table(self.store, output.path) for output in manifest.outputs)
        return {row["uri"].rsplit("/", 1)[-1]: row for row in table.to_pylist()}

    def letters(self) -> dict[str, str]:
        tables = [read_table(self.store, path) for path in self.store.list("dead_letters")]
        return {row["uri"].rsplit("/", 1)[-1]: row["reason"] for table in tables for row in table.to_pylist()}


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    folder = tmp_path / "source" / BATCH
    config = IngestConfig(source=f"file://{tmp_path}/source/{{batch}}", files_per_part=2)
    made = Batch(folder, Store(str(tmp_path / "root")), config)

    def counted(url: str, target: Path) -> str:
        made.fetched.append(url.rsplit("/", 1)[-1])
        return fetch(url, target)

    monkeypatch.setattr("videobert.ingest.worker.fetch", counted)
    return made
