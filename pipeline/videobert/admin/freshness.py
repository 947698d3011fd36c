"""Whether the result of an earlier job is up to date, told from storage alone: no decoder, no model, no cluster.

A stage finds out for itself that all is committed, but for that a job has to start. Its result therefore holds a
fingerprint of what it looked at besides its manifest, which names its sources. Whatever changes, the job runs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from videobert import __version__
from videobert.recipes import Recipe, get_recipe
from videobert.runtime.job_result import Fingerprint, JobResult
from videobert.runtime.manifest import Manifest, folder_of, load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store
from videobert.stages import BatchStage, get_stage

__all__ = ["input_fingerprint", "is_up_to_date"]


def input_fingerprint(config: Recipe, store: Store, stage: str, *, recipe: str, batch: str, model: str) -> Fingerprint:
    """What a stage is about to look at. Taken before it does: a change meanwhile is not missed.

    `config` is the recipe of that name with the flags of the command.
    """
    known = get_stage(stage)
    outside = known.outside(config.config_of(known), store, batch) if isinstance(known, BatchStage) else ""
    return Fingerprint(
        root=store.root, batch=batch, recipe=recipe, code=_code(stage, recipe), outside=outside,
        outside_digest=_outside_digest(stage, outside, batch), pointer=_pointer(store) if model == "current" else "",
    )  # fmt: skip


def is_up_to_date(result: Mapping[str, Any]) -> bool:
    """Whether the job of this result would find the same again, and all that it made is there.

    Costs a few small reads and one or two listings. The storage's errors pass through.
    """
    try:
        job = JobResult.from_mapping(result)
    except ValueError:
        return False
    seen, stage = job.fingerprint, job.stage
    if seen is None or seen.code != _code(stage, seen.recipe):
        return False
    store = Store(seen.root)
    manifest = load_manifest(store, stage, job.spec, seen.batch)
    found = job.results[0]
    return (
        manifest is not None
        and (found.digest == manifest.digest or not found.manifest)  # a share is done when the batch is
        and (not seen.pointer or _readers_take(store, stage, job.spec, model=seen.pointer))
        and _sources_are_current(store, manifest)
        and manifest.is_whole(store.list(folder_of(get_stage(stage), manifest.spec, manifest.batch)))
        and seen.outside_digest == _outside_digest(stage, seen.outside, seen.batch)
    )


def _code(stage: str, recipe: str) -> str:
    """Versions of package and stage, and what the recipe says: a job's command only names it."""
    told = digest(asdict(get_recipe(recipe)))
    return f"{__version__}, {stage} {get_stage(stage).version}, recipe {told[:8]}"


def _outside_digest(stage: str, outside: str, batch: str) -> str:
    known = get_stage(stage)
    return known.outside_digest(outside, batch) if outside and isinstance(known, BatchStage) else ""


def _readers_take(store: Store, stage: str, spec: str, *, model: str) -> bool:
    """Whether readers take this model still and, of its embeddings, these."""
    pointer = read_pointer(store)
    if pointer is None or pointer.model_spec != model:
        return False
    return get_stage(stage).asset != "embeddings" or pointer.embed_spec == spec


def _pointer(store: Store) -> str:
    pointer = read_pointer(store)
    return pointer.model_spec if pointer else ""


def _sources_are_current(store: Store, manifest: Manifest) -> bool:
    found = ((s, load_manifest(store, s.stage, s.spec, s.batch)) for s in manifest.sources)
    return all(now is not None and now.digest == source.digest for source, now in found)
