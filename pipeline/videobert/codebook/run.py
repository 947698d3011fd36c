"""Codebook: the vocabulary of both modalities, fitted on the training share of some batches."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.components import axes_to_bytes, principal_axes
from videobert.codebook.config import CodebookConfig
from videobert.codebook.health import codebook_health
from videobert.codebook.hierarchy import GROUP_ELEMENTS, WorkerGroup, fit_with_group, local_group
from videobert.codebook.load import AXES_FILE, CODEBOOK_FILE
from videobert.codebook.moments import Moment, find_moment
from videobert.codebook.narration import MOMENT_COMPONENTS, read_narration
from videobert.codebook.sampling import ClipSample
from videobert.codebook.stage import CODEBOOK
from videobert.codebook.wordpiece import find_tokenizer, train_tokenizer
from videobert.codebook.worker import FileRows, FitShare, divide
from videobert.errors import InputError
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.device import pick_device
from videobert.runtime.executor import Executor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.spec import output_config

__all__ = ["run"]

_WORKER = "videobert.codebook.worker:FitShare"
_DISAGREEMENT_CLIPS = 10_000
"""Clips on which greedy and flat assignment are compared, and from which components are computed."""
_LOG = logging.getLogger("videobert")


def run(config: CodebookConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Fit centroids and vocabulary once. Raises InputError when the batches hold other features, or none to fit on."""
    features = inputs.upstream["features"]
    specs = sorted({manifest.spec for manifest in features})
    if len(specs) != 1:
        raise InputError(
            f"a codebook is fitted on one kind of features, these batches hold {', '.join(specs) or 'none'}"
        )
    spec = CODEBOOK.spec(config, inputs)
    if done := committed(inputs.store, CODEBOOK, spec):
        return done
    videos = sum(manifest.counts.get("videos", 0) for manifest in features)
    asked, config = config, dataclasses.replace(config, heldout_fraction=config.heldout_share(videos))
    files = _sample(inputs, config)
    clips = sum(len(file.rows) for file in files)
    config = config.sized(clips)
    _LOG.info("codebook: fitting %d ** %d leaves on %s clips", config.branching, config.depth, f"{clips:,}")
    with _worker_group(config, inputs, files, executor) as (workers, device, group_elements):
        codebook = fit_with_group(workers, config, feature_spec=specs[0], device=device, group_elements=group_elements)
        first_ND = np.concatenate(workers("first", _DISAGREEMENT_CLIPS))
    figures = dataclasses.asdict(codebook_health(codebook))
    figures["greedy_not_nearest"] = codebook.disagreement(first_ND)
    tokenizer = (
        find_tokenizer(config.tokenizer)
        if config.tokenizer
        else train_tokenizer(_captions(inputs, config), vocabulary_size=config.vocabulary_size)
    )
    artifacts = {
        CODEBOOK_FILE: codebook.to_bytes(),
        "health.json": json.dumps(figures, indent=1, sort_keys=True).encode(),
    }
    axes_DK = np.zeros((codebook.dimension, 0), dtype=np.float32)
    if config.components or config.moments == "found":
        wanted = config.components or MOMENT_COMPONENTS
        axes_DK = principal_axes(first_ND, components=wanted, whitening=config.whitening)
    if config.components:
        artifacts[AXES_FILE] = axes_to_bytes(axes_DK)
    artifacts |= {name: text.encode() for name, text in tokenizer.items()}
    facts = {
        "feature_spec": specs[0], "dimension": codebook.dimension, "leaves": config.leaves,
        "batches": [manifest.batch for manifest in features], "heldout_fraction": config.heldout_fraction,
        "clips": clips, "health": figures,
    }  # fmt: skip
    if config.components:
        facts["components"] = config.components
    if config.moments == "found":
        facts["moment"] = _moment(inputs, files, axes_DK[:, :MOMENT_COMPONENTS]).to_json()
    return commit_files(inputs, CODEBOOK, spec, artifacts, config=output_config(asked), facts=facts)


def _moment(inputs: Inputs, files: Sequence[FileRows], axes_DK: NDArray[np.float32]) -> Moment:
    """When the pictures show what is said, from the first clips of the sample along these axes."""
    moment = find_moment(read_narration(inputs, files, axes_DK, clips=_DISAGREEMENT_CLIPS))
    if moment == Moment():
        _LOG.info("codebook: too few captions to tell when pictures show what is said; the middle of a cue is taken")
        return moment
    _LOG.info(
        "codebook: pictures show what is said %+.3f s from point %.1f of a cue; there they explain %.3f of the words, "
        "in the middle %.3f", moment.shift_seconds, moment.point, moment.explained, moment.explained_in_the_middle,
    )  # fmt: skip
    return moment


def _sample(inputs: Inputs, config: CodebookConfig) -> list[FileRows]:
    """Clips of the training share, or a sample of them that depends on content alone. Reads no vectors."""
    sample = ClipSample(config.sample_clips, seed=config.seed)
    outputs = [output for manifest in inputs.upstream["features"] for output in manifest.outputs]
    seen: set[str] = set()
    for output in outputs:
        table = read_table(inputs.store, output.path, columns=["video_id", "clip"])
        ids = np.asarray(table["video_id"].to_pylist(), dtype=np.str_)
        new = {str(i) for i in np.unique(ids) if not is_held_out(str(i), config.heldout_fraction)} - seen
        rows = np.isin(ids, sorted(new)).nonzero()[0]
        sample.add(rows, ids[rows].tolist(), table["clip"].to_numpy()[rows].astype(np.int64))
        seen |= new
    found = zip(outputs, sample.chosen(), strict=True)
    files = [FileRows(path=output.path, rows=rows, numbers=numbers) for output, (rows, numbers) in found if len(rows)]
    if not files:
        raise InputError("no clips to fit a codebook on; run the features stage first, or widen the batches")
    return files


@contextmanager
def _worker_group(
    config: CodebookConfig, inputs: Inputs, files: list[FileRows], executor: Executor
) -> Iterator[tuple[WorkerGroup, str, int | None]]:
    """Workers with a share of the rows each, the device to merge their answers on, and the rows to take in hand.

    As many as the executor has, none with few clips; what there is for one is done here.
    """
    wanted = sum(len(file.rows) for file in files) // config.worker_clips
    parts = divide(files, shares=min(wanted, executor.width)) if wanted > 1 else [files]
    if len(parts) == 1:
        device = str(pick_device(config.device))
        share = FitShare(inputs.store, files, device, device)
        yield local_group([share]), device, GROUP_ELEMENTS if device == "cpu" else None
        return
    with executor.worker_group(_WORKER, [(inputs.store, part, config.device, "cpu") for part in parts]) as workers:
        yield workers, "cpu", None


def _captions(inputs: Inputs, config: CodebookConfig) -> Iterator[str]:
    for manifest in inputs.upstream["ingest"]:
        for output in manifest.outputs:
            for row in read_table(inputs.store, output.path, columns=["video_id", "cues"]).to_pylist():
                if not is_held_out(row["video_id"], config.heldout_fraction):
                    yield from (cue["text"] for cue in row["cues"] or ())
