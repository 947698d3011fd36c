"""Plain models on frozen features find what is linear in them, and nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.model.material import TINY, vocabulary
from videobert.evaluate.metrics import retrieval_ranks
from videobert.finetune.config import FinetuneConfig
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.base import Example
from videobert.tasks.captions import Caption, Captions
from videobert.tasks.choices import Choices
from videobert.tasks.probe import fit_choice, fit_map, nearest
from videobert.tasks.retrieval import Retrieval
from videobert.tokens.footage import Footage

SPLITS = {"train": 120, "validation": 40, "test": 60}


def normal(count: int, width: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def test_the_choice_whose_features_point_one_way_is_found_among_two_or_three() -> None:
    way_D = normal(1, 6, seed=9)[0]
    features, sizes, targets = {}, {}, {}
    for seed, (split, count) in enumerate(SPLITS.items()):
        sizes[split] = [2 + i % 2 for i in range(count)]
        features[split] = normal(sum(sizes[split]), 6, seed=seed)
        parts = np.split(features[split] @ way_D, np.cumsum(sizes[split])[:-1])
        targets[split] = [int(part.argmax()) for part in parts]
    found = fit_choice(features, sizes, targets)
    assert [len(shares_O) for shares_O in found] == sizes["test"]
    assert np.allclose([shares_O.sum() for shares_O in found], 1, atol=1e-5)
    assert Choices().figures(found, targets["test"], {})["accuracy"] > 0.9
    by_lot = {split: normal(len(rows), 6, seed=20 + i) for i, (split, rows) in enumerate(features.items())}
    assert Choices().figures(fit_choice(by_lot, sizes, targets), targets["test"], {})["accuracy"] < 0.65


def test_texts_that_are_turned_videos_are_found_and_others_are_not() -> None:
    videos = {split: normal(count, 5, seed=seed) for seed, (split, count) in enumerate(SPLITS.items())}
    turn_DD = normal(5, 5, seed=9)
    texts = {split: found @ turn_DD for split, found in videos.items()}
    assert retrieval_ranks(fit_map(videos, texts)).mean() < 1.2
    others = {split: normal(count, 5, seed=10 + seed) for seed, (split, count) in enumerate(SPLITS.items())}
    assert 20 < retrieval_ranks(fit_map(videos, others)).mean() < 41, "chance: 30.5"


def test_the_nearest_caption_is_that_of_the_same_features() -> None:
    train_BD = normal(20, 4, seed=0)
    order = np.random.default_rng(1).permutation(20)
    assert nearest(train_BD, train_BD[order]).tolist() == order.tolist()
    train_BD[:, 0] = 0.1  # says nothing, whatever rounding makes of it
    asked_QD = train_BD[order] + np.array([0.01, *[0] * (train_BD.shape[1] - 1)], dtype=np.float32)
    assert nearest(train_BD, asked_QD).tolist() == order.tolist()
    told = [Caption(ids=(i,), of=(str(i), None, None), text=f"sentence {i}") for i in range(20)]
    features = {"train": train_BD, "test": train_BD[order[:3]]}
    found = Captions().probe(features, {"train": told}, {}, FinetuneConfig())
    assert found == [f"sentence {i}" for i in order[:3]]


def test_retrieval_and_choices_stand_beside_what_looks_at_nothing_and_a_plain_model() -> None:
    shown = {split: np.random.default_rng(i).integers(8, size=n) for i, (split, n) in enumerate(SPLITS.items())}
    examples = {
        split: [
            Example(
                video_id=str(i), text_ids=(10 + leaf,), footage=Footage.plain(np.full(3, leaf)), target=i % 2,
                options=((10 + leaf,), (10 + (leaf + 3) % 8,))[:: -1 if i % 2 else 1],
            )
            for i, leaf in enumerate(leaves.tolist())
        ]
        for split, leaves in shown.items()
    }  # fmt: skip
    model = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=vocabulary(30, 40))
    found = Retrieval().controls(model, examples, {}, FinetuneConfig())
    lot = Retrieval().figures(found["majority"], [""] * 60, {})
    assert (lot["recall_at_1"], lot["recall_at_10"], lot["median_rank"]) == (1 / 60, 10 / 60, 30.5)
    assert Retrieval().figures(found["linear probe"], [""] * 60, {})["median_rank"] < 10
    targets = [e.target for e in examples["test"]]
    options = [replace(e, text_ids=(6,)) for e in examples["test"]]
    chosen = Choices().controls(model, examples | {"test": options}, {"places": [60, 60]}, FinetuneConfig())
    assert Choices().figures(chosen["majority"], targets, {})["accuracy"] == 0.5
    assert set(chosen) >= {"linear probe", "text only"} and len(chosen["linear probe"]) == 60
