"""Which batches a model's embeddings lack, and how they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from videobert.embed.stage import EMBED
from videobert.errors import InputError
from videobert.flow import run_stage
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import Executor
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest, load_manifests
from videobert.runtime.storage import Store
from videobert.stages import flow_of

__all__ = ["embed_batches", "find_missing"]


def find_missing(store: Store, model: Manifest, embed_spec: str, *, readable: Iterable[str]) -> list[str]:
    """Batches that readers of these embeddings would miss, sorted: not embedded, or from features made anew since.

    They ought to find what the model was trained on, what they find in the embeddings `readable` (their specs), and
    every batch whose features are committed.
    """
    codebook = load_manifest(store, "codebook", model.source_spec("codebook"), "")
    if codebook is None:
        raise InputError(f"the codebook of {model.spec} is gone from {store.root}; train a model again")
    feature_spec = codebook.source_spec("features")
    wanted = set(model.facts["batches"]) | committed_batches(store, "features", feature_spec)
    for spec in {embed_spec, *readable}:
        wanted |= committed_batches(store, "embed", spec)
    batches = sorted(wanted)
    embeds = load_manifests(store, "embed", embed_spec, batches)
    tokens = load_manifests(store, "tokens", model.source_spec("tokens"), batches)
    features = load_manifests(store, "features", feature_spec, batches)
    found = zip(embeds, tokens, features, strict=True)
    return [batch for (batch, embed), (_, token), (_, feature) in found if not _is_current(embed, token, feature)]


def embed_batches(
    recipe: Recipe, store: Store, model: Manifest, embed_spec: str, batches: Sequence[str], executor: Executor | None
) -> None:
    """Tokens and embeddings of batches with a model. Raises InputError where they cannot be made, or shall not be."""
    named = f"batches {', '.join(batches)} are not embedded with {model.spec}, and readers would miss them"
    if executor is None:
        raise InputError(f"{named}; run `videobert models --promote {model.spec}`, which embeds them first")
    written = EMBED.spec(recipe.embed, {"pretrain": model.spec})
    if written != embed_spec:
        raise InputError(
            f"{named}; this recipe and version write embeddings/model={written} and not {embed_spec}; run this with "
            f"the recipe that made those, or turn readers with `videobert models --promote {model.spec}`"
        )
    try:
        for name in flow_of("embed"):
            run_stage(recipe, store, name, batches=batches, selection=Selection(model=model.spec), executor=executor)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{named}; embedding them runs the model, and {error.name} is not installed; run this where "
            "'videobert-pipeline[worker]' is"
        ) from error


def _is_current(embed: Manifest | None, tokens: Manifest | None, features: Manifest | None) -> bool:
    """Whether a batch is embedded from its features as they are; without features there is nothing newer."""
    if embed is None or features is None:
        return embed is not None
    return tokens is not None and _was_made_from(embed, tokens) and _was_made_from(tokens, features)


def _was_made_from(made: Manifest, source: Manifest) -> bool:
    return source.as_source() in made.sources
