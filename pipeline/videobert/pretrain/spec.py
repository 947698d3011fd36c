"""The name of a model. Light: planning needs no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from videobert.pretrain.config import PretrainConfig
from videobert.runtime.inputs import Inputs
from videobert.runtime.spec import corpus_spec, digest
from videobert.runtime.stage import stage_record

__all__ = ["pretrain_spec"]


def pretrain_spec(config: PretrainConfig, inputs: Inputs) -> str:
    """The spec of the model that `config` makes of `inputs`; the bytes of a local checkpoint are part of it.

    So is the size of a window, but only when the corpus does not fit into one: below, it has no influence.
    """
    extra = {"init_from": found} if (found := _checkpoint_digest(config.init_from)) else {}
    if (
        sum(manifest.counts.get("segments", 0) for manifest in inputs.upstream.get("tokens", ()))
        > config.window_segments
    ):
        extra["window_segments"] = str(config.window_segments)
    return corpus_spec(stage_record("pretrain"), config, inputs.sources, extra=extra)


def _checkpoint_digest(init_from: str) -> str:
    """Digest of a local checkpoint's files; empty for an id, which is its own digest, and for a start from scratch."""
    folder = Path(init_from)
    if not init_from or not folder.is_dir():
        return ""
    files = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            files.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    return digest(files)
