"""The name of a model changes with all that decides its weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from videobert.pretrain.card import model_card
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.spec import pretrain_spec
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.spec import corpus_spec
from videobert.runtime.storage import Store
from videobert.stages import get_stage


def test_changed_weights_under_the_same_path_make_another_model(tmp_path: Path) -> None:
    inputs = Inputs(store=Store(str(tmp_path)))
    config = PretrainConfig(init_from=str(tmp_path / "bert"))
    (tmp_path / "bert").mkdir()
    weights = tmp_path / "bert" / "model.safetensors"
    specs = []
    for data in (b"one", b"two", b"one"):
        weights.write_bytes(data)
        specs.append(pretrain_spec(config, inputs))
    assert specs[0] == specs[2] != specs[1]


def test_from_scratch_and_from_an_id_the_config_says_all(tmp_path: Path) -> None:
    inputs = Inputs(store=Store(str(tmp_path)))
    for config in (PretrainConfig(), PretrainConfig(init_from="bert-large-uncased")):
        assert pretrain_spec(config, inputs) == corpus_spec(get_stage("pretrain"), config, inputs.sources)
    assert pretrain_spec(dataclasses.replace(PretrainConfig(), seed=1), inputs) != pretrain_spec(
        PretrainConfig(), inputs
    )


def test_the_window_counts_only_where_the_corpus_exceeds_it(tmp_path: Path) -> None:
    output = Output(shard=0, input_digest="", path="00000.tar", sha256="", size_bytes=1, counts={"segments": 500})
    tokens = Manifest(stage="tokens", spec="tokens-1", batch="b", config={}, sources=(), outputs=(output, output))
    inputs = Inputs(store=Store(str(tmp_path)), upstream={"tokens": (tokens,)})
    roomy, whole, half, quarter = (
        pretrain_spec(PretrainConfig(window_segments=size), inputs) for size in (10**6, 1000, 500, 250)
    )
    assert roomy == whole == pretrain_spec(PretrainConfig(), inputs)
    assert len({whole, half, quarter}) == 3


def test_the_card_names_data_codebook_and_figures() -> None:
    facts = {
        "step": 9, "directory": "models/m/step-0000009", "batches": ["b1", "b2"], "heldout_fraction": 0.25,
        "codebook_spec": "codebook-1", "feature_spec": "features-1",
    }  # fmt: skip
    curve = [{"step": 1, "loss": 4.5, "alignment": 0.75}, {"step": 9, "loss": 2.25, "alignment": 0.5}]
    card = model_card("pretrain-1", facts, [{"clips": 1200, "segments": 30}, {"clips": 34}], curve).decode()
    for part in (
        "b1, b2",
        "1,234 clips in 30 segments",
        "codebook-1",
        "features-1",
        "| weighted sum | 4.500 | 2.250 |",
    ):
        assert part in card
    assert "| alignment | 0.750 | 0.500 |" in card and "InfoNCE" not in card
