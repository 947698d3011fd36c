"""Tasks on one encoder: each counts by its weight, alone or together, and the encoder learns from all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tests.finetune.test_train import CONFIG, examples, network, state_of, validate
from tests.model.material import TINY, vocabulary
from videobert.finetune.parameters import freeze
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.files import add_head, choose_head
from videobert.tasks.together import Together


def pair(weight: float) -> Together:
    first = network()
    second = VideoBertForVideoClassification(
        first.encoder, id2label={0: "a", 1: "b"}, problem_type="single_label_classification", seed=1,
        class_weights=(3.0, 1.0),
    )  # fmt: skip
    return Together([first, second], [1.0, weight])


def test_the_loss_is_the_weighted_mean_of_the_tasks() -> None:
    both = pair(0.25).eval()
    one = examples(6)
    two = [replace(example, part=1) for example in examples(4, seed=2)]
    mixed = [one[0], two[0], *one[1:], *two[1:]]
    losses_B, weights_B = both.losses(mixed)
    own, others = both.parts[0].losses(one), both.parts[1].losses(two)  # type: ignore[operator]
    wanted = own[0].sum() + 0.25 * (others[0] * others[1]).sum()
    assert torch.allclose((losses_B * weights_B).sum(), wanted)
    assert torch.allclose(weights_B.sum(), torch.tensor(6 + 0.25 * 8.0))


def test_every_head_learns_and_the_encoder_is_there_once() -> None:
    both = pair(1.0)
    names = list(freeze(both, CONFIG))
    assert len({id(dict(both.named_parameters())[name]) for name in names}) == len(names)
    assert {name.split(".")[0] for name in names} == {"encoder", "parts"}
    assert sum(name.endswith("word_embeddings.weight") for name in names) == 1
    before = state_of(both)
    train = [*examples(16), *(replace(example, part=1) for example in examples(16, seed=3))]
    finetune(both, train, validate, replace(CONFIG, epochs=1))
    for name in (
        "parts.0.classifier.weight",
        "parts.1.classifier.weight",
        "encoder.bert.encoder.layer.0.output.dense.weight",
    ):
        assert not torch.equal(both.state_dict()[name], before[name]), name


def test_a_head_of_another_problem_type_is_loaded_in_place_of_the_first(tmp_path: Path) -> None:
    encoder = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=vocabulary(60, 40))
    value = VideoBertForVideoClassification(encoder, id2label={0: "value"}, problem_type="regression")
    kinds = VideoBertForVideoClassification(
        encoder, id2label={0: "a", 1: "b"}, problem_type="single_label_classification"
    )
    kinds.save_pretrained(tmp_path, facts={"labels": ["a", "b"]})
    add_head(value, tmp_path, 1, {"facts": {"labels": ["value"]}})
    choose_head(tmp_path, 1)
    loaded = VideoBertForVideoClassification.from_pretrained(tmp_path)
    assert loaded.problem_type == loaded.config.problem_type == "regression" and loaded.labels == ("value",)
