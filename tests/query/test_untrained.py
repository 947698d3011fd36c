"""A text finds clips by a joint encoder alone: no model is trained or promoted."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import videobert
from tests.features.encoders.test_huggingface import clip, save
from tests.features.encoders.test_text_tower import save_tokenizer
from tests.small_root import BATCHES, SmallRoot
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders import load_text_encoder
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.storage import Store


def test_a_text_finds_the_clips_of_a_joint_encoder(small_root: SmallRoot, tmp_path: Path) -> None:
    encoder = f"hf:{save(tmp_path / 'clip', clip)}"
    save_tokenizer(tmp_path / "clip")
    for folder in ("catalog", "shards"):
        shutil.copytree(Path(small_root.root) / folder, tmp_path / "root" / folder)
    root, store = videobert.open(str(tmp_path / "root")), Store(str(tmp_path / "root"))
    with pytest.raises(InputError, match=r"no features of hf:.* make them with"):
        root.search("chop the onion", encoder=encoder)
    features = FeaturesConfig(encoder=encoder, device="cpu")
    recipe = dataclasses.replace(small_root.recipe, features=features)
    run_stage(recipe, store, "features", batches=BATCHES, selection=Selection(), executor=LocalExecutor())

    query_D = load_text_encoder(features).encode_texts(["chop the onion"])[0]
    cosines = {}
    for path in (tmp_path / "root" / "features").glob("*/*/*.parquet"):
        for row in pq.read_table(path, columns=["video_id", "clip", "feature"]).to_pylist():
            vector_D = np.array(row["feature"])
            cosine = vector_D @ query_D / np.linalg.norm(vector_D) / np.linalg.norm(query_D)
            cosines[f"{row['video_id']}:{row['clip']}"] = float(cosine)
    hits = root.search("chop the onion", encoder=encoder, top=6)
    best = sorted(cosines.values(), reverse=True)[:6]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-6)
    assert all(hit.score == pytest.approx(cosines[hit.row_id], abs=1e-6) for hit in hits)
    assert all(hit.title and hit.source_uri.endswith(".mp4") and hit.batch in BATCHES for hit in hits)
    apart = root.search("chop the onion", encoder=encoder, top=3, per_video=1, batches=BATCHES[0])
    assert len({hit.video_id for hit in apart}) == len(apart) == 3 and {hit.batch for hit in apart} == {BATCHES[0]}
    with pytest.raises(InputError, match="leave the others out"):
        root.search("chop the onion", encoder=encoder, rerank=2)
