"""videobert replay: what was mended becomes rows, what was not counts one try more, the rest stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.faults.reference import BATCH, check_manifests, objects_of, run_step, tiny_recipe, write_corpus
from videobert.admin.replay import find_letters, replay
from videobert.errors import InputError, VideoError
from videobert.ingest import worker as ingest_worker
from videobert.recipes import Recipe
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.filesystem import fetch
from videobert.runtime.storage import Store
from videobert.stages import flow_of


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def run_ingest(recipe: Recipe, store: Store) -> None:
    for stage in flow_of("ingest"):
        run_step(recipe, store, stage, LocalExecutor())


def letters(store: Store) -> dict[str, dict[str, Any]]:
    rows = [r for path in store.list("dead_letters") for r in pq.read_table(store.open(path)).to_pylist()]
    return {Path(row["uri"]).name: row for row in rows}


def rows_of(store: Store, folder: str) -> list[dict[str, Any]]:
    found = [r for p in store.list(folder) if p.endswith(".parquet") for r in pq.read_table(store.open(p)).to_pylist()]
    return sorted(found, key=lambda row: (row["video_id"], row.get("clip", 0)))


@pytest.mark.slow
def test_a_mended_video_becomes_rows_and_costs_only_its_shard(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, store, straight = tiny_recipe(corpus), Store(str(tmp_path / "a")), Store(str(tmp_path / "b"))
    real = fetch

    def forbidden(url: str, target: Path) -> str:
        if "kitchen-00003" in url:
            raise VideoError("forbidden", f"{url} may not be read")
        return real(url, target)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_worker, "fetch", forbidden)  # a bucket whose policy is mended later
        run_ingest(recipe, store)
    before = objects_of(store)
    assert letters(store)["kitchen-00003.mp4"]["reason"] == "forbidden"
    replay(recipe, store, find_letters(store, "forbidden"), LocalExecutor(), done=lambda _: None)
    run_ingest(recipe, straight)
    after = objects_of(store)
    check_manifests(after)
    assert letters(store).keys() == letters(straight).keys()
    for folder in ("catalog", "features"):
        assert rows_of(store, folder) == rows_of(straight, folder)
    kept = {path for path in before if path.endswith((".tar", ".parquet")) and after.get(path) == before[path]}
    assert {path.split("/")[0] for path in kept} == {"catalog", "shards", "features"}
    writes = store.writes
    run_ingest(recipe, store)
    assert store.writes == writes  # the replayed state is a committed state


@pytest.mark.slow
def test_a_try_that_changes_nothing_is_counted_and_costs_nothing_downstream(corpus: Path, tmp_path: Path) -> None:
    recipe, store = tiny_recipe(corpus), Store(str(tmp_path))
    run_ingest(recipe, store)
    before = objects_of(store)
    where = "uri like '%broken-text%' and stage = 'ingest'"
    for tries in (2, 3):
        replay(recipe, store, find_letters(store, where), LocalExecutor(), done=lambda _: None)
        assert letters(store)["broken-text.mp4"]["attempts"] == tries
    after = objects_of(store)
    check_manifests(after)
    assert {path for path in after if after[path] != before.get(path)} | (before.keys() - after.keys()) == {
        f"catalog/batch={BATCH}/_manifest.json", next(path for path in before if path.startswith("dead_letters/"))
    }  # fmt: skip
    again = letters(store)
    run_ingest(recipe, store)  # an ordinary run tries nothing again
    assert letters(store) == again


def test_what_matches_nothing_or_is_of_another_recipe_is_said(corpus: Path, tmp_path: Path) -> None:
    recipe, store = tiny_recipe(corpus), Store(str(tmp_path))
    with pytest.raises(InputError, match="no dead letter"):
        find_letters(store, "undecodable")
    run_step(recipe, store, "ingest", LocalExecutor())
    with pytest.raises(InputError, match="'vanished'"):
        find_letters(store, "vanished")
    with pytest.raises(InputError, match="DuckDB refuses"):
        find_letters(store, "no_such_column = 1")
    (found,) = find_letters(store, "attempts < 9")
    assert (found.stage, found.batch, found.videos) == ("ingest", BATCH, 3)
    with pytest.raises(InputError, match=found.spec):
        replay(Recipe(), store, [found], LocalExecutor(), done=lambda _: None)
