"""`videobert index`: make searches over many rows fast."""

from __future__ import annotations

from dataclasses import dataclass

from videobert.errors import InputError
from videobert.query.embeddings import resolve_embed_spec
from videobert.query.index import index_folder
from videobert.runtime.storage import Store

__all__ = ["IndexCommand"]


@dataclass(frozen=True, kw_only=True)
class IndexCommand:
    """Index the segments of all batches for `search --probes`; what is indexed already stays.

    videobert index --root demo

    videobert search "stir the egg" --root demo --probes 8

    Sorts the vectors into lists of near ones. Run it again after new batches: it adds them, and until then their rows
    are compared one by one. Worth it from some hundred thousand segments; more probes find more and read more.
    """

    root: str
    """Root of the pipeline."""
    model: str = "current"
    """Model whose embeddings are indexed; `current` is the promoted one."""

    def execute(self) -> None:
        try:
            from videobert.query.build import build_index
        except ImportError as error:
            raise InputError(
                f"building an index needs {error.name}, searching in it does not; "
                "pip install 'videobert-pipeline[worker]'"
            ) from error
        store = Store(self.root)
        spec = resolve_embed_spec(store, self.model)
        index = build_index(store, spec)
        size = sum(output.size_bytes for output in index.outputs)
        print(
            f"{index.facts['segments']:,} segments in {index.config['lists']:,} lists, "
            f"{size / 1e6:,.1f} MB in {store.url(index_folder(spec))}"
        )
