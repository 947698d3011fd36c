"""Which checkpoints stand below a model's folder. Light: planning needs no torch."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pipeline.runtime.manifest import Output
from pipeline.runtime.storage import Store

__all__ = ["CHECKPOINT_COMMIT", "Checkpoint", "find_checkpoint"]

CHECKPOINT_COMMIT = "_checkpoint.json"
"""Written last in the folder of a step; without it the step does not count."""


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
    for path in sorted((p for p in present if p.endswith(f"/{CHECKPOINT_COMMIT}")), reverse=True):
        raw: dict[str, Any] = json.loads(store.read(path))
        files = tuple(Output(**{**file, "rejects": ()}) for file in raw.pop("files"))
        if all(present.get(file.path) == file.size_bytes for file in files):
            return Checkpoint(files=files, **raw)
    return None
