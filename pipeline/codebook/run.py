"""Codebook: the vocabulary of both modalities, fitted on the training share of some batches."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.codebook.artifact import CODEBOOK_FILE
from pipeline.codebook.config import CodebookConfig
from pipeline.codebook.health import codebook_health
from pipeline.codebook.hierarchy import fit
from pipeline.codebook.sampling import ClipSample
from pipeline.codebook.wordpiece import find_tokenizer, train_tokenizer
from pipeline.errors import InputError
from pipeline.runtime.corpus import commit_files, committed
from pipeline.runtime.executor import Executor
from pipeline.runtime.inputs import Inputs
from pipeline.runtime.manifest import Manifest
from pipeline.runtime.parquet import read_table, vectors_of
from pipeline.runtime.spec import corpus_spec, output_config
from pipeline.runtime.split import is_held_out
from pipeline.stages import get_stage

__all__ = ["run"]

_STAGE = get_stage("codebook")
_DISAGREEMENT_CLIPS = 10_000
_LOG = logging.getLogger("videobert")


def run(config: CodebookConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Fit centroids and vocabulary once. Raises InputError when the batches hold other features, or none to fit on."""
    features = inputs.upstream["features"]
    specs = sorted({manifest.spec for manifest in features})
    if len(specs) != 1:
        raise InputError(
            f"a codebook is fitted on one kind of features, these batches hold {', '.join(specs) or 'none'}"
        )
    spec = corpus_spec(_STAGE, config, inputs)
    if done := committed(inputs.store, _STAGE, spec):
        return done
    vectors_ND = _training_vectors(inputs, config)
    _LOG.info("codebook: fitting %d ** %d leaves on %s clips", config.branching, config.depth, f"{len(vectors_ND):,}")
    codebook = fit(vectors_ND, config, feature_spec=specs[0])
    figures = dataclasses.asdict(codebook_health(codebook))
    figures["greedy_not_nearest"] = codebook.disagreement(vectors_ND[:_DISAGREEMENT_CLIPS])
    tokenizer = (
        find_tokenizer(config.tokenizer)
        if config.tokenizer
        else train_tokenizer(_captions(inputs, config), vocabulary_size=config.vocabulary_size)
    )
    files = {CODEBOOK_FILE: codebook.to_bytes(), "health.json": json.dumps(figures, indent=1, sort_keys=True).encode()}
    files |= {name: text.encode() for name, text in tokenizer.items()}
    facts = {
        "feature_spec": specs[0], "dimension": codebook.dimension, "leaves": config.leaves,
        "batches": [manifest.batch for manifest in features], "heldout_fraction": config.heldout_fraction,
        "clips": len(vectors_ND), "health": figures,
    }  # fmt: skip
    return commit_files(inputs, _STAGE, spec, files, config=output_config(config), facts=facts)


def _training_vectors(inputs: Inputs, config: CodebookConfig) -> NDArray[np.float32]:
    """Features of the training share, or a sample of them that depends on content alone, float32 [N, D]."""
    sample = ClipSample(config.sample_clips, seed=config.seed)
    seen: set[str] = set()
    for output in (output for manifest in inputs.upstream["features"] for output in manifest.outputs):
        table = read_table(inputs.store, output.path, columns=["video_id", "clip", "feature"])
        ids = [str(video_id) for video_id in table["video_id"].to_pylist()]
        new = {video_id for video_id in ids if not is_held_out(video_id, config.heldout_fraction)} - seen
        table = table.filter(pa.array([video_id in new for video_id in ids], pa.bool_()))
        if table.num_rows:
            kept = [video_id for video_id in ids if video_id in new]
            sample.add(vectors_of(table), kept, table["clip"].to_numpy().astype(np.int64))
        seen |= new
    return sample.vectors()


def _captions(inputs: Inputs, config: CodebookConfig) -> Iterator[str]:
    for manifest in inputs.upstream["ingest"]:
        for output in manifest.outputs:
            for row in read_table(inputs.store, output.path, columns=["video_id", "cues"]).to_pylist():
                if not is_held_out(row["video_id"], config.heldout_fraction):
                    yield from (cue["text"] for cue in row["cues"] or ())
