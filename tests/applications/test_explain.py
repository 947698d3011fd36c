"""Attributions are complete, and what they name matters."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import videobert
from tests.finetune.test_tasks import World
from tests.model.material import TINY, vocabulary
from tests.small_root import SmallRoot
from videobert.applications.explain.answer import Explained, explain_similarity
from videobert.applications.explain.core import integrated_gradients, rollout
from videobert.applications.explain.hit import explain_hit, score_without
from videobert.applications.explain.labels import check_question
from videobert.cli.main import main
from videobert.finetune.config import CaptionOptions
from videobert.model.network import Reading, VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.config import PretrainConfig
from videobert.runtime.manifest import Manifest
from videobert.tasks.base import Example
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.captions import Caption
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.retrieval import VideoBertForRetrieval
from videobert.tasks.sequences import padded_states
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
    network = classifier(reading, pool=pool)
    example = Example(video_id="", text_ids=(7, 9, 12), footage=footage_of(reading))
    explained = Explained(network, example)
    found = explained.explain(1)
    with torch.no_grad():
        assert found.score == pytest.approx(float(network([example])[0, 1]), abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert (found.words.shape, found.clips.shape, explained.clips.tolist()) == ((3,), (9,), list(range(9)))
    assert explained.score_without(1) == pytest.approx(found.score, abs=1e-6)
    assert explained.score_without(1, words=range(3), clips=range(9)) == pytest.approx(found.baseline, abs=1e-6)
    assert 0.3 < found.word_attention.sum() + found.clip_attention.sum() <= 1


def deletion(explain: Callable[[Example], Explained], label: int = 0) -> tuple[float, float]:
    """What the score loses without the fifth that adds most, and without any fifth, on average over examples."""
    rng, lost, random = np.random.default_rng(0), [], []
    for _ in range(5):
        footage = Footage.plain(rng.integers(30, size=12))
        explained = explain(Example(video_id="", text_ids=(7, 9, 12), footage=footage))
        found = explained.explain(label)

        def without(places: NDArray[np.int64], explained: Explained = explained) -> float:
            words, clips = places[places < 3].tolist(), (places[places >= 3] - 3).tolist()
            return explained.score_without(label, words=words, clips=clips)

        most = np.argsort(-np.concatenate([found.words, found.clips]))[:3]
        lost.append(found.score - without(most))
        random.append(found.score - np.mean([without(rng.choice(15, 3, replace=False)) for _ in range(4)]))
    return float(np.mean(lost)), float(np.mean(random))


@pytest.mark.parametrize("fusion", ["early", "cross"])
def test_a_label_is_lost_without_what_explains_it(fusion: Literal["early", "cross"]) -> None:
    """The fifth that adds most is worth at least twice what any fifth is, on average over examples."""
    network = classifier(READINGS[0], fusion=fusion)
    most, some = deletion(lambda example: Explained(network, example), 1)
    assert most > 2 * some and most > 0


def classifier(
    reading: Reading, *, pool: Literal["mean", "cls"] = "mean", fusion: Literal["early", "cross"] = "early",
    gate: float = 0.8,
) -> VideoBertForVideoClassification:  # fmt: skip
    network = VideoBertForVideoClassification(
        model_of(reading), id2label={0: "calm", 1: "lively"}, problem_type="single_label_classification", pool=pool,
        fusion=fusion,
    )  # fmt: skip
    if network.fusion is not None:
        with torch.no_grad():
            network.fusion.gate.fill_(gate)
    return network.eval()


@pytest.mark.parametrize("pool", ["mean", "cls"])
@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_is_the_difference_also_where_words_look_at_clips(
    reading: Reading, pool: Literal["mean", "cls"]
) -> None:
    """Words are read in one sequence, clips in another (`finetune.fusion cross`); both are masked together."""
    network, footage = classifier(reading, pool=pool, fusion="cross"), footage_of(reading)
    example = Example(video_id="", text_ids=(7, 9, 12), footage=footage)
    explained = Explained(network, example)
    found = explained.explain(1)
    with torch.no_grad():
        assert found.score == pytest.approx(float(network([example])[0, 1]), abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert (found.words.shape, found.clips.shape, explained.clips.tolist()) == ((3,), (9,), list(range(9)))
    assert np.abs(found.words).max() > 1e-3 and np.abs(found.clips).max() > 1e-3
    assert explained.score_without(1) == pytest.approx(found.score, abs=1e-6)
    assert explained.score_without(1, words=range(3), clips=range(9)) == pytest.approx(found.baseline, abs=1e-6)
    alone = explained.score_without(1, clips=range(9))
    assert alone not in (pytest.approx(found.score, abs=1e-4), pytest.approx(found.baseline, abs=1e-4))
    assert (found.word_attention > 0).all() and (found.clip_attention > 0).all()
    assert 0.3 < found.word_attention.sum() + found.clip_attention.sum() <= 1


@pytest.mark.parametrize(("words", "clips", "gate"), [(3, 9, 0.0), (3, 0, 0.8), (0, 9, 0.8)])
def test_a_gate_that_is_shut_lets_no_clip_add_and_what_is_not_read_has_no_part(
    words: int, clips: int, gate: float
) -> None:
    network = classifier(READINGS[0], fusion="cross", gate=gate)
    footage = footage_of(READINGS[0]) if clips else None
    example = Example(video_id="", text_ids=(7, 9, 12)[:words], footage=footage)
    found = Explained(network, example).explain(0)
    with torch.no_grad():
        assert found.score == pytest.approx(float(network([example])[0, 0]), abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert (len(found.words), len(found.clips)) == (words, clips)
    assert (np.abs(found.clips).max(initial=0) > 0) == (found.clip_attention.max(initial=0) > 0) == bool(gate and clips)


def captioner(reading: Reading) -> VideoBertForVideoCaptioning:
    """Of few words, whose decoder is as lively as its encoder."""
    network = VideoBertForVideoCaptioning(model_of(reading), longest=7, beams=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for weight in network.decoder.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.3)
    return network.eval()


@pytest.mark.parametrize("caption", [None, (8, 10)], ids=["own", "given"])
@pytest.mark.parametrize("said", [(7, 9, 12), ()], ids=["narrated", "silent"])
@pytest.mark.parametrize("reading", READINGS, ids=["plain", "own"])
def test_what_the_parts_add_to_a_caption_is_the_difference_of_its_scores(
    reading: Reading, said: tuple[int, ...], caption: tuple[int, ...] | None
) -> None:
    """The score is the mean log probability of its word pieces: the loss that training lowers, with the other sign."""
    network, footage = captioner(reading), footage_of(reading)
    example = Example(video_id="", text_ids=said, footage=footage)
    written = network.generate([example])[0] if caption is None else caption
    explained = Explained(network, example, caption=written)
    found = explained.explain()
    if len(written) < network.longest:
        target = Caption(ids=written, of=("", None, None), text="")
        with torch.no_grad():
            (loss,), _ = network.losses([replace(example, target=target)])
        assert found.score == pytest.approx(-float(loss), abs=1e-5)
    assert found.score - found.baseline == pytest.approx(found.words.sum() + found.clips.sum(), abs=2e-3)
    assert (len(found.words), len(found.clips)) == (len(said), 9) and np.abs(found.clips).max() > 1e-3
    assert explained.score_without() == pytest.approx(found.score, abs=1e-6)
    nothing = explained.score_without(words=range(len(said)), clips=range(9))
    assert nothing == pytest.approx(found.baseline, abs=1e-6)
    assert (found.word_attention > 0).all() and (found.clip_attention > 0).all()
    assert 0.3 < found.word_attention.sum() + found.clip_attention.sum() <= 1


def test_a_caption_that_fills_all_room_has_no_end() -> None:
    network, example = captioner(READINGS[0]), Example(video_id="", footage=footage_of(READINGS[0]))
    full, cut = ((8,) * length for length in (network.longest, network.longest - 1))
    with torch.no_grad():
        (loss,), _ = network.losses([replace(example, target=Caption(ids=cut, of=("", None, None), text=""))])
    assert Explained(network, example, caption=cut).score_without() == pytest.approx(-float(loss), abs=1e-5)
    memory, real = padded_states(network.encoder, [example])
    with torch.no_grad():
        logits = network(torch.tensor([[WORDS.cls, *cut]]), memory, real).log_softmax(-1)[0]
    expected = float(logits[range(network.longest), list(full)].mean())
    assert Explained(network, example, caption=full).score_without() == pytest.approx(expected, abs=1e-5)


def test_a_caption_is_lost_without_what_explains_it() -> None:
    network = captioner(READINGS[0])
    most, some = deletion(lambda example: Explained(network, example, caption=network.generate([example])[0]))
    assert most > 2 * some and most > 0


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
        nothing = explained.score_without(words=range(1 + len(option)), clips=range(9))
        assert nothing == pytest.approx(found.baseline, abs=1e-6)
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
        ("captions", "", "stir", "writes captions and has no label 'stir'; give a caption to explain as --text"),
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


@pytest.mark.slow
def test_what_a_tuned_model_of_a_root_says_is_told_and_drawn(small_root: SmallRoot, tmp_path: Path) -> None:
    """The caption that `predict` writes, one that is given, and an answer where words look at clips."""
    world = World(small_root, tmp_path)
    root, folder = videobert.open(str(world.root)), str(world.root)
    row = root.search("stir the egg", top=1)[0].row_id
    options = CaptionOptions(layers=1, longest=12)
    tuned, _ = world.finetune("captions", [{"text": row["caption"]} for row in world.truth], captions=options)
    [written] = [told["answer"] for told in world.predictions(tuned) if told["row_id"] == row]
    own, given = (root.explain(row=row, task=tuned.spec, text=text) for text in ("", "stir the <b>egg"))
    for parts, label in ((own, written), (given, "stir the <b>egg")):
        assert {part.label for part in parts} == {label} and {part.kind for part in parts} == {"word", "clip"}
        assert sum(part.adds for part in parts) == pytest.approx(parts[0].score - parts[0].baseline, abs=2e-3)
        assert parts[0].score < 0 and all(part.attention >= 0 for part in parts)
    assert own[0].score != given[0].score and own[0].task == tuned.spec
    with pytest.raises(videobert.InputError, match="a caption of 12 word pieces exceeds the 11 of the longest"):
        root.explain(row=row, task=tuned.spec, text="the " * 12)
    with pytest.raises(videobert.InputError, match="has no label 'egg'"):
        root.explain(row=row, task=tuned.spec, label="egg")
    out = str(tmp_path / "why.html")
    main(["explain", "--root", folder, "--row", row, "--task", tuned.spec, "--text", "stir the <b>egg", "--out", out])
    page = Path(out).read_text()
    assert "Why <bdi>stir the &lt;b&gt;egg</bdi>" in page and page.count("<figure") == sum(
        part.kind == "clip" for part in given
    )
    answers = [{"question": "what is used?", "answer": ("egg", "fish")[i % 2]} for i in range(len(world.truth))]
    crossed, _ = world.finetune("open-questions", answers, fusion="cross")
    parts = root.explain(row=row, task=crossed.spec, text="what is used?", label="fish")
    assert {part.kind for part in parts} == {"word", "clip"} and parts[0].label == "fish"
    assert sum(part.adds for part in parts) == pytest.approx(parts[0].score - parts[0].baseline, abs=2e-3)
