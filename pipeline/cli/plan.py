"""`--dry-run`: what is committed and what would run."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import InputError
from pipeline.recipes import Recipe
from pipeline.resolve import Resolver, Selection
from pipeline.runtime.manifest import load_manifest
from pipeline.runtime.storage import Store
from pipeline.stages import get_stage

__all__ = ["print_plan"]


def print_plan(recipe: Recipe, store: Store, names: Sequence[str], batches: Sequence[str]) -> None:
    """One line a stage and batch; writes nothing."""
    resolver = Resolver(recipe, store, Selection())
    for name in names:
        stage = get_stage(name)
        for batch in batches or ("",):
            if name in resolver.specs:
                spec = resolver.specs[name]
                manifest = load_manifest(store, name, spec, batch)
                state = f"committed, {manifest.counts}" if manifest else "would run"
            else:
                spec, state = "", _later(resolver, name, batch)
            print(f"{name:<9} {batch if stage.scope == 'batch' else 'corpus':<12} {spec:<24} {state}")
            if stage.scope == "corpus":
                break


def _later(resolver: Resolver, name: str, batch: str) -> str:
    stage = get_stage(name)
    try:
        if stage.scope == "batch":
            resolver.batch_inputs(stage, batch)
        else:
            resolver.corpus_inputs(stage)
    except InputError as error:
        return f"would run later: {error}"
    return "would run, or find itself committed: its inputs stand"
