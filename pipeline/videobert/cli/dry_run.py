"""`--dry-run`: what is committed and what would run."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store
from videobert.stages import AnyStage, CorpusStage, get_stage

__all__ = ["print_plan"]


def print_plan(
    recipe: Recipe, store: Store, names: Sequence[str], batches: Sequence[str], selection: Selection
) -> None:
    """One line per stage and batch; without batches, for all at which the stage could run. Writes nothing."""
    resolver = Resolver(recipe, store, selection)
    for name in names:
        stage = get_stage(name)
        for batch in _batches(resolver, stage, batches):
            spec, state = _state(recipe, resolver, store, stage, batch, batches)
            print(f"{name:<9} {batch or 'corpus':<12} {spec:<24} {state}")


def _batches(resolver: Resolver, stage: AnyStage, batches: Sequence[str]) -> Sequence[str]:
    return ("",) if isinstance(stage, CorpusStage) else batches or stage.batches(resolver)


def _state(
    recipe: Recipe, resolver: Resolver, store: Store, stage: AnyStage, batch: str, batches: Sequence[str]
) -> tuple[str, str]:
    """The spec, as far as it is known, and what would become of the stage."""
    config = recipe.config_of(stage)
    try:
        if isinstance(stage, CorpusStage):
            inputs = resolver.corpus_inputs(stage, batches)
            spec = stage.spec(config, inputs)
        else:
            inputs = resolver.batch_inputs(stage, batch)
            spec = stage.spec(config, inputs.upstream_specs)
    except InputError as error:
        return _later(resolver, store, stage, batch, error)
    manifest = load_manifest(store, stage.name, spec, batch)
    if manifest and manifest.sources == inputs.sources:
        return spec, _committed(manifest)
    return spec, "would run: what it reads has changed since it was committed" if manifest else "would run"


def _later(resolver: Resolver, store: Store, stage: AnyStage, batch: str, error: InputError) -> tuple[str, str]:
    """A stage whose inputs are not there: done under this recipe all the same, or to be done after them."""
    try:
        spec = resolver.spec(stage.name)
    except InputError:
        return "", f"would run later: {error}"
    manifest = load_manifest(store, stage.name, spec, batch)
    return spec, _committed(manifest) if manifest else f"would run later: {error}"


def _committed(manifest: Manifest) -> str:
    return f"already committed, {manifest.counts}"
