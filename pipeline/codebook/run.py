"""Codebook: the vocabulary of both modalities, fitted on the training share of some batches."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.codebook.artifact import CODEBOOK_FILE
from pipeline.codebook.config import CodebookConfig
from pipeline.codebook.health import health
from pipeline.codebook.hierarchy import fit
from pipeline.codebook.wordpiece import find_tokenizer, train_tokenizer
from pipeline.errors import InputError
from pipeline.runtime.corpus import commit_files, committed
from pipeline.runtime.executor import Executor
from pipeline.runtime.inputs import Inputs
from pipeline.runtime.manifest import Manifest
from pipeline.runtime.parquet import read_table, vectors_of
from pipeline.runtime.spec import output_config, stage_spec
from pipeline.runtime.split import is_held_out
from pipeline.stages import get_stage

__all__ = ["run"]

_STAGE = get_stage("codebook")
_LOG = logging.getLogger("videobert")


def run(config: CodebookConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Fit centroids and vocabulary once. Raises InputError when the batches hold other features, or none to fit on."""
    features = inputs.upstream["features"]
    specs = sorted({manifest.spec for manifest in features})
    if len(specs) != 1:
        raise InputError(f"a codebook is fitted on one kind of features, these batches hold {', '.join(specs) or 'none'}")
    upstream = [f"{source.stage}:{source.batch}:{source.digest}" for source in inputs.sources]
    spec = stage_spec(_STAGE, config, upstream=upstream)
    if done := committed(inputs.store, _STAGE, spec):
        return done
    vectors_ND = _training_vectors(inputs, config)
    _LOG.info("codebook: fitting %d ** %d leaves on %s clips", config.branching, config.depth, f"{len(vectors_ND):,}")
    codebook = fit(vectors_ND, config, feature_spec=specs[0])
    figures = health(codebook, codebook.encode(vectors_ND))
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
    """Features of the training share, or of a sample: the clips whose hash of (seed, video, clip) is least.

    The choice depends on content alone, so neither shards nor batches nor their order change it.
    """
    paths = [output.path for manifest in inputs.upstream["features"] for output in manifest.outputs]
    limit = None
    if config.sample_clips:
        chosen = heapq.nsmallest(config.sample_clips, (key for path in paths for _, key in _keys(inputs, path, config)))
        limit = chosen[-1] if chosen else None
    rows: list[tuple[bytes, NDArray[np.float32]]] = []
    for path in paths:
        wanted = [(row, key) for row, key in _keys(inputs, path, config) if limit is None or key <= limit]
        if wanted:
            vectors_ND = vectors_of(read_table(inputs.store, path, columns=["feature"]))
            rows += [(key, vectors_ND[row].copy()) for row, key in wanted]  # a view would keep the file
    if not rows:
        raise InputError("no clip of the training share is left to fit a codebook on; add batches or lower heldout_fraction")
    rows.sort(key=lambda pair: pair[0])
    return np.stack([vector for _, vector in rows])


def _keys(inputs: Inputs, path: str, config: CodebookConfig) -> Iterator[tuple[int, bytes]]:
    """(row, sort key) of the training clips of one file."""
    table = read_table(inputs.store, path, columns=["video_id", "clip"])
    pairs = zip(table["video_id"].to_pylist(), table["clip"].to_pylist(), strict=True)
    for row, (video_id, clip) in enumerate(pairs):
        if not is_held_out(video_id, config.heldout_fraction):
            yield row, hashlib.blake2b(f"{config.seed} {video_id} {clip}".encode(), digest_size=16).digest()


def _captions(inputs: Inputs, config: CodebookConfig) -> Iterator[str]:
    for manifest in inputs.upstream["ingest"]:
        for output in manifest.outputs:
            for row in read_table(inputs.store, output.path, columns=["video_id", "cues"]).to_pylist():
                if not is_held_out(row["video_id"], config.heldout_fraction):
                    yield from (cue["text"] for cue in row["cues"] or ())
