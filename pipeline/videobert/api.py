"""The Python API: what the pipeline wrote below a root, as records, datasets and tables.

The examples run over the root `demo` that `make demo` leaves:

>>> import videobert
>>> root = videobert.open("demo")

The base dependencies suffice, but for what runs the model, such as re-ranking: that needs the extra `worker`. Nothing
here writes. Every call reads the root as it is then, so that a promotion and a new batch are seen at once; models stay
loaded. A `Root` may be shared by threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videobert.application import application_method, application_names
from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError
from videobert.query.by_file import vector_of_file
from videobert.query.embeddings import embedding_dimension, open_embeddings, resolve_embed_spec
from videobert.query.exported import ExportedModel, find_export
from videobert.query.filters import Captions, RowFilter
from videobert.query.fusion import fused
from videobert.query.index import nearest_in_lists
from videobert.query.letters import DeadLetter, read_dead_letters
from videobert.query.lineage import Lineage, LineageStep, trace
from videobert.query.model import OpenModel, open_model
from videobert.query.models import EmbeddingsInfo, ModelInfo, list_models
from videobert.query.predictions import rows_labelled
from videobert.query.search import Hit, nearest, spread_over_videos, vector_and_text_of_row, words_of
from videobert.query.status import StageStatus, stage_status
from videobert.query.text import rerank_hits
from videobert.query.text_tower import TextTower, open_text_tower
from videobert.query.untrained import nearest_clips
from videobert.query.words import nearest_by_words
from videobert.runtime.pointer import Pointer, read_pointer
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

    from videobert.root_methods import RootMethods as _Methods
else:
    _Methods = object

__all__ = [
    "DeadLetter", "EmbeddingsInfo", "Hit", "Lineage", "LineageStep", "ModelInfo", "Pointer", "Root", "StageStatus",
]  # fmt: skip


_FUSED = 200
"""Hits of each kind that are fused: ranks beyond hardly add to a sum."""


class Root(_Methods):
    """Everything below one root. `videobert.open` makes it.

    In every method `model` is `current`, the promoted one, or a model's spec, or the name of its embeddings where it
    has several; `batches` are batch keys, as a list or with commas between them, and an empty list means all.
    """

    def __init__(self, root: str) -> None:
        self._store = Store(root)
        self._models: dict[str, OpenModel] = {}
        self._exports: dict[str, ExportedModel] = {}
        self._towers: dict[str, TextTower] = {}

    def __repr__(self) -> str:
        return f"videobert.open({self.url!r})"

    if not TYPE_CHECKING:  # type checkers know the applications by `RootMethods`, and no other name

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """An application as a method, such as `root.recommend(text="stir the egg")`; a list of its records."""
            if name.replace("_", "-") not in application_names():
                raise AttributeError(f"{type(self).__name__} has no {name!r}")
            return application_method(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name.replace("-", "_") for name in application_names())]

    @property
    def url(self) -> str:
        """Its full URL."""
        return self._store.root

    def search(
        self,
        text: str = "",
        *,
        row: str = "",
        vector: ArrayLike | None = None,
        file: str = "",
        top: int = 5,
        batches: str | Iterable[str] = (),
        video: str = "",
        from_seconds: float = 0.0,
        to_seconds: float = math.inf,
        holding: str = "",
        captions: Captions = "any",
        label: str = "",
        per_video: int = 0,
        rerank: int = 0,
        probes: int = 0,
        by: Literal["vector", "words", "both"] = "vector",
        model: str = "current",
        encoder: str = "",
    ) -> list[Hit]:
        """The `top` segments nearest to a text, a row (VIDEO_ID:SEGMENT, or VIDEO_ID: then videos), a vector or a file.

        Best first; of equal scores, those whose captions share more words with the query. `video` is how a video's id
        begins, the seconds are those within a video, `holding` are words of the caption, in either case, `captions`
        keeps rows `with` or `without` a text, and `label` is the best answer of a fine-tuned model (`videobert
        predict`). At most `per_video` hits of a video. `rerank` so many of the nearest with the alignment head, which
        reads text and video together: the score is then a probability. `probes` looks only into so many lists of the
        index that `videobert index` built; 0 searches every row. A text is compared `by` its vector, by the words of
        captions (BM25, which needs no model), or by both, fused by their ranks. With a joint `encoder`, such as
        `hf:google/siglip2-base-patch16-naflex`, a text is compared with the clips of its features instead, for which
        nothing needs to be trained; then only `top`, `batches` and `per_video` apply. A `file` is a picture or a video
        of this machine, embedded as a batch would be; there `encoder` is the one that the model learnt from.

        >>> for hit in root.search("stir the egg", top=3, per_video=1):
        ...     print(f"{hit.title} from {hit.start_seconds:.1f} s: {hit.text!r}")
        kitchen-... from ... s: '...'
        kitchen-... from ... s: '...'
        kitchen-... from ... s: '...'
        >>> like = root.search(row=hit.row_id, top=2, from_seconds=3)
        >>> root.search(vector=[1.0] * 128, top=1)
        [Hit(score=..., row_id='...', ...)]

        Raises InputError for a question that is none, for what is not there, and where the model is needed and its
        libraries are not installed.
        """
        if bool(text) + bool(row) + bool(file) + (vector is not None) != 1:
            raise InputError("give a text, a row, a vector or a file to search for, and only one of them")
        if rerank < 0 or (rerank and not text):
            raise InputError(f"rerank {rerank} goes with a text and is not negative; leave it out with row and vector")
        if by not in ("vector", "words", "both") or (by != "vector" and not text):
            raise InputError(f"by is {by!r}; it is vector, or with a text also words or both")
        keys = parse_batch_keys(batches)
        if encoder and not file:
            narrowed = video or holding or label or captions != "any"
            if not text or narrowed or rerank or probes or by != "vector" or model != "current":
                raise InputError("encoder goes with a text, top, batches and per_video; leave the others out")
            return nearest_clips(self._store, encoder, text, top=top, per_video=per_video, batches=keys)
        spec = resolve_embed_spec(self._store, model)
        rows = self._rows(spec, keys)
        where = RowFilter(
            video=video, from_seconds=from_seconds, to_seconds=to_seconds, text=holding,
            captions=captions, among=self._labelled(spec, label) if label else None,
        )  # fmt: skip
        said = text
        vector_R = np.empty(0, np.float32)
        if text:
            vector_R = vector_R if by == "words" else self.encode(text, model=spec)
        elif row:
            everywhere = self._rows(spec, ()) if keys else rows  # the row may be of another batch
            vector_R, said = vector_and_text_of_row(everywhere, row)
            where = replace(where, level="segment" if ":" in row else "video", without=[row])
        elif file:
            vector_R = vector_of_file(self._store, spec, file, encoder=encoder or "packaged")
        else:
            vector_R = _unit_vector(vector, embedding_dimension(rows))
        words = words_of(said)

        def find(count: int) -> list[Hit]:
            if by == "words":
                return nearest_by_words(rows, text, top=count, where=where)
            if by == "both":
                among = max(_FUSED, count)
                lists = [near(among), nearest_by_words(rows, text, top=among, where=where)]
                return fused(lists, top=count, depth=_FUSED)
            return near(count)

        def near(count: int) -> list[Hit]:
            return self._nearest(spec, keys, rows, vector_R, top=count, probes=probes, where=where, words=words)

        hits = spread_over_videos(find, top=max(top, rerank), per_video=per_video)
        if rerank:
            hits = rerank_hits(self._model_of(spec), text, hits[:rerank]) + hits[rerank:]
        return hits[:top]

    def encode(self, text: str, *, model: str = "current") -> NDArray[np.float32]:
        """The unit vector of a text in the space of the embeddings, float32 [R]. Raises InputError without words.

        By the exported text tower where there is one (`videobert export`), else in numpy: neither needs torch.
        """
        spec = resolve_embed_spec(self._store, model)
        exported = self._export_of(spec)
        return exported.encode_text([text])[0] if exported else self._tower_of(spec).encode(text)

    def embeddings(self, model: str = "current", *, batches: str | Iterable[str] = ()) -> ds.Dataset:
        """The rows, lazily: a pyarrow dataset over exactly the committed files; filters and columns are pushed down.

        One row per segment and one per video (`level`); `embedding` is a unit vector of the retrieval space, `feature`
        the pooled hidden states for downstream models. Raises InputError for a batch that is not embedded.

        >>> import pyarrow.compute as pc
        >>> rows = root.embeddings()
        >>> table = rows.to_table(columns=["row_id", "text", "embedding"], filter=pc.field("level") == "segment")
        >>> table.schema.field("embedding").type
        FixedSizeListType(fixed_size_list<element: float>[128])
        """
        return self._rows(resolve_embed_spec(self._store, model), parse_batch_keys(batches))

    def lineage(self, row: str, *, model: str = "current") -> Lineage:
        """The way from a row back to its video. Raises InputError for an unknown row.

        >>> lineage = root.lineage(root.search("stir the egg", top=1)[0].row_id)
        >>> print(*(step.stage for step in lineage.steps))
        embed pretrain tokens codebook features shard ingest
        >>> lineage.step("shard").url
        '...shards/shard-.../batch=.../0000....tar'
        """
        return trace(self._store, resolve_embed_spec(self._store, model), row)

    def status(self) -> list[StageStatus]:
        """What every batch has at every stage.

        >>> sum(status.counts["videos"] for status in root.status() if status.stage == "ingest") > 0
        True
        """
        return list(stage_status(self._store))

    @property
    def current(self) -> Pointer | None:
        """The promoted model and its embeddings; None when none is promoted."""
        return read_pointer(self._store)

    def models(self) -> list[ModelInfo]:
        """The trained models, their gates and their embeddings.

        >>> print(*(model.step > 0 and model.embeddings[0].current for model in root.models()))
        True
        """
        return list(list_models(self._store))

    def dead_letters(self, *, batches: str | Iterable[str] = ()) -> list[DeadLetter]:
        """The videos that could not be used.

        >>> sorted({letter.reason for letter in root.dead_letters() if letter.stage == "ingest"})
        ['empty', ...]
        """
        return list(read_dead_letters(self._store, parse_batch_keys(batches)))

    def sql(self, query: str, *, model: str = "current") -> duckdb.DuckDBPyRelation | None:
        """The rows of a query in DuckDB's SQL over the tables `embeddings`, `catalog` and `dead_letters`.

        A relation is asked with `fetchall()`, `df()` or `arrow()`; a statement without rows gives None. The connection
        can read and write nothing else. Raises InputError for SQL that DuckDB refuses; what fails later, while the rows
        are read, is a `duckdb.Error`.

        >>> root.sql("select count(*) > 0 from embeddings where level = 'segment'").fetchall()
        [(True,)]
        """
        from videobert.query.sql import run_sql  # DuckDB, which nothing else here needs

        # While nothing is promoted the catalog and the dead letters can be asked all the same.
        promoted = model != "current" or self.current is not None
        return run_sql(self._store, resolve_embed_spec(self._store, model) if promoted else None, query)

    def _nearest(
        self, spec: str, batches: Sequence[str], rows: ds.Dataset, vector_R: NDArray[np.float32], *, top: int,
        probes: int, where: RowFilter, words: frozenset[str],
    ) -> list[Hit]:  # fmt: skip
        """The rows of some batches of a spec are `rows`; whoever holds them in memory need not read them."""
        if probes:
            return nearest_in_lists(
                self._store, spec, vector_R, top=top, probes=probes, where=where, batches=batches, words=words
            )
        return nearest(rows, vector_R, top=top, where=where, words=words)

    def _labelled(self, spec: str, label: str) -> frozenset[str]:
        return rows_labelled(self._store, spec, label)

    def _rows(self, spec: str, batches: Sequence[str]) -> ds.Dataset:
        return open_embeddings(self._store, spec, batches)

    def _export_of(self, embed_spec: str) -> ExportedModel | None:
        """Looked for at every call while there is none."""
        spec = embed_spec.rsplit(".", 1)[0]
        if spec not in self._exports and (found := find_export(self._store, spec)):
            self._exports[spec] = found
        return self._exports.get(spec)

    def _tower_of(self, embed_spec: str) -> TextTower:
        """Loaded once: what a spec names does not change."""
        spec = embed_spec.rsplit(".", 1)[0]
        if spec not in self._towers:
            self._towers[spec] = open_text_tower(self._store, spec)
        return self._towers[spec]

    def _model_of(self, embed_spec: str) -> OpenModel:
        """Loaded once: what a spec names does not change."""
        spec = embed_spec.rsplit(".", 1)[0]
        if spec not in self._models:
            self._models[spec] = open_model(self._store, spec)
        return self._models[spec]


def _unit_vector(given: Any, dimension: int) -> NDArray[np.float32]:
    """Float32 [R] of length 1, so that scores are cosines."""
    try:
        vector_R = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the vector is no list of numbers ({error}); give {dimension} of them") from error
    length = float(np.linalg.norm(vector_R))
    if vector_R.shape != (dimension,) or not math.isfinite(length) or length == 0:
        raise InputError(
            f"the vector has the shape {vector_R.shape} and the length {length}; these embeddings take {dimension} "
            "finite numbers, not all 0"
        )
    unit_R: NDArray[np.float32] = (vector_R / length).astype(np.float32)
    return unit_R
