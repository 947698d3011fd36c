"""The `current` pointer: which model and which embeddings readers take. One small object, moved in one write."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from videobert.errors import InputError
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store

__all__ = ["Pointer", "read_pointer", "write_pointer"]

_PATH = "models/current.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The promoted model."""

    model_spec: str
    embed_spec: str
    """Folder of its embeddings: `embeddings/model=<embed_spec>`."""
    report: str
    """Folder of the evaluation that let it pass; empty when promoted by hand."""
    former: tuple[str, ...] = ()
    """Embeddings' folders (as `embed_spec`) that readers took before, the newest first: where a rollback goes."""


def read_pointer(store: Store) -> Pointer | None:
    """The promoted model, or None when none is."""
    data = store.read_or_none(_PATH)
    if data is None:
        return None
    try:
        raw = json.loads(data)
        return Pointer(**raw | {"former": tuple(raw.get("former", ()))})
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{store.url(_PATH)} is no pointer ({error}); promote a model again") from error


def write_pointer(store: Store, pointer: Pointer) -> None:
    """Move the pointer."""
    store.write(_PATH, canonical_json(dataclasses.asdict(pointer)))
    store.clear_temporaries(_PATH.rsplit("/", 1)[0])
