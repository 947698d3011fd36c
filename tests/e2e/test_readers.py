"""Plain readers on the result, with no code of ours."""

from __future__ import annotations

import json
import warnings

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds

from tests.e2e.conftest import BATCHES, Run


def _rows(run: Run) -> int:
    return sum(result.counts["rows"] for result in run.results if result.stage == "embed")


def test_pandas(run: Run) -> None:
    frame = pd.read_parquet(run.root / "embeddings")
    assert len(frame) == _rows(run)
    assert set(frame["batch"].astype(str)) == set(BATCHES)
    assert frame["embedding"].map(lambda vector: abs((vector**2).sum() - 1) < 1e-5).all()


def test_polars(run: Run) -> None:
    frame = pl.read_parquet(run.root / "embeddings/**/*.parquet", hive_partitioning=True)
    assert frame.height == _rows(run)
    dtype = frame["embedding"].dtype
    assert isinstance(dtype, pl.Array) and dtype.inner == pl.Float32 and len(dtype.shape) == 1
    assert frame["row_id"].n_unique() == frame.height


def test_duckdb(run: Run) -> None:
    query = f"""
        select level, count(*), count(distinct video_id)
        from read_parquet('{run.root}/embeddings/*/*/*.parquet', hive_partitioning = true) group by level order by level
    """
    segments, videos = duckdb.execute(query).fetchall()
    assert segments[0] == "segment" and videos[0] == "video"
    assert segments[1] + videos[1] == _rows(run)
    assert videos[1] == videos[2] == segments[2]


def test_pyarrow_dataset(run: Run) -> None:
    for folder in ("embeddings", "features", "catalog", "dead_letters"):
        table = ds.dataset(run.root / folder, partitioning="hive").to_table()
        assert table.num_rows > 0
        assert set(table["batch"].unique().cast("string").to_pylist()) <= set(BATCHES)


def test_webdataset(run: Run) -> None:
    import webdataset as wds

    urls = sorted(str(path) for path in (run.root / "shards").rglob("*.tar"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # webdataset opens its files without closing them
        samples = list(wds.WebDataset(urls, shardshuffle=False).decode())
    assert len(samples) == sum(r.counts["videos"] for r in run.results if r.stage == "shard")
    for sample in samples:
        assert sample["json"]["video_id"] == sample["__key__"]
        assert sum(isinstance(value, bytes) and len(value) > 1000 for value in sample.values()) == 1
    tokens = sorted(str(path) for path in (run.root / "tokens").rglob("*.tar"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = list(wds.WebDataset(tokens, shardshuffle=False).decode())
    assert {s["__key__"] for s in read} <= {s["__key__"] for s in samples}
    assert all(len(s["json"]["visual"]) > 0 for s in read)


def test_transformers(run: Run) -> None:
    from transformers import AutoModel, AutoTokenizer

    (folder,) = (run.root / "models" / run.spec("pretrain")).glob("step-*")
    model, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    layout = json.loads((folder / "videobert.json").read_text())["vocabulary"]
    assert model.config.vocab_size == layout["text_size"] + 1 + layout["leaves"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("now let me show you how to [MASK] the [MASK]", return_tensors="pt")
    assert int((ids["input_ids"] == tokenizer.mask_token_id).sum()) == 2
    assert model(**ids).last_hidden_state.shape[-1] == model.config.hidden_size
