"""SQL over embeddings, catalog, dead letters and predictions with DuckDB: reads these tables and nothing else."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from videobert.errors import InputError
from videobert.predict.schema import PREDICTIONS
from videobert.query.embeddings import open_embeddings
from videobert.runtime.manifest import batches_of, load_manifests, specs_of
from videobert.runtime.storage import Store

__all__ = ["TABLES", "one_line", "run_sql"]

TABLES = ("embeddings", "catalog", "dead_letters", "predictions")
_BY_TASK = ds.partitioning(pa.schema([("task", pa.string()), ("batch", pa.string())]), flavor="hive")
_BY_BATCH = ds.partitioning(pa.schema([("batch", pa.string())]), flavor="hive")


def run_sql(store: Store, embed_spec: str | None, query: str) -> duckdb.DuckDBPyRelation | None:
    """The rows of one query, or None when it returns none. Raises InputError for SQL that DuckDB refuses.

    The connection lives in memory, can open no file or address, and its settings are locked.
    """
    connection = duckdb.connect(config={"python_enable_replacements": "false"})
    if embed_spec:
        connection.register("embeddings", open_embeddings(store, embed_spec))
    manifests = load_manifests(store, "ingest", "", batches_of(store, "ingest", ""))
    catalog = [output.path for _, manifest in manifests if manifest for output in manifest.outputs]
    letters = [path for path in store.list("dead_letters") if path.endswith(".parquet")]
    for name, paths in (("catalog", catalog), ("dead_letters", letters)):
        if paths:
            connection.register(name, store.dataset(paths, partitioning=_BY_BATCH))
    answered = prediction_files(store)
    # Most roots have none: a question about them finds no row, not an error.
    none = pa.unify_schemas([PREDICTIONS, _BY_TASK.schema]).empty_table()
    connection.register("predictions", store.dataset(answered, partitioning=_BY_TASK) if answered else none)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        return connection.sql(query)
    except duckdb.Error as error:
        raise InputError(f"DuckDB refuses this query: {one_line(error)}; the tables are {', '.join(TABLES)}") from error


def prediction_files(store: Store) -> list[str]:
    """What is committed of the answers of every fine-tuned model."""
    return [
        output.path
        for spec in specs_of(store, "predict")
        for _, manifest in load_manifests(store, "predict", spec, batches_of(store, "predict", spec))
        if manifest
        for output in manifest.outputs
    ]


def one_line(error: duckdb.Error) -> str:
    """DuckDB's message without its line breaks and the drawing of the query."""
    return " ".join(str(error).partition("\n\n")[0].split())
