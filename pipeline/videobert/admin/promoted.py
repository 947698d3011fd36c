"""Embeds with the promoted model, and once more where readers turn to another one meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from videobert.embed.stage import EMBED
from videobert.errors import InputError, PipelineError
from videobert.flow import StageResult, run_stage
from videobert.pretrain.stage import PRETRAIN
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Share
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.stages import flow_of

__all__ = ["follows_promoted", "run_with_promoted"]

_ROUNDS = 5


def follows_promoted(name: str) -> bool:
    """Whether what a stage writes with the promoted model is for its readers."""
    return name in flow_of("embed")


def run_with_promoted(
    recipe: Recipe, store: Store, name: str, *, batches: Sequence[str], executor: Executor, share: Share
) -> list[StageResult]:
    """Run a stage that `follows_promoted` over batches with the model that readers take, also when it has ended.

    Raises InputError where no model is promoted, or readers take embeddings that this recipe does not write;
    PipelineError where they turn again and again.
    """
    before = flow_of("embed")[: flow_of("embed").index(name)]
    for _ in range(_ROUNDS):
        model = PRETRAIN.current(store)
        _check_readers_take_them(recipe, store)
        selection = Selection(model=model)
        for stage in before:  # committed, unless readers have turned since that stage ran
            run_stage(recipe, store, stage, batches=batches, selection=selection, executor=executor)
        results = run_stage(
            recipe, store, name, batches=batches, selection=selection, executor=executor, share=share
        )  # fmt: skip
        if PRETRAIN.current(store) == model:
            return results
    raise PipelineError(f"readers turned to another model {_ROUNDS} times meanwhile; run this again")


def _check_readers_take_them(recipe: Recipe, store: Store) -> None:
    pointer = read_pointer(store)
    if pointer is None:
        return
    written = EMBED.spec(recipe.embed, {"pretrain": pointer.model_spec})
    if written != pointer.embed_spec:
        raise InputError(
            f"readers take embeddings/model={pointer.embed_spec}, and this recipe and version write {written}, which "
            f"nobody would see; turn readers with `videobert models --promote {pointer.model_spec}` and this recipe, "
            "which embeds every batch first"
        )
