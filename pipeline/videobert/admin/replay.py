"""Replay: dead letters are tried again once something outside of the inputs was mended, and nothing else is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from videobert.errors import InputError
from videobert.flow import StageResult, run_stage
from videobert.query.sql import run_sql
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.executor import Executor
from videobert.runtime.manifest import load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.stages import flow_of

__all__ = ["Letters", "find_letters", "replay"]

_REASON = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """The dead letters of one stage and batch that are to be tried again."""

    stage: str
    spec: str
    batch: str
    shards: frozenset[int]
    """Shards that hold them; all videos of these are done once more."""
    videos: int


def find_letters(store: Store, where: str, batches: Sequence[str] = ()) -> list[Letters]:
    """Dead letters of a reason, or those that a condition in SQL over their columns picks, by batch and stage.

    Raises InputError when none does, or for a condition that DuckDB refuses.
    """
    condition = f"reason = '{where}'" if _REASON.fullmatch(where) else where
    rows = []
    if any(path.endswith(".parquet") for path in store.list("dead_letters")):
        columns = "stage, spec, batch, list(distinct shard), count(*)"
        # The condition is the caller's own SQL over the caller's own letters; run_sql can read nothing else.
        query = f"select {columns} from dead_letters where ({condition}) group by all order by batch, stage"  # noqa: S608
        relation = run_sql(store, None, query)
        rows = relation.fetchall() if relation is not None else []
    found = [
        Letters(stage=stage, spec=spec, batch=batch, shards=frozenset(shards), videos=videos)
        for stage, spec, batch, shards, videos in rows
        if not batches or batch in batches
    ]
    if not found:
        raise InputError(
            f"no dead letter below {store.root} matches {where!r}; `videobert dead-letters` shows what there is"
        )
    return found


def replay(
    recipe: Recipe, store: Store, letters: Sequence[Letters], executor: Executor, done: Callable[[StageResult], object]
) -> None:
    """Try the letters' shards again, and carry what comes out on to features, and to embeddings of the promoted model.

    `done` gets the result of each stage. Where a try changes nothing, only its `attempts` grow. Raises InputError for
    letters of another recipe.
    """
    resolver = Resolver(recipe, store, Selection())
    flow = flow_of("ingest")
    specs = {name: resolver.spec(name) for name in flow}
    if foreign := sorted({letter.spec for letter in letters if letter.spec != specs.get(letter.stage)}):
        raise InputError(
            f"the dead letters are of {', '.join(foreign)}, this recipe makes {', '.join(specs.values())}; "
            "give the recipe and flags that made them, or narrow --where with: spec = '...'"
        )
    for batch in sorted({letter.batch for letter in letters}):
        shards = {letter.stage: letter.shards for letter in letters if letter.batch == batch}
        first = min(flow.index(stage) for stage in shards)
        for name in flow[first:]:
            again = shards.get(name, frozenset())
            for result in run_stage(
                recipe, store, name, batches=[batch], selection=Selection(), executor=executor, retry=again
            ):
                done(result)
        _embed(recipe, store, batch, set(specs.values()), executor, done)


def _embed(
    recipe: Recipe, store: Store, batch: str, specs: set[str], executor: Executor, done: Callable[[StageResult], object]
) -> None:
    """What readers see: tokens and embeddings of the promoted model, where it reads these features."""
    pointer = read_pointer(store)
    model = load_manifest(store, "pretrain", pointer.model_spec, "") if pointer else None
    if model is None or model.facts["feature_spec"] not in specs:
        return
    for name in flow_of("embed"):
        selection = Selection(model=model.spec)
        for result in run_stage(recipe, store, name, batches=[batch], selection=selection, executor=executor):
            done(result)
