"""Finds what a stage reads: follows the stages' own declarations through a recipe, or back from a chosen artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videobert.errors import InputError
from videobert.recipes import Recipe
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, batches_of, load_manifest, load_manifests
from videobert.runtime.storage import Store
from videobert.stages import AnyBatchStage, AnyCorpusStage, CorpusStage, corpus_stages, get_stage

__all__ = ["Resolver", "Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which artifacts a stage reads; what is empty follows from the other, or from the recipe."""

    codebook: str = ""
    """Spec of a codebook; empty: that of the chosen model, else the one this recipe makes of all batches."""
    model: str = ""
    """Spec of a model, or `current` for the promoted one; empty: the one this recipe makes of the codebook."""
    task: str = ""
    """Spec of a fine-tuned model; empty: the one this recipe makes of the model and its labels."""

    def of(self, stage: AnyCorpusStage) -> str:
        """What was chosen of a stage's artifacts; empty: nothing."""
        chosen: str = getattr(self, stage.artifact, "") if stage.artifact else ""
        return chosen


class Resolver:
    """A `Lookup` over one store: nothing is guessed, what is not committed is an InputError with its cure."""

    def __init__(self, recipe: Recipe, store: Store, selection: Selection) -> None:
        self._recipe = recipe
        self._store = store
        self._selection = selection
        self._specs: dict[str, str] = {}
        self._artifacts: dict[str, Manifest] = {}

    def batch_inputs(self, stage: AnyBatchStage, batch: str) -> Inputs:
        """Inputs of a batch stage."""
        return Inputs(store=self._store, batch=batch, upstream=stage.upstream(self, batch))

    def corpus_inputs(self, stage: AnyCorpusStage, batches: Sequence[str] = ()) -> Inputs:
        """Inputs of a corpus stage; `batches` are those that the user named."""
        return Inputs(store=self._store, upstream=stage.upstream(self, batches))

    def committed_batches(self, name: str, spec: str) -> list[str]:
        there = batches_of(self._store, name, spec)
        found = [batch for batch, manifest in load_manifests(self._store, name, spec, there) if manifest]
        if not found:
            raise InputError(
                f"no batch has {name} of {spec} below {self._store.root}; run `videobert stage {name} --batch KEY` "
                "for one, with the same recipe"
            )
        return found

    def spec(self, name: str, **given: str) -> str:
        if not given and name in self._specs:
            return self._specs[name]
        stage = get_stage(name)
        if isinstance(stage, CorpusStage):
            return self.artifact(name).spec
        upstream = {read: given.get(read) or self.spec(read) for read in stage.reads if not given or read in given}
        spec = stage.spec(self._recipe.config_of(stage), upstream)
        if not given:
            self._specs[name] = spec
        return spec

    def batch_manifest(self, name: str, spec: str, batch: str) -> Manifest:
        manifest = load_manifest(self._store, name, spec, batch)
        if manifest is None:
            raise InputError(
                f"{name} of batch {batch!r} is not committed as {spec}; "
                f"run `videobert stage {name} --batch {batch}` with this recipe first"
            )
        return manifest

    def artifact(self, name: str) -> Manifest:
        if name not in self._artifacts:
            stage = get_stage(name)
            assert isinstance(stage, CorpusStage)
            self._artifacts[name] = self._find_artifact(stage)
        return self._artifacts[name]

    def _find_artifact(self, stage: AnyCorpusStage) -> Manifest:
        if wanted := self._selection.of(stage):
            return self._corpus_manifest(stage, stage.current(self._store) if wanted == "current" else wanted)
        for other in corpus_stages():
            if stage.name in other.reads and self._selection.of(other):
                return self._corpus_manifest(stage, self.artifact(other.name).source_spec(stage.name))
        return self._corpus_manifest(stage, stage.spec(self._recipe.config_of(stage), self.corpus_inputs(stage)))

    def _corpus_manifest(self, stage: AnyCorpusStage, spec: str) -> Manifest:
        manifest = load_manifest(self._store, stage.name, spec, "")
        if manifest is None:
            raise InputError(
                f"{stage.name} {spec} is not committed below {self._store.root}; "
                f"run `videobert stage {stage.name}` with this recipe first, or name one that is there "
                "(`videobert status`)"
            )
        return manifest
