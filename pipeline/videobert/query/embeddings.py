"""The embeddings as a dataset: exactly the files that manifests name, with `model` and `batch` from their paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.dataset as ds

from videobert.errors import InputError
from videobert.runtime.manifest import Manifest, batches_of, load_manifests, specs_of
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store

__all__ = ["embedding_dimension", "embedding_manifests", "open_embeddings", "open_files", "resolve_embed_spec"]

_PARTITIONING = ds.partitioning(pa.schema([("model", pa.string()), ("batch", pa.string())]), flavor="hive")


def resolve_embed_spec(store: Store, model: str = "current") -> str:
    """Folder name of a model's embeddings: of the promoted one, a model spec, or the folder's own name.

    A model that was embedded with several poolings means the promoted one. Raises InputError when none of them is
    promoted, and for a model that has no embeddings.
    """
    pointer = read_pointer(store)
    if model == "current":
        if pointer is None:
            raise InputError(f"no model is promoted below {store.root}; name one with --model, or run the pipeline")
        return pointer.embed_spec
    there = specs_of(store, "embed")
    found = [spec for spec in there if spec == model or spec.startswith(f"{model}.")]
    if not found:
        raise InputError(f"no embeddings of {model!r} below {store.root}; there are {', '.join(there) or 'none'}")
    if model in found:
        return model
    if pointer and pointer.embed_spec in found:
        return pointer.embed_spec
    if len(found) > 1:
        raise InputError(
            f"model {model} was embedded with several poolings and none of them is promoted: {', '.join(found)}; "
            "name one of these"
        )
    return found[0]


def embedding_manifests(store: Store, spec: str, batches: Sequence[str] = ()) -> Iterator[Manifest]:
    """Committed batches of one spec, in order. Raises InputError for a batch that is not there."""
    there = batches_of(store, "embed", spec)
    unknown = sorted(set(batches) - set(there))
    if unknown:
        raise InputError(
            f"batch {', '.join(unknown)} has no embeddings of {spec}; there are {', '.join(there) or 'none'}"
        )
    for _, manifest in load_manifests(store, "embed", spec, batches or there):
        if manifest:
            yield manifest


def open_embeddings(store: Store, spec: str, batches: Sequence[str] = ()) -> ds.Dataset:
    """The rows of a spec, lazily: columns and filters are pushed down to the files."""
    paths = [output.path for manifest in embedding_manifests(store, spec, batches) for output in manifest.outputs]
    return open_files(store, spec, paths)


def embedding_dimension(rows: ds.Dataset) -> int:
    """Numbers in the vectors of such rows."""
    return int(rows.schema.field("embedding").type.list_size)


def open_files(store: Store, spec: str, paths: Sequence[str]) -> ds.Dataset:
    """The rows of some files of a spec. Raises InputError when there are none."""
    if not paths:
        raise InputError(f"nothing is embedded with {spec} below {store.root}; run `videobert stage embed` first")
    return store.dataset(paths, partitioning=_PARTITIONING)
