"""`videobert sql`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Refused, Told
from tests.small_root import BATCHES, SmallRoot
from videobert.cli.query import SqlCommand
from videobert.errors import InputError


def test_rows_are_printed_as_a_table(told: Told, small_root: SmallRoot) -> None:
    query = "select batch, count(*) from embeddings where level = 'video' group by all order by batch"
    table = told("sql", query, "--root", small_root.root)
    assert all(any(batch in line for line in table) for batch in BATCHES)
    assert any("broken" in line for line in told("sql", "select uri from dead_letters", "--root", small_root.root))


@pytest.mark.parametrize("query", ["select cast(text as int) from embeddings", "select error('x') from embeddings"])
def test_what_fails_while_it_runs_is_an_input_error(small_root: SmallRoot, query: str) -> None:
    with pytest.raises(InputError, match="while it ran"):
        SqlCommand(query=query, root=small_root.root).execute()


def test_what_duckdb_refuses_names_the_tables(refused: Refused, small_root: SmallRoot) -> None:
    assert "embeddings, catalog, dead_letters" in refused("sql", "select * from rows", "--root", small_root.root)
    assert "no embeddings of 'x'" in refused("sql", "select 1", "--root", small_root.root, "--model", "x")


def test_a_root_without_predictions_has_none(told: Told, small_root: SmallRoot) -> None:
    lines = told("sql", "select label, task, batch, count(*) from predictions group by all", "--root", small_root.root)
    assert "label" in lines[1] and any("0 rows" in line for line in lines)
