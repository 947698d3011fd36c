"""A file asks as what a batch would have made of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image

import videobert
from tests.small_root import BATCHES, SmallRoot
from videobert.query.by_file import vector_of_file
from videobert.runtime.parquet import vectors_of
from videobert.runtime.storage import Store

pytestmark = pytest.mark.slow


def test_a_video_of_the_root_is_its_own_row(small_root: SmallRoot, tmp_path: Path) -> None:
    root, store = videobert.open(small_root.root), Store(small_root.root)
    table = root.embeddings(batches=BATCHES[0]).to_table(filter=pc.field("level") == "video").slice(0, 1)
    source = Path(table["source_uri"][0].as_py().removeprefix("file://"))
    for file in source.parent.glob(f"{source.stem}*"):
        shutil.copy(file, tmp_path)
    before = store.list("")
    vector_R = vector_of_file(store, small_root.specs["embed"], str(tmp_path / source.name))
    assert store.list("") == before
    np.testing.assert_array_equal(vector_R, vectors_of(table, "embedding")[0])


def test_a_picture_asks_and_what_is_none_is_refused(small_root: SmallRoot, tmp_path: Path) -> None:
    root = videobert.open(small_root.root)
    picture = tmp_path / "picture.PNG"
    Image.fromarray(np.random.default_rng(0).integers(255, size=(90, 122, 3), dtype=np.uint8)).save(picture)
    assert len(root.search(file=str(picture), top=3)) == 3
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.mp4").write_text("no video")
    refusals: tuple[tuple[dict[str, Any], str], ...] = (
        ({"file": str(tmp_path / "text.png")}, "is no picture"),
        ({"file": str(tmp_path / "text.mp4")}, "text.mp4"),
        ({"file": str(tmp_path / "none.mp4")}, "is not there"),
        ({"file": str(picture), "text": "egg"}, "only one of them"),
        ({"file": str(picture), "encoder": "torchvision:s3d"}, "encoder"),
    )
    for options, told in refusals:
        with pytest.raises(videobert.InputError, match=told) as refused:
            root.search(**options)
        assert len(str(refused.value).splitlines()) == 1
