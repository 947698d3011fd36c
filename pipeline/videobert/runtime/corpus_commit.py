"""What a corpus stage does around its own work: a folder of files with a manifest over all of them, written last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import (
    Manifest,
    Output,
    folder_of,
    library_versions,
    load_manifest,
    manifest_path,
    save_manifest,
)
from videobert.runtime.stage import Stage
from videobert.runtime.storage import Store, sha256

__all__ = ["commit_files", "committed"]


def committed(store: Store, stage: Stage, spec: str) -> Manifest | None:
    """The manifest of a finished corpus stage whose files are all there; its spec holds the digests of its inputs."""
    manifest = load_manifest(store, stage.name, spec, "")
    if manifest is None:
        return None
    present = store.list(folder_of(stage, spec, ""))
    if not all(present.get(o.path) == o.size_bytes for o in manifest.outputs):
        return None
    if len(present) > len(manifest.outputs) + 1:
        _sweep(store, stage, manifest)  # what a run that was killed after its commit left
    return manifest


def commit_files(
    inputs: Inputs,
    stage: Stage,
    spec: str,
    files: Mapping[str, bytes],
    *,
    config: dict[str, Any],
    facts: dict[str, Any],
    written: tuple[Output, ...] = (),
) -> Manifest:
    """Write the files, then the manifest over them and over what is `written` already."""
    folder = folder_of(stage, spec, "")
    outputs = list(written)
    for name, data in sorted(files.items()):
        path = f"{folder}/{name}"
        inputs.store.write(path, data)
        outputs.append(
            Output(shard=len(outputs), input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={})
        )
    manifest = Manifest(
        stage=stage.name, spec=spec, batch="", config=config, sources=inputs.sources, outputs=tuple(outputs),
        facts=facts, versions=library_versions(),
    )  # fmt: skip
    save_manifest(inputs.store, manifest)
    _sweep(inputs.store, stage, manifest)
    return manifest


def _sweep(store: Store, stage: Stage, manifest: Manifest) -> None:
    """Remove what the manifest does not name: steps before the last, temporaries of killed writers."""
    keep = {output.path for output in manifest.outputs} | {manifest_path(stage, manifest.spec, "")}
    store.sweep(folder_of(stage, manifest.spec, ""), keep)
