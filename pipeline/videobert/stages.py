"""The stages in order: the single statement from which the DAGs, the CLI and the tests derive.

    ingest -> shard -> features                 per batch, DAG videobert_ingest
    codebook -> tokens -> pretrain -> evaluate  once per training, DAG videobert_train
    tokens -> embed                             per batch, DAG videobert_embed
    finetune                                    once per set of labels, DAG videobert_finetune
    predict                                     per batch, DAG videobert_predict

Each is declared in its own folder; to add one, write a folder and list it here.
"""

from __future__ import annotations

from videobert.codebook.stage import CODEBOOK
from videobert.embed.stage import EMBED
from videobert.evaluate.stage import EVALUATE
from videobert.features.stage import FEATURES
from videobert.finetune.stage import FINETUNE
from videobert.ingest.stage import INGEST
from videobert.predict.stage import PREDICT
from videobert.pretrain.stage import PRETRAIN
from videobert.runtime.stage import Part, Stage, register_stage, registered_stages, stage_record
from videobert.runtime.stage_kinds import AnyBatchStage, AnyCorpusStage, AnyStage, BatchStage, CorpusStage
from videobert.shard.stage import SHARD
from videobert.tokens.stage import TOKENS

__all__ = [
    "AnyBatchStage", "AnyCorpusStage", "AnyStage", "BatchStage", "CorpusStage", "Stage", "all_stages", "batch_stages",
    "corpus_stages", "flow_of", "get_stage", "register_stage", "run_order", "stage_names",
]  # fmt: skip

for _stage in (INGEST, SHARD, FEATURES, CODEBOOK, TOKENS, PRETRAIN, EMBED, EVALUATE, FINETUNE, PREDICT):
    register_stage(_stage)


def get_stage(name: str) -> AnyStage:
    """The stage of that name. Raises InputError for a name that does not exist."""
    stage = stage_record(name)
    assert isinstance(stage, BatchStage | CorpusStage)
    return stage


def all_stages() -> list[AnyStage]:
    """Every stage, in order."""
    return [get_stage(stage.name) for stage in registered_stages()]


def batch_stages() -> list[AnyBatchStage]:
    """Those that run per batch."""
    return [stage for stage in all_stages() if isinstance(stage, BatchStage)]


def corpus_stages() -> list[AnyCorpusStage]:
    """Those that run over many batches."""
    return [stage for stage in all_stages() if isinstance(stage, CorpusStage)]


def stage_names() -> list[str]:
    """Names in order."""
    return [stage.name for stage in registered_stages()]


def flow_of(part: Part) -> list[str]:
    """Names of the stages of one part of the flow, in order."""
    return [stage.name for stage in registered_stages() if part in stage.parts]


def run_order() -> list[str]:
    """The whole flow: a batch's stages, a training, and what is embedded with its model; each stage once.

    Fine-tuning needs labels, which not everybody has: it is run by its own command or DAG.
    """
    return list(dict.fromkeys([*flow_of("ingest"), *flow_of("train"), *flow_of("embed")]))
