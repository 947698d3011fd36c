"""Lineage: from a row back to the source, or a word on where it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.lineage import trace
from videobert.runtime.storage import Store, sha256


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    for batch in ("a", "b"):
        write_embeddings(store, batch, unit_vectors(4))
    return store


def test_a_row_leads_to_its_source(store: Store) -> None:
    steps = dict(trace(store, EMBED, row_ids("b", 4)[3]))
    assert list(steps) == [
        "row", "embeddings", "pretrain", "codebook", "tokens", "features", "shard", "catalog", "video", "source"
    ]  # fmt: skip
    assert "'say 3'" in steps["row"] and steps["source"] == "s3://in/3.mp4" and steps["video"] == "sha256 b-v0001"
    for stage in ("tokens", "features", "shard"):
        assert "batch=b/00000" in steps[stage] and sha256(stage.encode())[:12] in steps[stage]
        url = steps[stage].split(" ")[0]
        assert Path(url.removeprefix("file://")).read_bytes() == stage.encode()
    assert steps["pretrain"].endswith("models/pretrain-1/_manifest.json")


def test_an_unknown_row_is_an_input_error(store: Store) -> None:
    with pytest.raises(InputError, match="VIDEO_ID:SEGMENT"):
        list(trace(store, EMBED, "nothing"))


def test_a_missing_link_is_named(store: Store) -> None:
    store.delete(["features/features-1/batch=b/_manifest.json"])
    with pytest.raises(InputError, match="features features-1 of batch b is gone"):
        list(trace(store, EMBED, row_ids("b", 4)[0]))
