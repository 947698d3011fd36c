"""Runs files through ingest, shard and features, and tells how each ended: as rows or as one dead letter."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.hostile.corpus.case import ROWS, Case
from videobert.flow import StageResult, run_stage
from videobert.recipes import Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor
from videobert.runtime.manifest import load_manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_members
from videobert.stages import flow_of
from videobert.video.limits import DecoderLimits

__all__ = ["BATCH", "Harvest", "harvest", "hostile_recipe", "put"]

BATCH = "2026-01-01"


@dataclasses.dataclass(frozen=True)
class Harvest:
    """What came out of one batch."""

    results: list[StageResult]
    endings: dict[str, list[str]]
    """Path below the batch's folder -> its endings; one each, when all is well."""
    rows: dict[str, list[int]]
    """Path -> numbers of its clips."""
    letters: dict[str, dict[str, Any]]
    """Path -> its dead letter."""
    twice: int
    """Rows of the catalog, members of the tars and clips that are there more than once."""

    @property
    def lost(self) -> list[str]:
        return [path for path, found in self.endings.items() if not found]


def put(folder: Path, cases: Iterable[Case]) -> dict[str, Case]:
    """Write the files of a batch: path below its folder -> case."""
    written = {}
    for case in cases:
        target = folder / BATCH / case.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(case.data)
        written[target.relative_to(folder / BATCH).as_posix()] = case
    return written


def hostile_recipe(folder: Path, *, limits: DecoderLimits | None = None, files_per_part: int = 16) -> Recipe:
    """The demo with one picture a clip, small parts and shards, and these limits."""
    base, limits = demo(), limits or DecoderLimits()
    return dataclasses.replace(
        base,
        ingest=dataclasses.replace(
            base.ingest, source=f"{folder}/{{batch}}", files_per_part=files_per_part, limits=limits
        ),
        shard=dataclasses.replace(base.shard, shard_bytes=300_000),
        features=dataclasses.replace(base.features, frames_per_clip=1, device="cpu", limits=limits),
    )


def harvest(recipe: Recipe, root: Path, paths: Iterable[str], *, executor: Executor | None = None) -> Harvest:
    """Run the first three stages and look at all that they wrote."""
    store, folder = Store(str(root)), recipe.ingest.source.replace("{batch}", BATCH)
    results: list[StageResult] = []
    for name in flow_of("ingest"):
        results += run_stage(
            recipe, store, name, batches=(BATCH,), selection=Selection(), executor=executor or LocalExecutor()
        )

    def rows(stage: str) -> list[dict[str, Any]]:
        spec = next(result.spec for result in results if result.stage == stage)
        manifest = load_manifest(store, stage, spec, BATCH)
        assert manifest is not None
        return [row for output in manifest.outputs for row in read_table(store, output.path).to_pylist()]

    def below(uri: str) -> str:
        return uri.removeprefix(f"file://{folder}/")

    ids = {below(row["uri"]): row["video_id"] for row in rows("ingest")}
    clips = [(row["video_id"], row["clip"]) for row in rows("features")]
    letters = [
        row
        for path in store.list("dead_letters")
        if any(result.spec in path for result in results)
        for row in read_table(store, path).to_pylist()
    ]
    seen = Counter[Any](clips) + Counter(below(row["uri"]) for row in rows("ingest")) + Counter(_members(store))
    endings: dict[str, list[str]] = {}
    for path in paths:
        video = ids.get(path)
        own = [r for r in letters if below(r["uri"]) == path or (video and r["video_id"] == video)]
        endings[path] = [f"{r['stage']} {r['reason']}" for r in own] + [ROWS] * any(v == video for v, _ in clips)
    return Harvest(
        results=results,
        endings=endings,
        rows={path: sorted(clip for v, clip in clips if v == video) for path, video in ids.items()},
        letters={below(row["uri"]): row for row in letters},
        twice=sum(count - 1 for count in seen.values()),
    )


def _members(store: Store) -> list[str]:
    names = []
    for path in store.list("shards"):
        if path.endswith(".tar"):
            with store.open(path) as tar:
                names += [name for name, _ in read_members(tar)]
    return names
