"""`--dry-run`: what is committed and what would run."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store
from videobert.stages import get_stage

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
