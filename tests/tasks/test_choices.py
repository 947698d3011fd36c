"""Questions with choices, open questions and retrieval: what each learns, and what it takes from its labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.measure import shuffled
from videobert.finetune.train import finetune
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks import load_network
from videobert.tasks.base import Example, Task, TaskNetwork
from videobert.tasks.choices import Choices, VideoBertForMultipleChoice, pseudo_log_likelihoods
from videobert.tasks.questions import OpenQuestions
from videobert.tasks.registry import TASKS, get_task
from videobert.tasks.retrieval import Retrieval, VideoBertForRetrieval
from videobert.tokens.footage import Footage

WORDS = vocabulary(30, 40)
CONFIG = FinetuneConfig(epochs=12, batch_size=16, patience=0, learning_rate=3e-3, freeze="nothing")


def encoder() -> VideoBert:
    return VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=WORDS)


def encode(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split())


def validated(task: Task, told: list[Example]) -> object:
    def validate(network: TaskNetwork) -> dict[str, float]:
        return {**task.figures(network.outputs(told), [e.target for e in told], {}), "loss": 0.0}

    return validate


def choice_examples(count: int, seed: int) -> list[Example]:
    """The right choice is the word of the leaf that is shown."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        shown = rng.choice(8, size=3, replace=False)
        target = int(rng.integers(3))
        options = tuple((10 + int(leaf),) for leaf in shown)
        footage = Footage.plain(np.full(3, shown[target]))
        found.append(Example(video_id=str(i), text_ids=(6,), footage=footage, options=options, target=target))
    return found


def test_choices_are_learnt_from_the_video() -> None:
    task, told = Choices(), choice_examples(40, seed=1)
    network = task.network(encoder(), {}, CONFIG)
    finetune(network, choice_examples(300, seed=0), validated(task, told), CONFIG)  # type: ignore[arg-type]
    targets = [e.target for e in told]
    assert task.figures(network.outputs(told), targets, {})["accuracy"] > 0.8
    assert task.figures(network.outputs(shuffled(told, seed=0, asked=True)), targets, {})["accuracy"] < 0.6


def test_equal_scores_count_by_chance() -> None:
    outputs = [np.array([0.5, 0.5]), np.array([0.2, 0.8])]
    assert Choices().figures(outputs, [0, 1], {}) == {"accuracy": 0.75, "chance": 0.5}


def test_pseudo_log_likelihood_masks_one_word_at_a_time() -> None:
    model = encoder()
    example = replace(choice_examples(1, seed=0)[0], options=((7, 8), (9,)))
    (found,) = pseudo_log_likelihoods(model, [example])
    from videobert.tasks.sequences import encode as pack

    wanted = []
    for option in example.options:
        total = 0.0
        for i, word in enumerate(option):
            words = [*example.text_ids, *option]
            words[1 + i] = WORDS.mask
            with torch.inference_mode():
                hidden, _, _ = pack(model.eval(), [replace(example, text_ids=tuple(words))])
                total += float(model.cloze_logits(hidden[2 + i][None]).log_softmax(-1)[0, word])
        wanted.append(total / len(option))
    assert found == pytest.approx(wanted, abs=1e-5)


def test_pairs_are_found_after_training_and_not_when_shuffled() -> None:
    task = Retrieval()
    rng = np.random.default_rng(0)

    def pairs(count: int) -> list[Example]:
        leaves = [rng.choice(8, size=2, replace=False) for _ in range(count)]
        return [
            Example(
                video_id=str(i), footage=Footage.plain(np.repeat(found, 2)), target="x",
                text_ids=tuple(10 + int(leaf) for leaf in found),
            )
            for i, found in enumerate(leaves)
        ]  # fmt: skip

    told = pairs(20)
    network = task.network(encoder(), {}, CONFIG)
    before = task.figures(network.outputs(told), ["x"] * 20, {})
    finetune(network, pairs(300), validated(task, told), CONFIG)  # type: ignore[arg-type]
    after = task.figures(network.outputs(told), ["x"] * 20, {})
    assert before["recall_at_1"] < 0.3 and after["recall_at_5"] > 0.8 and after["median_rank"] <= 3
    assert task.figures(network.outputs(shuffled(told, seed=0, asked=True)), ["x"] * 20, {})["recall_at_1"] < 0.3


def test_labels_are_checked() -> None:
    row = LabelRow(video="v", question="what?", answer="egg", choices=("egg", "fish"), line=4)
    assert Choices().takes(row) and not OpenQuestions().takes(row)
    assert Choices().target(row, {}, encode) == 0
    with pytest.raises(InputError, match=r"line 4 .*'lemon', which is none of its 2 choices"):
        Choices().facts([replace(row, answer="lemon")], CONFIG)
    with pytest.raises(InputError, match=r"read together with its video"):
        Choices().facts([row], replace(CONFIG, reads="video"))
    asked = [replace(row, choices=(), answer=answer) for answer in ("Egg", "egg", "fish")]
    facts = OpenQuestions().facts(asked, CONFIG)
    assert facts["labels"] == ["egg", "fish"]
    assert OpenQuestions().target(asked[0], facts, encode) == 0
    assert OpenQuestions().text_of(replace(row, question="7 8"), (9,), encode) == (7, 8)


@pytest.mark.parametrize("kind", [VideoBertForMultipleChoice, VideoBertForRetrieval])
def test_saved_and_loaded(kind: type[VideoBertForMultipleChoice], tmp_path: Path) -> None:
    network = kind(encoder())
    network.save_pretrained(tmp_path)
    loaded = load_network(tmp_path)
    assert type(loaded) is kind
    assert torch.equal(loaded.encoder.alignment.weight, network.encoder.alignment.weight)


def test_every_task_of_the_list_is_one() -> None:
    for name in TASKS:
        task = get_task(name)
        assert task.name == name and task.summary and task.needs
