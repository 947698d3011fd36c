"""Caption files of any size: little of them is read, and the video is taken without."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.hostile.corpus.clip import Clip, encode_clip
from tests.hostile.endings import BATCH, hostile_recipe
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store


@pytest.mark.parametrize(
    ("name", "head"), [("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n"), ("a.json", '[{"start": 1, "text": "')]
)
def test_100_mb_in_one_line_cost_bounded_memory(tmp_path: Path, name: str, head: str) -> None:
    folder, store = tmp_path / "v" / BATCH, Store(str(tmp_path / "root"))
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(encode_clip(Clip()))
    with (folder / name).open("w") as captions:
        captions.write(head)
        for _ in range(100):
            captions.write("onion " * 170_000)
    tracemalloc.start()
    try:
        run_stage(
            hostile_recipe(tmp_path / "v"), store, "ingest", batches=(BATCH,), selection=Selection(),
            executor=LocalExecutor(),
        )  # fmt: skip
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    (row,) = read_table(store, f"catalog/batch={BATCH}/00000.parquet").to_pylist()
    assert (
        row["caption_source"] == "none" and name in row["caption_note"] and "bytes of captions" in row["caption_note"]
    )
