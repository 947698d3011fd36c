"""The eight stages in order: the single statement from which the DAGs, the CLI and the tests derive.

ingest -> shard -> features            per batch, DAG videobert_ingest
codebook -> tokens -> pretrain -> evaluate   once a training, DAG videobert_train
tokens -> embed                        per batch, DAG videobert_embed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from videobert.errors import InputError

__all__ = ["EMBED_STAGES", "INGEST_STAGES", "STAGES", "STAGE_NAMES", "TRAIN_STAGES", "Stage", "get_stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the flow."""

    name: str
    scope: Literal["batch", "corpus"]
    """`batch`: one run and one manifest a batch. `corpus`: one over many batches."""
    reads: tuple[str, ...]
    """Stages whose manifests it reads."""
    folder: str
    """Where it writes, under the root; `{spec}` stands for its spec."""
    suffix: str
    """File type of its shards; empty for corpus stages."""
    version: int
    """Raised whenever the code changes the bytes it writes; part of the spec."""
    summary: str


STAGES = (
    Stage(
        name="ingest", scope="batch", reads=(), folder="catalog", suffix="parquet", version=2,
        summary="list, hash and probe videos, find captions; write the catalog",
    ),
    Stage(
        name="shard", scope="batch", reads=("ingest",), folder="shards/{spec}", suffix="tar", version=1,
        summary="pack original bytes and captions into WebDataset tars",
    ),
    Stage(
        name="features", scope="batch", reads=("shard",), folder="features/{spec}", suffix="parquet", version=3,
        summary="decode 20 fps clips of 1.5 s and encode each into one vector",
    ),
    Stage(
        name="codebook", scope="corpus", reads=("features", "ingest"), folder="codebooks/{spec}", suffix="", version=1,
        summary="fit hierarchical k-means centroids and the WordPiece vocabulary",
    ),
    Stage(
        name="tokens", scope="batch", reads=("features", "ingest", "codebook"), folder="tokens/{spec}", suffix="tar",
        version=1, summary="quantise clips, tokenise sentences, align both into segments",
    ),
    Stage(
        name="pretrain", scope="corpus", reads=("tokens", "codebook"), folder="models/{spec}", suffix="", version=2,
        summary="train VideoBERT: masked cloze, alignment, retrieval",
    ),
    Stage(
        name="embed", scope="batch", reads=("tokens", "pretrain"), folder="embeddings/model={spec}", suffix="parquet",
        version=3, summary="write segment and video vectors with their lineage",
    ),
    Stage(
        name="evaluate", scope="corpus", reads=("tokens", "codebook", "pretrain"), folder="reports/{spec}", suffix="",
        version=2, summary="zero-shot, retrieval and codebook health; gates, JSON and one HTML page",
    ),
)  # fmt: skip

STAGE_NAMES = tuple(stage.name for stage in STAGES)
INGEST_STAGES = ("ingest", "shard", "features")
TRAIN_STAGES = ("codebook", "tokens", "pretrain", "evaluate")
EMBED_STAGES = ("tokens", "embed")


def get_stage(name: str) -> Stage:
    """The stage of that name. Raises InputError for a name that does not exist."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise InputError(f"there is no stage {name!r}; the stages are {', '.join(STAGE_NAMES)}")
