"""Reading a committed model."""

from __future__ import annotations

import tempfile
from pathlib import Path

from videobert.model.checkpoint import MODEL_FILES, load_model
from videobert.model.network import VideoBert
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store

__all__ = ["load_committed_model"]


def load_committed_model(store: Store, manifest: Manifest) -> VideoBert:
    """The weights of a model's commit, in evaluation mode.

    Fetches `MODEL_FILES` alone: the optimiser's moments are two thirds of a checkpoint, and only training needs them.
    """
    wanted = {f"{manifest.facts['directory']}/{name}": name for name in MODEL_FILES}
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        for output in manifest.outputs:
            if name := wanted.get(output.path):
                store.download(output.path, Path(folder) / name)
        return load_model(Path(folder))
