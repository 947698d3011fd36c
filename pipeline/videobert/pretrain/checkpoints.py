"""Which checkpoints stand below a model's folder. Light: planning needs no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from videobert.runtime.manifest import Output
from videobert.runtime.storage import Store

__all__ = [
    "CHECKPOINT_COMMIT", "LAST_STEP", "Checkpoint", "checkpoint_at", "drop_old_checkpoints", "find_checkpoint",
    "step_folder",
]  # fmt: skip

CHECKPOINT_COMMIT = "_checkpoint.json"
"""Written last in the folder of a step; without it the step does not count."""
LAST_STEP = "_last_step"
"""Beside the folders of the steps: the name of the last whole one. Goes with the commit of the model."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A committed step."""

    step: int
    folder: str
    """Relative to the root; a Hugging Face model directory."""
    files: tuple[Output, ...]


def find_checkpoint(store: Store, model_folder: str) -> Checkpoint | None:
    """The last whole step, or None. A step whose files are missing or short counts as not written."""
    present = store.list(model_folder)
    commits = sorted((path for path in present if path.endswith(f"/{CHECKPOINT_COMMIT}")), reverse=True)
    # Named by an object of its own too: a listing need not show yet what was written a moment ago.
    if named := store.read_or_none(f"{model_folder}/{LAST_STEP}"):
        commits.insert(0, f"{model_folder}/{named.decode()}/{CHECKPOINT_COMMIT}")
    return next((found for path in commits if (found := _whole(store, path, present))), None)


def checkpoint_at(store: Store, model_folder: str, step: int) -> Checkpoint | None:
    """The whole checkpoint of one step, or None."""
    folder = step_folder(model_folder, step)
    return _whole(store, f"{folder}/{CHECKPOINT_COMMIT}", store.list(folder))


def step_folder(model_folder: str, step: int) -> str:
    """Where the checkpoint of a step is written."""
    return f"{model_folder}/step-{step:07d}"


def drop_old_checkpoints(store: Store, last: Checkpoint, *, keep: int, best: int | None = None) -> None:
    """Remove the steps before the `keep` last ones, of which `last`, just committed, is one; 0 removes none.

    The step `best` stays in any case.

    The commit of a step goes first, so that a step that a killed run has half removed does not count, and the next
    call removes the rest of it. Steps after `last` are another run's and stay.
    """
    if not keep:
        return
    folder = last.folder.rpartition("/")[0]
    present = store.list(folder)
    steps = {path.rpartition("/")[0] for path in present if f"{folder}/step-" <= path < last.folder}
    whole = sorted(step for step in steps if f"{step}/{CHECKPOINT_COMMIT}" in present)
    kept = set(whole[max(0, len(whole) - keep + 1) :])
    if best is not None:
        kept.add(step_folder(folder, best))
    for step in sorted(steps - kept):
        store.delete([f"{step}/{CHECKPOINT_COMMIT}"])
        store.sweep(step, keep=())


def _whole(store: Store, commit_path: str, present: Mapping[str, int]) -> Checkpoint | None:
    data = store.read_or_none(commit_path)
    if data is None:
        return None
    raw: dict[str, Any] = json.loads(data)
    files = tuple(Output(**{**file, "rejects": ()}) for file in raw.pop("files"))
    for file in files:
        if file.path in present and present[file.path] != file.size_bytes:
            return None
        if file.path not in present and not store.exists(file.path):
            return None
    return Checkpoint(files=files, **raw)
