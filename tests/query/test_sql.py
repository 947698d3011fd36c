"""SQL reads our tables and nothing else of the machine."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.query.rows import EMBED, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.sql import run_sql
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store

SECRET = "the secret of this machine"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
    store = Store(str(tmp_path / "root"))
    for batch in ("2026-01-01", "2026-01-02"):
        write_embeddings(store, batch, unit_vectors(3))
    return store


def _rows(store: Store, query: str) -> list[tuple[object, ...]]:
    relation = run_sql(store, EMBED, query)
    assert relation is not None
    return relation.fetchall()


def test_tables_and_their_partitions(store: Store) -> None:
    query = "select batch, model, count(*) from embeddings group by all order by batch"
    assert _rows(store, query) == [("2026-01-01", EMBED, 3), ("2026-01-02", EMBED, 3)]
    assert _rows(store, "select count(*), min(uri) from catalog") == [(2, "s3://in/0.mp4")]
    query = "select row_id from embeddings where batch = '2026-01-02' and start_seconds > 1 order by 1 limit 1"
    assert _rows(store, query) == [("2026-01-02-v0000:1",)]
    joined = "select count(*) from embeddings e join catalog c on e.batch = c.batch"
    assert _rows(store, joined) == [(6,)]


def test_only_committed_parts_of_the_catalog_count(store: Store) -> None:
    store.write("catalog/batch=2026-01-01/00001-deadbeef.parquet", b"a killed run's")
    store.write("catalog/batch=2026-01-03/00000.parquet", b"not committed")
    assert _rows(store, "select count(*) from catalog") == [(2,)]


def test_without_embeddings_the_catalog_can_be_asked(tmp_path: Path, store: Store) -> None:
    relation = run_sql(store, None, "select count(*) from catalog")
    assert relation is not None and relation.fetchall() == [(2,)]
    with pytest.raises(InputError, match="embeddings, catalog, dead_letters"):
        run_sql(Store(str(tmp_path / "empty")), None, "select * from embeddings")


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('{0}')", "select * from read_text('{0}')", "select * from read_blob('{0}')",
        "select * from '{0}'", "select * from glob('{1}/*')", "select * from read_parquet('{1}/*/*.parquet')",
        "select * from read_json('{0}')", "copy (select 1) to '{1}/out.csv'", "copy embeddings from '{0}'",
        "create table t (a int, b varchar); copy t from '{0}'", "attach '{1}/x.db' as x", "export database '{1}/out'",
        "install httpfs", "load httpfs", "set enable_external_access = true", "reset enable_external_access",
        "pragma enable_external_access = true", "pragma enable_profiling = 'json'", "set lock_configuration = false",
        "pragma temp_directory = '{1}'", "set python_enable_replacements = true", "select * from SECRET",
        "create secret s (type s3)", "import database '{1}'", "select * from read_csv('http://127.0.0.1:1/x.csv')",
        "this is no sql", "select * from nothing",
    ],
)  # fmt: skip
def test_nothing_else_can_be_read_or_written(store: Store, tmp_path: Path, query: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError):
        _rows(store, query.format(tmp_path / "secret.csv", tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_a_variable_of_this_process_is_no_table(store: Store) -> None:
    frame = pa.table({"a": [1]})
    with pytest.raises(InputError, match="frame"):
        run_sql(store, EMBED, "select * from frame")
    assert frame.num_rows == 1


def test_dead_letters_are_a_table_once_there_are_some(store: Store) -> None:
    with pytest.raises(InputError):
        run_sql(store, None, "select * from dead_letters")
    letters = pa.table({"video_id": ["v"], "reason": ["empty"]})
    store.write("dead_letters/batch=2026-01-01/ingest-1.parquet", table_bytes(letters))
    relation = run_sql(store, None, "select batch, reason from dead_letters")
    assert relation is not None and relation.fetchall() == [("2026-01-01", "empty")]
