"""Reading a committed model."""

from __future__ import annotations

import tempfile
from pathlib import Path

from videobert.model.checkpoint import load_model
from videobert.model.network import VideoBert
from videobert.runtime.corpus_commit import download_outputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store

__all__ = ["load_committed_model"]


def load_committed_model(store: Store, manifest: Manifest) -> VideoBert:
    """The weights of a model's commit, in evaluation mode."""
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        download_outputs(store, manifest, Path(folder))
        return load_model(Path(folder) / manifest.facts["directory"].rsplit("/", 1)[-1])
