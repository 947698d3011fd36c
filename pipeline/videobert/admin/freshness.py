"""Whether the result of an earlier job still stands, told from storage alone: no decoder, no model, no cluster.

A stage finds out for itself that all is committed, but for that a job has to start. Its result therefore notes what it
looked at: its manifest (which names its sources), and what no manifest holds. Whatever changes, the job runs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

from videobert.errors import InputError
from videobert.ingest.listing import list_batch, source_of
from videobert.recipes import RECIPES, Recipe
from videobert.runtime.manifest import Manifest, folder_of, load_manifest
from videobert.runtime.pointer import read_pointer
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store
from videobert.stages import get_stage

__all__ = ["fingerprint", "stands"]


def fingerprint(recipe: Recipe, store: Store, stage: str, *, batch: str, model: str) -> dict[str, Any]:
    """What a stage is about to look at, besides manifests. Taken before it does: a change meanwhile is not missed."""
    source = source_of(recipe.ingest, store, batch) if stage == "ingest" else ""
    return {
        "root": store.root, "batch": batch, "code": _code(stage),
        "source": source, "listing": _listing(source, batch),
        "pointer": _pointer(store) if model == "current" else "",
    }  # fmt: skip


def stands(result: Mapping[str, Any]) -> bool:
    """Whether the job of this result would find the same again, and all that it made is there.

    Costs a few small reads and one or two listings. The storage's errors pass through.
    """
    seen, stage = result.get("fingerprint"), result["stage"]
    if seen is None or seen["code"] != _code(stage):
        return False
    store = Store(seen["root"])
    manifest = load_manifest(store, stage, result["spec"], seen["batch"])
    found = result["results"][0]
    return (
        manifest is not None
        and (found["digest"] == manifest.digest or not found["manifest"])  # a share is done when the batch is
        and (not seen["pointer"] or seen["pointer"] == _pointer(store))
        and _sources_stand(store, manifest)
        and manifest.is_whole(store.list(folder_of(get_stage(stage), manifest.spec, manifest.batch)))
        and seen["listing"] == _listing(seen["source"], seen["batch"])
    )


def _code(stage: str) -> str:
    """Version of package and stage, and what the recipes say: a job's command only names its recipe."""
    recipes = digest({name: asdict(make()) for name, make in RECIPES.items()})
    return f"{metadata.version('videobert-pipeline')}, {stage} {get_stage(stage).version}, recipes {recipes[:8]}"


def _listing(source: str, batch: str) -> str:
    """Digest of the names, sizes and times; a batch that is not there has none."""
    try:
        return digest(sorted(list_batch(source, batch).items())) if source else ""
    except InputError:
        return ""


def _pointer(store: Store) -> str:
    pointer = read_pointer(store)
    return pointer.model_spec if pointer else ""


def _sources_stand(store: Store, manifest: Manifest) -> bool:
    found = ((s, load_manifest(store, s.stage, s.spec, s.batch)) for s in manifest.sources)
    return all(now is not None and now.digest == source.digest for source, now in found)
