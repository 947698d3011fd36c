"""What training changes in its examples, and what a student takes from its teacher."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.finetune.config import AugmentOptions, FinetuneConfig
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.augment import augmented
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.classification import Classification
from videobert.tasks.classifier import ProblemType, VideoBertForVideoClassification
from videobert.tasks.distillation import Teacher
from videobert.tasks.retrieval import Retrieval
from videobert.tokens.footage import Footage

WORDS = vocabulary(60, 40)
CONFIG = FinetuneConfig(epochs=2, batch_size=8, patience=0, learning_rate=1e-3, freeze="nothing", dropout=0.0)


def network(seed: int = 0, problem: ProblemType = "single_label_classification") -> VideoBertForVideoClassification:
    encoder = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16, seed=seed), vocabulary=WORDS)
    return VideoBertForVideoClassification(
        encoder, id2label={0: "low", 1: "high", 2: "none"}, problem_type=problem, dropout=0.0, seed=seed
    )


def examples(count: int = 12) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(video_id=str(i), footage=Footage.plain(rng.integers(40, size=5)), target=np.int64(i % 3))
        for i in range(count)
    ]


LOSSES = itertools.count(0, -1)


def validate(tuned: TaskNetwork) -> dict[str, float]:
    """Lower with every epoch: the last is kept."""
    return {"figure": 0.0, "loss": float(next(LOSSES))}


def test_a_view_is_a_part_of_the_span_in_its_order() -> None:
    span = Footage(leaves=np.arange(20), first=2, last=18, lead=1, residuals=np.arange(20.0)[:, None])
    example = Example(video_id="v", footage=span, text_ids=tuple(range(30, 50)))
    options = AugmentOptions(drop_clips=0.4, subsample_rates=(1, 3), mask_words=0.5)
    seen = set()
    for seed in range(50):
        view = augmented(example, options, mask=4, rng=np.random.default_rng(seed))
        assert view.footage is not None and view.footage.residuals is not None
        own = view.footage.leaves[view.footage.first : view.footage.last]
        assert 0 < len(own) <= 16 and set(own) <= set(range(2, 18)) and (np.diff(own) > 0).all()
        assert view.footage.leaves[:2].tolist() == [0, 1] and view.footage.leaves[-2:].tolist() == [18, 19]
        assert (view.footage.residuals[:, 0] == view.footage.leaves).all()
        assert all(word in (4, told) for word, told in zip(view.text_ids, example.text_ids, strict=True))
        seen.add((len(own), view.text_ids.count(4)))
    assert len(seen) > 20
    assert (
        augmented(example, AugmentOptions(drop_clips=0.999), mask=4, rng=np.random.default_rng(0)).footage is not None
    )


def test_views_follow_from_the_seed_and_change_what_is_learnt() -> None:
    def end(**given: float) -> torch.Tensor:
        tuned = network()
        finetune(tuned, examples(), validate, replace(CONFIG, augment=AugmentOptions(**given)))  # type: ignore[arg-type]
        return tuned.dense.weight.detach()

    assert torch.equal(end(drop_clips=0.5), end(drop_clips=0.5))
    assert not torch.equal(end(drop_clips=0.5), end())


def test_mixup_of_equal_examples_changes_nothing() -> None:
    torch.manual_seed(1)  # the share of each pair is often next to 0 or 1, where nothing is mixed
    tuned, told = network().train(), examples(1) * 4
    plain, _ = tuned.losses(told)
    tuned.mixup = 0.4
    mixed, weights = tuned.losses(told)
    assert torch.allclose(plain, mixed, atol=1e-5) and torch.allclose(weights, torch.ones(4))
    mixed, _ = tuned.losses(examples())
    tuned.mixup = 0.0
    assert not torch.allclose(mixed, tuned.losses(examples())[0])


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification", "regression"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(problem: ProblemType) -> None:
    one = network(problem=problem).eval()
    other = network(seed=1, problem=problem).eval()
    teacher = Teacher(network=one, weight=1.0, temperature=3.0, problem_type=problem)
    with torch.no_grad():
        own, others = one(examples()), other(examples())
    assert torch.allclose(teacher.losses(own, own), torch.zeros(12), atol=1e-6)
    assert (teacher.losses(others, own) > 0).all()


def test_a_student_comes_nearer_to_its_teacher_whose_weights_stay() -> None:
    student, teacher = network(), network(seed=1)
    Classification().teach(student, teacher, replace(CONFIG, teacher="t", teacher_weight=0.99))
    before, kept = copy.deepcopy(student).eval(), copy.deepcopy(teacher.state_dict())
    finetune(student, examples(24), validate, replace(CONFIG, epochs=8))
    told = examples(24)
    with torch.no_grad():
        wanted = teacher.eval()(told).softmax(-1)
        far, near = (float((x.eval()(told).softmax(-1) - wanted).abs().mean()) for x in (before, student))
    assert near < 0.5 * far
    assert all(torch.equal(value, kept[name]) for name, value in teacher.state_dict().items())
    assert not any("teacher" in name for name in student.state_dict())


def test_a_teacher_of_other_classes_is_refused() -> None:
    other = network()
    other.config.id2label = {0: "a", 1: "b", 2: "c"}
    with pytest.raises(InputError, match=r"answers other classes"):
        Classification().teach(network(), other, replace(CONFIG, teacher="t"))
    with pytest.raises(InputError, match=r"learns from no teacher"):
        Retrieval().teach(network(), other, replace(CONFIG, teacher="t"))
