"""The loop: what is frozen stays, what was killed goes on, the best epoch is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.parameters import freeze, parameter_groups
from videobert.finetune.train import TuneState, finetune, rate_at
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tokens.footage import Footage

WORDS = vocabulary(60, 40)
CONFIG = FinetuneConfig(
    epochs=4, batch_size=8, patience=0, learning_rate=3e-3, freeze="nothing", checkpoint_every_steps=2
)


def network(config: FinetuneConfig = CONFIG) -> VideoBertForVideoClassification:
    shape = replace(TINY, dropout=0.1)
    encoder = VideoBert.create(PretrainConfig(architecture=shape, retrieval_dim=16), vocabulary=WORDS)
    return VideoBertForVideoClassification(
        encoder, id2label={0: "low", 1: "high"}, problem_type="single_label_classification", dropout=config.dropout
    )


def examples(count: int, *, seed: int = 0) -> list[Example]:
    """Low leaves or high leaves."""
    rng = np.random.default_rng(seed)
    return [
        Example(video_id=str(i), footage=Footage.plain(20 * (i % 2) + rng.integers(20, size=4)), target=np.int64(i % 2))
        for i in range(count)
    ]


def validate(tuned: TaskNetwork) -> dict[str, float]:
    found = examples(20, seed=1)
    right = [float(int(o.argmax()) == int(e.target)) for o, e in zip(tuned.outputs(found), found, strict=True)]
    return {"top1": sum(right) / len(right), "loss": 0.0}


def state_of(tuned: TaskNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tuned.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_it_learns() -> None:
    tuned = network()
    state = finetune(tuned, examples(60), validate, replace(CONFIG, epochs=6))
    assert validate(tuned)["top1"] > 0.9
    assert state.curve[-1]["loss"] < 0.5 * state.curve[0]["loss"]


def test_from_every_checkpoint_it_ends_as_if_it_had_never_stopped() -> None:
    seen: list[tuple[dict[str, Tensor], TuneState]] = []
    whole = network()
    finetune(
        whole, examples(20), validate, CONFIG,
        on_checkpoint=lambda weights, state: seen.append((weights, replace(
            state, curve=list(state.curve), validation=list(state.validation), moments=dict(state.moments),
        ))),
    )  # fmt: skip
    assert len(seen) == 8  # after step 2 of three and at the end of each epoch
    for weights, state in seen[:-1]:
        resumed = network()
        own = dict(resumed.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)
        finetune(resumed, examples(20), validate, CONFIG, state=state)
        assert same(state_of(whole), state_of(resumed)), state.step


@pytest.mark.parametrize(
    ("kind", "top", "moved"),
    [
        ("nothing", 0, {"embeddings", "layer.0", "layer.1"}), ("embeddings", 0, {"layer.0", "layer.1"}),
        ("encoder", 1, {"layer.1"}), ("encoder", 0, set()),
    ],
)  # fmt: skip
def test_what_is_frozen_is_the_same_bit_for_bit(kind: str, top: int, moved: set[str]) -> None:
    config = replace(CONFIG, freeze=kind, top_layers=top, weight_decay=0.5, epochs=1)  # type: ignore[arg-type]
    tuned = network(config)
    before = state_of(tuned)
    finetune(tuned, examples(20), validate, config)
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    encoder = {name for name in changed if name.startswith("encoder.")}
    assert "classifier.weight" in changed
    tied = "encoder.predictions.decoder.weight"  # the word table once more
    assert {next((part for part in moved if part in name), name) for name in encoder - {tied}} == moved


def test_visual_rows_that_pretraining_froze_stay() -> None:
    centroids_NF = np.random.default_rng(0).standard_normal((WORDS.leaves, 24))
    config = PretrainConfig(architecture=TINY, retrieval_dim=16, freeze_visual=True)
    encoder = VideoBert.create(config, vocabulary=WORDS, centroids_NF=centroids_NF)
    tuned = VideoBertForVideoClassification(
        encoder, id2label={0: "a", 1: "b"}, problem_type="single_label_classification"
    )
    table = encoder.bert.embeddings.word_embeddings.weight
    before = table.detach()[WORDS.first_visual :].clone()
    finetune(tuned, examples(20), validate, replace(CONFIG, epochs=1, weight_decay=0.5))
    assert torch.equal(table.detach()[WORDS.first_visual :], before)


def test_the_best_epoch_is_kept_and_patience_ends_the_rest() -> None:
    figures = iter([0.5, 0.7, 0.7, 0.6, 0.9])
    losses = iter([1.0, 2.0, 1.0, 1.0, 1.0])  # among equals the lower loss counts
    kept: list[dict[str, Tensor]] = []

    def told(tuned: TaskNetwork) -> dict[str, float]:
        kept.append(state_of(tuned))
        return {"top1": next(figures), "loss": next(losses)}

    tuned = network()
    state = finetune(tuned, examples(20), told, replace(CONFIG, epochs=5, patience=1))
    assert len(state.validation) == 4 and state.best_epoch == 3
    assert same(state_of(tuned), kept[2])


def test_parts_of_a_batch_add_up_to_it() -> None:
    config = replace(CONFIG, epochs=1, dropout=0.0)
    ends = []
    for accumulation in (1, 4):
        tuned = network(config)
        for module in tuned.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        finetune(tuned, examples(20), validate, replace(config, accumulation=accumulation))
        ends.append(tuned.dense.weight.detach().clone())
    assert torch.allclose(ends[0], ends[1], atol=1e-5) and not torch.equal(ends[0], network(config).dense.weight)


def test_deeper_layers_learn_more_slowly() -> None:
    config = replace(CONFIG, layer_decay=0.5)
    tuned = network(config)
    groups = parameter_groups(freeze(tuned, config), config, layers=2)
    scales = {id(p): group["scale"] for group in groups for p in group["params"]}
    own = dict(tuned.named_parameters())
    assert [
        scales[id(own[name])]
        for name in (
            "classifier.weight", "encoder.bert.encoder.layer.1.output.dense.weight",
            "encoder.bert.encoder.layer.0.output.dense.weight", "encoder.bert.embeddings.word_embeddings.weight",
        )
    ] == [1.0, 0.5, 0.25, 0.125]  # fmt: skip


def test_the_head_learns_alone_at_first_and_the_encoder_more_slowly() -> None:
    config = replace(CONFIG, epochs=3, head_epochs=2, encoder_rate=0.25, weight_decay=0.5)
    groups = parameter_groups(freeze(network(), config), config, layers=2)
    assert {(group["scale"], group["waits"]) for group in groups} == {(1.0, False), (0.25, True)}
    tuned, seen = network(config), []
    before = state_of(tuned)

    def moved(current: TaskNetwork) -> dict[str, float]:
        seen.append({name for name, value in current.state_dict().items() if not torch.equal(value, before[name])})
        return {"top1": float(len(seen)), "loss": 0.0}

    state = finetune(tuned, examples(20), moved, config)
    encoder = [{name for name in names if name.startswith("encoder.")} for names in seen]
    assert not encoder[0] and not encoder[1] and encoder[2] and "dense.weight" in seen[0]
    assert state.curve[-1]["learning_rate"] < config.learning_rate
    with pytest.raises(InputError, match=r"head_epochs 4 leaves none of 4 epochs"):
        replace(CONFIG, head_epochs=4)


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.5), ("cosine", 0.5), ("constant", 1.0)])
def test_the_rate_rises_and_falls(schedule: str, middle: float) -> None:
    config = replace(CONFIG, schedule=schedule, warmup_fraction=0.2, learning_rate=1.0)  # type: ignore[arg-type]
    rates = [rate_at(config, step=step, steps=100) for step in range(100)]
    assert rates[0] < rates[10] < rates[20] == 1.0
    assert math.isclose(rates[60], middle) and rates[99] < (0.02 if schedule != "constant" else 1.1)


def test_l1_thins_the_head_out() -> None:
    sizes = []
    for l1 in (0.0, 0.3):
        tuned = network()
        finetune(tuned, examples(20), validate, replace(CONFIG, l1=l1, clip_norm=1e9))
        sizes.append(float(tuned.classifier.weight.detach().abs().sum()))
    assert sizes[1] < 0.9 * sizes[0]
