"""The `current` pointer: which model and which embeddings readers take. One small object, moved in one write."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from videobert.errors import ConflictError, InputError
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store

__all__ = ["Pointer", "move_pointer", "read_pointer"]

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
    return _parse(store, store.read_or_none(_PATH))


def move_pointer(store: Store, pointer: Pointer, *, former: Pointer | None) -> None:
    """Move the pointer away from `former`. Raises ConflictError when somebody else has moved it meanwhile."""
    data = store.read_or_none(_PATH)
    if _parse(store, data) != former:
        raise ConflictError(f"{store.url(_PATH)} was moved by another run meanwhile; run this one again")
    store.commit(_PATH, canonical_json(dataclasses.asdict(pointer)), former=data)
    store.clear_temporaries(_PATH.rsplit("/", 1)[0])


def _parse(store: Store, data: bytes | None) -> Pointer | None:
    if data is None:
        return None
    try:
        raw = json.loads(data)
        return Pointer(**raw | {"former": tuple(raw.get("former", ()))})
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{store.url(_PATH)} is no pointer ({error}); promote a model again") from error
