"""Runs a stage: finds what it reads, calls its `run`, for one batch, several, or the corpus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs, Share
from videobert.runtime.manifest import Manifest, manifest_path
from videobert.runtime.stage import stage_record
from videobert.runtime.storage import Store
from videobert.stages import AnyStage, BatchStage, CorpusStage, batch_stages, get_stage

__all__ = ["StageResult", "run_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What one run of a stage did."""

    stage: str
    spec: str
    batch: str
    manifest: str
    """URL of the manifest; empty while other shares of the batch are not done."""
    digest: str
    """Of the manifest."""
    counts: dict[str, int]
    seconds: float
    computed: bool
    """False when everything was already committed."""
    facts: dict[str, Any]
    inputs: tuple[str, ...]
    """URLs of the manifests it read."""


def run_stage(
    recipe: Recipe,
    store: Store,
    name: str,
    *,
    batches: Sequence[str],
    selection: Selection,
    executor: Executor,
    share: Share | None = None,
    retry: frozenset[int] = frozenset(),
) -> list[StageResult]:
    """Run one stage over its batches (empty: all there are); one result per batch, or one for the corpus.

    `retry` names committed shards to do once more.
    """
    stage = get_stage(name)
    if share and share.count > 1:
        _check_shared(stage, share)
    resolver = Resolver(recipe, store, selection)
    if isinstance(stage, CorpusStage):
        return [_run(recipe, store, stage, resolver.corpus_inputs(stage, batches), executor)]
    chosen = list(batches) or stage.batches(resolver)
    inputs = (resolver.batch_inputs(stage, batch) for batch in chosen)
    return [_run(recipe, store, stage, replace(i, share=share or Share(), retry=retry), executor) for i in inputs]


def _check_shared(stage: AnyStage, share: Share) -> None:
    if not (isinstance(stage, BatchStage) and stage.can_be_shared):
        can = ", ".join(other.name for other in batch_stages() if other.can_be_shared)
        raise InputError(f"{stage.name} cannot be split into {share.count} shares, only {can} can; leave --share out")


def _run(recipe: Recipe, store: Store, stage: AnyStage, inputs: Inputs, executor: Executor) -> StageResult:
    started, written = time.monotonic(), store.writes
    manifest: Manifest = stage.run(recipe.config_of(stage), inputs, executor)
    path = manifest_path(stage, manifest.spec, inputs.batch)
    whole = inputs.share.count == 1 or store.read_or_none(path) == manifest.to_bytes()
    return StageResult(
        stage=stage.name, spec=manifest.spec, batch=inputs.batch, manifest=store.url(path) if whole else "",
        digest=manifest.digest, counts=manifest.counts, seconds=round(time.monotonic() - started, 2),
        computed=store.writes > written, facts=manifest.facts,
        inputs=tuple(store.url(manifest_path(stage_record(s.stage), s.spec, s.batch)) for s in inputs.sources),
    )  # fmt: skip
