"""Which manifests a stage reads: follows the graph of `stages.py` through a recipe, or back from a chosen model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from videobert.errors import InputError
from videobert.pretrain.spec import pretrain_spec
from videobert.recipes import Recipe
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, batches_of, load_manifest, load_manifests
from videobert.runtime.pointer import read_pointer
from videobert.runtime.spec import corpus_spec, stage_spec
from videobert.runtime.storage import Store
from videobert.stages import Stage, get_stage

__all__ = ["Resolver", "Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which corpus artefacts a stage reads."""

    codebook: str = ""
    """Spec of a codebook; empty: that of the chosen model, else the one this recipe makes of all batches."""
    model: str = ""
    """Spec of a model, or `current` for the promoted one; empty: the one this recipe makes of the codebook."""


class Resolver:
    """Finds the inputs of one stage; nothing is guessed: what is not committed is an InputError with its cure."""

    def __init__(self, recipe: Recipe, store: Store, selection: Selection) -> None:
        self._recipe = recipe
        self._store = store
        self._selection = selection

    def batches(self, stage: Stage) -> list[str]:
        """Every batch at which the stage could run: those with the batch manifest it reads."""
        source = "features" if stage.name in ("codebook", "tokens", "embed") else "ingest"
        spec = self.specs[source]
        there = batches_of(self._store, source, spec)
        found = [batch for batch, manifest in load_manifests(self._store, source, spec, there) if manifest]
        if not found:
            raise InputError(
                f"no batch has {source} of {spec} below {self._store.root}; run `videobert stage {source} --batch KEY` "
                "for one, with the same recipe"
            )
        return found

    def batch_inputs(self, stage: Stage, batch: str) -> Inputs:
        """Inputs of a batch stage."""
        upstream: dict[str, tuple[Manifest, ...]] = {}
        for name in stage.reads:
            if name == "codebook":
                upstream[name] = (self.codebook,)
            elif name == "pretrain":
                upstream[name] = (self.model,)
            elif name == "tokens":
                upstream[name] = (self._batch_manifest(name, _tokens_spec(self.model), batch),)
            else:
                upstream[name] = (self._batch_manifest(name, self.specs[name], batch),)
        return Inputs(store=self._store, batch=batch, upstream=upstream)

    def corpus_inputs(self, stage: Stage, batches: Sequence[str] = ()) -> Inputs:
        """Inputs of a corpus stage: the codebook is fitted on `batches`, what follows is bound to its batches."""
        upstream: dict[str, tuple[Manifest, ...]] = {}
        if stage.name == "codebook":
            keys = sorted(batches) or self.batches(stage)
            for name in stage.reads:
                upstream[name] = tuple(self._batch_manifest(name, self.specs[name], key) for key in keys)
            return Inputs(store=self._store, upstream=upstream)
        upstream["codebook"] = (self.codebook,)
        if "pretrain" in stage.reads:
            upstream["pretrain"] = (self.model,)
            tokens_spec = _tokens_spec(self.model)
        else:
            tokens_spec = stage_spec(
                get_stage("tokens"),
                self._recipe.tokens,
                upstream=[self.codebook.facts["feature_spec"], self.codebook.spec],
            )
        keys = self.codebook.facts["batches"]
        upstream["tokens"] = tuple(self._batch_manifest("tokens", tokens_spec, key) for key in keys)
        return Inputs(store=self._store, upstream=upstream)

    @cached_property
    def specs(self) -> dict[str, str]:
        """Specs that the recipe gives to the first three stages."""
        from videobert.features.encoders import output_identity

        ingest = stage_spec(get_stage("ingest"), self._recipe.ingest, upstream=())
        shard = stage_spec(get_stage("shard"), self._recipe.shard, upstream=[ingest])
        features = stage_spec(get_stage("features"), output_identity(self._recipe.features), upstream=[shard])
        return {"ingest": ingest, "shard": shard, "features": features}

    @cached_property
    def codebook(self) -> Manifest:
        """The chosen codebook, that of the chosen model, or the one this recipe makes."""
        stage = get_stage("codebook")
        if self._selection.codebook:
            return self._corpus_manifest(stage, self._selection.codebook)
        if self._selection.model:
            return self._corpus_manifest(stage, self.model.facts["codebook_spec"])
        return self._corpus_manifest(stage, corpus_spec(stage, self._recipe.codebook, self.corpus_inputs(stage)))

    @cached_property
    def model(self) -> Manifest:
        """The chosen model, the promoted one, or the one this recipe makes."""
        stage, wanted = get_stage("pretrain"), self._selection.model
        if wanted == "current":
            pointer = read_pointer(self._store)
            if pointer is None:
                raise InputError(
                    f"no model is promoted below {self._store.root}; "
                    "train one (`videobert run`), or name one with --model"
                )
            wanted = pointer.model_spec
        wanted = wanted or pretrain_spec(self._recipe.pretrain, self.corpus_inputs(stage))
        return self._corpus_manifest(stage, wanted)

    def _batch_manifest(self, name: str, spec: str, batch: str) -> Manifest:
        manifest = load_manifest(self._store, name, spec, batch)
        if manifest is None:
            raise InputError(
                f"{name} of batch {batch!r} is not committed as {spec}; "
                f"run `videobert stage {name} --batch {batch}` with this recipe first"
            )
        return manifest

    def _corpus_manifest(self, stage: Stage, spec: str) -> Manifest:
        manifest = load_manifest(self._store, stage.name, spec, "")
        if manifest is None:
            raise InputError(
                f"{stage.name} {spec} is not committed below {self._store.root}; "
                f"run `videobert stage {stage.name}` with this recipe first, or name one that is there "
                "(`videobert status`)"
            )
        return manifest


def _tokens_spec(model: Manifest) -> str:
    return next(source.spec for source in model.sources if source.stage == "tokens")
