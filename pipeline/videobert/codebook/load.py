"""Reading a committed codebook: centroids and tokenizer."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from videobert.codebook.components import load_axes
from videobert.codebook.core import Codebook
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.storage import Store

__all__ = ["AXES_FILE", "CODEBOOK_FILE", "TOKENIZER_FILES", "load_codebook", "load_components", "load_tokenizer"]

CODEBOOK_FILE = "codebook.safetensors"
AXES_FILE = "components.safetensors"
"""Only where `codebook.components` asks for it."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


def output_named(manifest: Manifest, name: str) -> Output:
    """The output whose file has that name."""
    return next(output for output in manifest.outputs if output.path.endswith(f"/{name}"))


def load_codebook(store: Store, manifest: Manifest) -> Codebook:
    """The centroids of a codebook's commit."""
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        local = Path(folder) / CODEBOOK_FILE
        store.download(output_named(manifest, CODEBOOK_FILE).path, local)
        return Codebook.load(local)


def load_components(store: Store, manifest: Manifest) -> NDArray[np.float32] | None:
    """Axes float32 [D, K] of what the tokens carry besides the leaf; None when they carry nothing."""
    if not manifest.facts.get("components"):
        return None
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        local = Path(folder) / AXES_FILE
        store.download(output_named(manifest, AXES_FILE).path, local)
        return load_axes(local)


def load_tokenizer(store: Store, manifest: Manifest) -> Tokenizer:
    """The WordPiece tokenizer of a codebook's commit, or of a model's."""
    return Tokenizer.from_str(store.read(output_named(manifest, "tokenizer.json").path).decode())
