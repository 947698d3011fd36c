"""Attributions are complete, and what they name matters."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import videobert
from tests.model.material import TINY, vocabulary
from tests.small_root import SmallRoot
from videobert.applications.explain.answer import Explained, explain_similarity
from videobert.applications.explain.core import integrated_gradients, rollout
from videobert.applications.explain.hit import explain_hit, score_without
from videobert.applications.explain.labels import check_question
from videobert.cli.main import main
from videobert.model.network import Reading, VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.config import PretrainConfig
from videobert.runtime.manifest import Manifest
from videobert.tasks.base import Example
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.retrieval import VideoBertForRetrieval
from videobert.tokens.footage import Footage

WORDS = vocabulary(20, 30)
READINGS = [Reading(), Reading(context_clips=2, components=3, span_pooling=True)]


def model_of(reading: Reading) -> VideoBert:
    config = PretrainConfig(architecture=dataclasses.replace(TINY, initializer_range=0.3), retrieval_dim=16)
    made = VideoBert.create(config, vocabulary=WORDS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VideoBert(made.config, vocabulary=WORDS, retrieval_dim=16, freeze_visual=False, reading=reading)
        if reading.components:
            torch.nn.init.normal_(model.residual.weight)
    return model.eval()


def footage_of(reading: Reading) -> Footage:
    rng = np.random.default_rng(1)
    rest = rng.standard_normal((9, 3)) if reading.components else None
    return Footage(leaves=rng.integers(30, size=9), first=2 if rest is not None else 0, last=7, residuals=rest)


@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_is_the_difference_of_the_scores(reading: Reading) -> None:
    model, footage, ids = model_of(reading), footage_of(reading), [7, 9, 12]
    found = explain_hit(model, ids, footage)
    assert found.words.shape == (3,) and found.clips.shape == (9,) and found.frame == pytest.approx(0, abs=1e-9)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    cosine = float((encode_text(model, [ids]) * encode_video(model, [footage])).sum())
    assert found.score == pytest.approx(cosine, abs=1e-5)
    assert np.abs(found.clips).max() > 1e-3
    assert score_without(model, ids, footage, []) == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_attention_is_shared_among_tokens(reading: Reading) -> None:
    found = explain_hit(model_of(reading), [7], footage_of(reading))
    assert (found.attention >= 0).all() and 0.3 < found.attention.sum() <= 1


def test_gradients_of_a_known_function() -> None:
    weight = torch.tensor([1.0, -2.0])
    rows, nothing = torch.tensor([[1.0, 0.0], [2.0, 1.0]]), torch.zeros(2, 2)
    found = integrated_gradients(lambda x: (x @ weight).square().sum(1), [rows], [nothing])
    # (x . w) squared: 1 for the first token, 0 for the second.
    np.testing.assert_allclose(found.parts[0], [1, 0], atol=1e-6)
    assert (found.score, found.baseline) == (1, 0)


def test_rollout_of_a_layer_that_looks_at_one_token() -> None:
    share = torch.zeros(1, 3, 3)
    share[..., 2] = 1
    np.testing.assert_allclose(rollout([share], np.array([1.0, 1, 1])), [1 / 6, 1 / 6, 2 / 3])


@pytest.mark.slow
def test_a_hit_of_a_finished_root_is_told_and_drawn(
    small_root: SmallRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = videobert.open(small_root.root)
    hit = root.search("stir the egg", top=1)[0]
    parts = root.explain(row=hit.row_id, text="stir the <b>egg")
    clips = [part for part in parts if part.kind == "clip"]
    assert clips[0].start_seconds == pytest.approx(hit.start_seconds) and {part.row_id for part in parts} == {
        hit.row_id
    }
    out = str(tmp_path / "why.html")
    main(["explain", "--root", small_root.root, "--row", hit.row_id, "--text", "stir the <b>egg", "--out", out])
    page = Path(out).read_text()
    assert page.count("data:image/png") == len(clips) and "<b>egg" not in page
    assert set(re.findall(r"(?:src|href)=.(.{5})", page)) == {"data:"}
    for options, told in (
        ({"row": "nobody:0", "text": "egg"}, "no tokens of"),
        ({"row": hit.row_id, "text": " "}, "holds no words"),
        ({"row": hit.row_id, "text": "egg", "out": "x.pdf"}, "does not end in .html"),
        ({"row": hit.row_id, "text": "egg", "label": "stir"}, "goes with the --task"),
        ({"row": hit.row_id, "task": "finetune-1"}, "no fine-tuned model finetune-1"),
    ):
        with pytest.raises(videobert.InputError, match=told):
            root.explain(**options)


@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_to_a_label_is_the_difference_of_its_logits(
    reading: Reading, pool: Literal["mean", "cls"]
) -> None:
    network = VideoBertForVideoClassification(
        model_of(reading), id2label={0: "calm", 1: "lively"}, problem_type="single_label_classification", pool=pool
    ).eval()
    example = Example(video_id="", text_ids=(7, 9, 12), footage=footage_of(reading))
    explained = Explained(network, example)
    found = explained.explain(1)
    with torch.no_grad():
        assert found.score == pytest.approx(float(network([example])[0, 1]), abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert (found.words.shape, found.clips.shape, explained.clips.tolist()) == ((3,), (9,), list(range(9)))
    assert explained.score_without(1, []) == pytest.approx(found.score, abs=1e-6)
    everything = [*explained.word_places, *explained.clip_places]
    assert explained.score_without(1, everything) == pytest.approx(found.baseline, abs=1e-6)
    assert 0.3 < found.word_attention.sum() + found.clip_attention.sum() <= 1


def test_a_label_is_lost_without_what_explains_it() -> None:
    """The fifth that adds most is worth at least twice what any fifth is, on average over examples."""
    network = VideoBertForVideoClassification(
        model_of(READINGS[0]), id2label={0: "calm", 1: "lively"}, problem_type="single_label_classification"
    ).eval()
    rng, lost, random = np.random.default_rng(0), [], []
    for _ in range(5):
        footage = Footage.plain(rng.integers(30, size=12))
        explained = Explained(network, Example(video_id="", text_ids=(7, 9, 12), footage=footage))
        found = explained.explain(1)
        adds = np.concatenate([found.words, found.clips])
        places = np.concatenate([explained.word_places, explained.clip_places])
        lost.append(found.score - explained.score_without(1, places[np.argsort(-adds)[:3]]))
        some = (rng.choice(places, 3, replace=False) for _ in range(4))
        random.append(found.score - np.mean([explained.score_without(1, chosen) for chosen in some]))
    assert np.mean(lost) > 2 * np.mean(random) and np.mean(lost) > 0


def test_a_network_of_two_sequences_is_not_explained() -> None:
    network = VideoBertForVideoClassification(
        model_of(READINGS[0]), id2label={0: "a", 1: "b"}, problem_type="single_label_classification", fusion="cross"
    )
    with pytest.raises(videobert.InputError, match="fusion early only"):
        Explained(network, Example(video_id="", text_ids=(7,)))


@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_to_a_choice_is_the_difference_of_its_logits(reading: Reading) -> None:
    """Each choice is a sequence with the question, and its logit is the one that all choices are compared by."""
    network, footage = VideoBertForMultipleChoice(model_of(reading)).eval(), footage_of(reading)
    options = ((7, 9), (12,), (14, 15, 16))
    with torch.no_grad():
        (logits_O,) = network.logits([Example(video_id="", text_ids=(6,), footage=footage, options=options)])
    assert len(set(logits_O.tolist())) == 3
    for option, logit in zip(options, logits_O.tolist(), strict=True):
        explained = Explained(network, Example(video_id="", text_ids=(6, *option), footage=footage))
        found = explained.explain(0)
        assert found.score == pytest.approx(logit, abs=1e-5)
        assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
        assert (found.words.shape, found.clips.shape) == ((1 + len(option),), (9,))
        everything = [*explained.word_places, *explained.clip_places]
        assert explained.score_without(0, everything) == pytest.approx(found.baseline, abs=1e-6)
        assert np.abs(found.clips).max() > 1e-3 and np.abs(found.words).max() > 1e-3


@pytest.mark.parametrize("clips", [9, 200], ids=["short", "too long"])
@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_to_a_similarity_is_the_difference_of_two(reading: Reading, clips: int) -> None:
    """Also of a span of which not all clips are read: the score is what the fine-tuned model predicts."""
    network, rng = VideoBertForRetrieval(model_of(reading)).eval(), np.random.default_rng(2)
    rest = rng.standard_normal((clips, 3)) if reading.components else None
    footage = Footage(leaves=rng.integers(30, size=clips), first=0, last=clips, residuals=rest)
    example = Example(video_id="", text_ids=(7, 9, 12), footage=footage)
    found, read = explain_similarity(network, example)
    assert found.score == pytest.approx(network.predictions([example])[0], abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert len(found.clips) == len(read) == len(found.clip_attention) <= clips and (np.diff(read) > 0).all()
    assert (clips == 9) == (len(read) == clips) and (found.word_attention == -1).all()


@pytest.mark.parametrize(
    ("task", "question", "label", "told"),
    [
        ("captions", "", "", "is for captions, .* name a model for classification, open-questions, choices, retrieval"),
        ("open-questions", " ", "", "is for open-questions; give a question as --text"),
        ("choices", "what is it?", "", "name the one to explain as --label"),
        ("choices", "", "an egg", "is for choices; give the question as --text"),
        ("retrieval", "", "", "is for retrieval; give a sentence as --text"),
        ("retrieval", "an egg", "an egg", "has no label 'an egg'"),
        ("classification", "what is it?", "", "answers no questions; leave it out as --text"),
    ],
)
def test_what_a_task_needs_is_one_sentence(task: str, question: str, label: str, told: str) -> None:
    tuned = Manifest(
        stage="finetune", spec="finetune-1", batch="", config={}, sources=(), outputs=(), facts={"task": task}
    )
    with pytest.raises(videobert.InputError, match=told):
        check_question(tuned, question=question, label=label)
