"""A sentence as a vector of the retrieval space. Needs torch: the extra `worker`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.runtime.manifest import load_manifest
from pipeline.runtime.storage import Store

__all__ = ["encode_query"]


def encode_query(store: Store, model_spec: str, text: str) -> NDArray[np.float32]:
    """Unit vector float32 [R] of a sentence by the text side of a model."""
    try:
        from pipeline.codebook.artifact import load_tokenizer
        from pipeline.pretrain.artifact import load_committed_model
        from pipeline.pretrain.score import encode_text
    except ImportError as error:
        raise InputError(
            f"searching by text runs the model, and {error.name} is not installed; "
            "pip install 'videobert-pipeline[worker]', or search with --like ROW_ID, which needs no model"
        ) from error
    manifest = load_manifest(store, "pretrain", model_spec, "")
    if manifest is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert status` lists the models"
        )
    ids = load_tokenizer(store, manifest).encode(text, add_special_tokens=False).ids
    if not ids:
        raise InputError(f"the query {text!r} holds no words; describe what to find, such as 'stir the egg'")
    vector: NDArray[np.float32] = encode_text(load_committed_model(store, manifest), [ids])[0]
    return vector
