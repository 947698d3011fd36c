"""A video that is in no batch, embedded as one would: the same stages, over a store that keeps the root as it is.

On CPU the vectors are those of the batch, bit for bit, for the same video with the same captions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from videobert.embed.config import EmbedConfig
from videobert.embed.stage import EMBED
from videobert.errors import InputError, VideoError
from videobert.features.config import FeaturesConfig
from videobert.flow import run_stage
from videobert.ingest.config import IngestConfig
from videobert.query.embeddings import open_embeddings
from videobert.recipes import Recipe
from videobert.resolve import Resolver, Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import Manifest, committed_batches, load_manifest
from videobert.runtime.overlay import Overlay
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.spec import from_output_config
from videobert.runtime.storage import Store
from videobert.shard.config import ShardConfig
from videobert.stages import flow_of
from videobert.tokens.config import TokensConfig
from videobert.video.limits import DecoderLimits

__all__ = ["EmbeddedRow", "catalog_row", "embed_video", "recipe_of"]

_BATCH = "upload"
_COLUMNS = ["row_id", "level", "start_seconds", "end_seconds", "text", "embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedRow:
    """A segment, or the whole video."""

    row_id: str
    level: str
    start_seconds: float
    end_seconds: float
    text: str
    embedding: list[float]
    """Unit vector of the retrieval space."""


def embed_video(
    store: Store, embed_spec: str, videos: Path, work: Path, *, encoder: str = "packaged",
    limits: DecoderLimits = DecoderLimits(), begin: Callable[[str], object] = lambda stage: None,  # noqa: B008 - frozen
) -> list[EmbeddedRow]:  # fmt: skip
    """The rows of the one video in the folder `videos`, with the captions that lie next to it.

    `work` is an empty folder, `begin` is told each stage. Raises VideoError when a stage refuses the video, InputError
    when `encoder` is not the one that the model learnt from.
    """
    recipe = recipe_of(store, embed_spec, encoder=encoder, videos=videos, limits=limits)
    overlay, selection = Overlay(str(work), store), Selection(model=embed_spec.rsplit(".", 1)[0])
    for name in [*flow_of("ingest"), *flow_of("embed")]:
        begin(name)
        run_stage(recipe, overlay, name, batches=[_BATCH], selection=selection, executor=LocalExecutor())
        _check_taken(overlay, Resolver(recipe, overlay, selection), name)
    table = open_embeddings(overlay, embed_spec, [_BATCH]).to_table(columns=_COLUMNS)
    vectors_NR = vectors_of(table, "embedding").tolist()
    rows = table.drop_columns(["embedding"]).to_pylist()
    return [EmbeddedRow(**row, embedding=vector) for row, vector in zip(rows, vectors_NR, strict=True)]


def recipe_of(store: Store, embed_spec: str, *, encoder: str, videos: Path, limits: DecoderLimits) -> Recipe:
    """The configuration that made these embeddings, as their manifests tell it; of the encoder they know the digest.

    Raises InputError when it would make others.
    """
    chain = _chain(store, embed_spec)
    config = {stage: manifest.config for stage, manifest in chain.items()}
    recipe = Recipe(
        ingest=replace(from_output_config(IngestConfig, config["ingest"]), source=str(videos), limits=limits),
        shard=from_output_config(ShardConfig, config["shard"]),
        features=replace(from_output_config(FeaturesConfig, config["features"] | {"encoder": encoder}), limits=limits),
        tokens=from_output_config(TokensConfig, config["tokens"]),
        embed=from_output_config(EmbedConfig, config["embed"]),
    )
    made = Resolver(recipe, store, Selection(model=embed_spec.rsplit(".", 1)[0])).spec("features")
    if made != chain["features"].spec:
        raise InputError(
            f"encoder {encoder!r} makes {made}, but {embed_spec} learnt from {chain['features'].spec}; name the "
            "encoder that made these features with --encoder"
        )
    return recipe


def _chain(store: Store, embed_spec: str) -> dict[str, Manifest]:
    """Stage -> its manifest over one batch, from the embeddings back to the catalog."""
    batches = sorted(committed_batches(store, EMBED.name, embed_spec))
    if not batches:
        raise InputError(f"no batch is embedded with {embed_spec}; run `videobert stage embed` first")
    found: dict[str, Manifest] = {}
    wanted = [(EMBED.name, embed_spec, batches[0])]
    while wanted:
        stage, spec, batch = wanted.pop()
        manifest = load_manifest(store, stage, spec, batch)
        if manifest is None:
            raise InputError(f"{stage} {spec} of batch {batch!r} is gone, which tells how it was made; run it again")
        found[stage] = manifest
        wanted += [(s.stage, s.spec, s.batch) for s in manifest.sources if s.batch and s.stage not in found]
    return found


def catalog_row(recipe: Recipe, store: Store, work: Path) -> dict[str, Any]:
    """What a batch's catalog would say of the one video that the recipe's source holds: its id and captions.

    Raises VideoError where it would be a dead letter.
    """
    overlay, selection = Overlay(str(work), store), Selection()
    run_stage(recipe, overlay, "ingest", batches=[_BATCH], selection=selection, executor=LocalExecutor())
    spec = Resolver(recipe, overlay, selection).spec("ingest")
    _check_taken(overlay, Resolver(recipe, overlay, selection), "ingest")
    manifest = load_manifest(overlay, "ingest", spec, _BATCH)
    assert manifest is not None
    (row,) = (row for output in manifest.outputs for row in read_table(overlay, output.path).to_pylist())
    return dict(row)


def _check_taken(store: Store, resolver: Resolver, name: str) -> None:
    manifest = load_manifest(store, name, resolver.spec(name), _BATCH)
    for reject in manifest.rejects if manifest else ():
        raise VideoError(reject.reason, reject.message, reject.attempts, reject.salvageable_seconds)
