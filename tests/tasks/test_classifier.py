"""The classifier against transformers' own, on disk and back, and what it says of itself."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertForSequenceClassification

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks import load_network
from videobert.tasks.base import Example
from videobert.tasks.classifier import ProblemType, VideoBertForVideoClassification
from videobert.tasks.sequences import encode, thinned
from videobert.tokens.footage import Footage

WORDS = vocabulary(60, 40)
NAMES = {0: "chop", 1: "stir", 2: "<b>fry</b>"}


def classifier(
    problem: ProblemType = "single_label_classification", **given: object
) -> VideoBertForVideoClassification:
    config = PretrainConfig(architecture=TINY, retrieval_dim=16)
    encoder = VideoBert.create(config, vocabulary=WORDS)
    names = {0: "value"} if problem == "regression" else NAMES
    return VideoBertForVideoClassification(encoder, id2label=names, problem_type=problem, **given).eval()  # type: ignore[arg-type]


def examples(count: int = 5) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            video_id=str(i), text_ids=tuple(rng.integers(5, 60, size=i).tolist()),
            footage=Footage.plain(rng.integers(40, size=1 + 2 * i)), target=np.int64(i % 3),
        )
        for i in range(count)
    ]  # fmt: skip


def test_it_equals_transformers_on_copied_weights() -> None:
    network = classifier(pool="cls")
    config = copy.deepcopy(network.config)
    config._attn_implementation = "eager"
    twin = BertForSequenceClassification(config)
    twin.eval()  # type: ignore[no-untyped-call]
    twin.bert.load_state_dict(network.encoder.bert.state_dict())
    assert twin.bert.pooler is not None
    twin.bert.pooler.dense.load_state_dict(network.dense.state_dict())
    twin.classifier.load_state_dict(network.classifier.state_dict())
    with torch.inference_mode():
        for example in examples():
            _, tokens, _ = encode(network.encoder, [example])
            wanted = twin(input_ids=tokens.ids_T[None], token_type_ids=tokens.types_T[None]).logits
            assert torch.allclose(network([example]), wanted, atol=1e-5)


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_losses_are_those_that_transformers_takes(problem: ProblemType) -> None:
    network = classifier(problem)
    rng = np.random.default_rng(0)
    logits = torch.randn(4, len(network.labels))
    targets = {
        "single_label_classification": np.array([0, 2, 1, 1]), "regression": rng.random(4),
        "multi_label_classification": rng.random((4, 3)) < 0.5,
    }[problem]  # fmt: skip
    losses, weights = network.losses_of(logits, targets)
    wanted = {
        "single_label_classification": torch.nn.CrossEntropyLoss(),
        "multi_label_classification": torch.nn.BCEWithLogitsLoss(),
        "regression": torch.nn.MSELoss(),
    }[problem]  # fmt: skip
    truth = torch.from_numpy(targets)
    truth = truth if problem == "single_label_classification" else truth.float()
    logits = logits[:, 0] if problem == "regression" else logits
    assert float((losses * weights).sum() / weights.sum()) == pytest.approx(float(wanted(logits, truth)), abs=1e-6)


def test_it_is_saved_and_loaded_as_transformers_does(tmp_path: Path) -> None:
    network = classifier(pool="cls")
    network.save_pretrained(tmp_path, facts={"labels": list(NAMES.values())})
    loaded = VideoBertForVideoClassification.from_pretrained(tmp_path)
    assert loaded.config.id2label == NAMES and loaded.config.label2id["stir"] == 1
    assert loaded.problem_type == loaded.config.problem_type == "single_label_classification"
    for one, two in zip(network.outputs(examples()), loaded.outputs(examples()), strict=True):
        assert np.array_equal(one, two)
    assert type(load_network(tmp_path)) is VideoBertForVideoClassification
    encoder = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(
        encoder.embeddings.word_embeddings.weight, network.encoder.bert.embeddings.word_embeddings.weight
    )
    with pytest.raises(InputError, match=r"no folder, and no model"):
        VideoBertForVideoClassification.from_pretrained("not/a model")
    (tmp_path / "task.json").unlink()
    with pytest.raises(InputError, match=r"has no task\.json"):
        load_network(tmp_path)


def test_an_answer_does_not_depend_on_its_neighbours_nor_on_the_mode() -> None:
    network = classifier()
    alone = [network.outputs([example])[0] for example in examples()]
    network.train()
    assert np.allclose(np.stack(alone), np.stack(network.outputs(examples())), atol=1e-5)
    assert network.training


def test_a_long_video_is_seen_from_its_beginning_to_its_end() -> None:
    footage = thinned(Footage.plain(np.arange(1000)), 30)
    assert footage.leaves[0] == 0 and footage.leaves[-1] == 999 and len(footage) == 30
    _, tokens, _ = encode(
        classifier().encoder, [Example(video_id="", text_ids=(7,) * 90, footage=Footage.plain(np.zeros(900, int)))]
    )
    words = int((tokens.ids_T == 7).sum())
    assert len(tokens.ids_T) == TINY.max_length and 20 < words < 40


def test_a_shut_gate_is_the_network_of_the_text_and_an_open_one_sees_the_video(tmp_path: Path) -> None:
    fused = classifier(fusion="cross")
    assert fused.fusion is not None
    blind = [replace(example, footage=None) for example in examples()]
    other = [replace(example, footage=Footage.plain(np.arange(3, 9))) for example in examples()]
    with torch.inference_mode():
        plain = classifier()
        plain.load_state_dict({k: v for k, v in fused.state_dict().items() if not k.startswith("fusion.")})
        assert torch.allclose(fused(examples()), plain(blind), atol=1e-5)
        fused.fusion.gate.fill_(0.5)
        assert torch.allclose(fused(blind), plain(blind), atol=1e-5)
        assert (fused(examples()) - fused(other)).abs().max() > 1e-3
    fused.save_pretrained(tmp_path)
    loaded = VideoBertForVideoClassification.from_pretrained(tmp_path)
    assert np.array_equal(np.stack(loaded.outputs(examples())), np.stack(fused.outputs(examples())))
