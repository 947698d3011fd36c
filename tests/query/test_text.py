"""Questions in words to a model that has read none."""

from __future__ import annotations

from pathlib import Path

import pytest

from videobert.errors import InputError
from videobert.query.model import check_has_read_text
from videobert.runtime.manifest import Manifest, Output, save_manifest
from videobert.runtime.storage import Store


def trained_on(store: Store, *words: int) -> Manifest:
    """A model of batches with so many words each."""
    sources = []
    for number, count in enumerate(words):
        output = Output(
            shard=0, input_digest="", path="00000.tar", sha256="", size_bytes=1, counts={"segments": 1, "words": count}
        )
        tokens = Manifest(stage="tokens", spec="tokens-1", batch=f"b{number}", config={}, sources=(), outputs=(output,))
        save_manifest(store, tokens)
        sources.append(tokens.as_source())
    return Manifest(stage="pretrain", spec="pretrain-1", batch="", config={}, sources=tuple(sources), outputs=())


def test_a_model_that_has_read_no_text_says_so(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(InputError, match=r"no video that pretrain-1 was trained on has text.* --like ROW_ID"):
        check_has_read_text(store, trained_on(store, 0, 0))
    check_has_read_text(store, trained_on(store, 0, 3))
