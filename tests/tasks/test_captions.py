"""Captions: learnt by heart, decoded greedily or by beams, saved and read, and measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.model.material import TINY, vocabulary
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.caption_metrics import caption_figures, caption_measure, plain
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.captions import Caption
from videobert.tasks.metrics import bootstrap
from videobert.tasks.sequences import padded_states
from videobert.tokens.footage import Footage

WORDS = vocabulary(30, 40)


def captioner(**given: int) -> VideoBertForVideoCaptioning:
    encoder = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=WORDS)
    return VideoBertForVideoCaptioning(encoder, **{"layers": 1, "longest": 8, "beams": 1, "dropout": 0, **given})


def examples(count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        ids = tuple(rng.integers(5, 35, size=rng.integers(4, 7)).tolist())
        target = Caption(ids=ids, of=(str(i), None, None), text=" ".join(map(str, ids)))
        found.append(Example(video_id=str(i), footage=Footage.plain(rng.integers(40, size=6)), target=target))
    return found


@pytest.fixture(scope="module")
def learnt() -> VideoBertForVideoCaptioning:
    """32 captions by heart."""
    network, told = captioner(), examples(32)

    def validate(tuned: TaskNetwork) -> dict[str, float]:
        tuned.eval()
        with torch.inference_mode():
            losses, weights = tuned.losses(told)
        tuned.train()
        loss = float((losses * weights).sum() / weights.sum())
        return {"minus_loss": -loss, "loss": loss}

    config = FinetuneConfig(epochs=60, batch_size=16, patience=0, learning_rate=5e-3, freeze="nothing")
    finetune(network, told, validate, config)
    return network


def test_captions_are_learnt_by_heart(learnt: VideoBertForVideoCaptioning) -> None:
    told = examples(32)
    written = learnt.generate(told)
    assert sum(ids == e.target.ids for ids, e in zip(written, told, strict=True)) >= 30


def test_one_beam_is_the_likeliest_word_at_each_step(learnt: VideoBertForVideoCaptioning) -> None:
    for example in examples(6):
        memory, real = padded_states(learnt.encoder, [example])
        words = [WORDS.cls]
        with torch.inference_mode():
            while len(words) <= learnt.longest:
                best = int(learnt(torch.tensor([words]), memory, real)[0, -1].argmax())
                if best == WORDS.sep:
                    break
                words.append(best)
        assert learnt.generate([example], beams=1)[0] == tuple(words[1:])


def test_a_word_depends_on_no_later_one_and_on_the_video(learnt: VideoBertForVideoCaptioning) -> None:
    one, two = examples(2)
    memory, real = padded_states(learnt.encoder, [one])
    with torch.inference_mode():
        short = learnt(torch.tensor([[WORDS.cls, 7]]), memory, real)
        long = learnt(torch.tensor([[WORDS.cls, 7, 9, 11]]), memory, real)
        other = learnt(torch.tensor([[WORDS.cls, 7]]), *padded_states(learnt.encoder, [two]))
    assert torch.allclose(short, long[:, :2], atol=1e-5) and not torch.allclose(short, other, atol=1e-2)


def test_a_caption_does_not_depend_on_its_neighbours_in_a_batch(learnt: VideoBertForVideoCaptioning) -> None:
    told = [replace(e, footage=Footage.plain(np.arange(1 + 3 * i))) for i, e in enumerate(examples(4))]
    with torch.inference_mode():
        together, _ = learnt.losses(told)
        alone = torch.cat([learnt.losses([example])[0] for example in told])
    assert torch.allclose(together, alone, atol=1e-4)


def test_saved_and_loaded_it_writes_the_same(learnt: VideoBertForVideoCaptioning, tmp_path: Path) -> None:
    learnt.save_pretrained(tmp_path)
    assert VideoBertForVideoCaptioning.from_pretrained(tmp_path).outputs(examples(5)) == learnt.outputs(examples(5))


@pytest.mark.slow
def test_captions_learnt_by_heart_have_a_bleu_of_nearly_1(learnt: VideoBertForVideoCaptioning) -> None:
    """`slow`: aac-metrics imports for seconds."""
    told = examples(32)
    found = caption_figures(learnt.outputs(told), [(e.target.of, e.target.text) for e in told])
    assert found["bleu_4"] > 0.95, found


@pytest.mark.slow
def test_figures_of_known_captions() -> None:
    """`slow`: aac-metrics imports for seconds."""
    same = [("a", "Chop the onion well!"), ("b", "stir the big egg"), ("b", "now stir the egg again")]
    right = caption_figures(["chop the onion well", "stir the big egg", "stir the big egg"], same)
    assert right["bleu_4"] == pytest.approx(1.0) and right["rouge_l"] == pytest.approx(1.0)
    assert right["cider_d"] > 3 and right["distinct"] == pytest.approx(2 / 3)
    wrong = caption_figures(["grate a lemon", "peel it", "peel it"], same)
    assert max(wrong["bleu_4"], wrong["rouge_l"], wrong["cider_d"]) < 0.01
    wordless = caption_figures(["chop it", "..."], [("a", "♪"), ("b", "...")])
    assert wordless["rouge_l"] == pytest.approx(0.5)
    assert plain("It's  CHOP-chop_1!") == "it's chop chop 1"


@pytest.mark.slow
def test_an_interval_of_captions_holds_their_figure() -> None:
    """`slow`: aac-metrics imports for seconds. Drawn videos come twice, and a word is no more common for that."""
    sentences = [f"{verb} the {noun}" for verb in ("chop", "stir", "peel", "boil") for noun in ("egg", "onion", "fish")]
    from aac_metrics.functional.cider_d import cider_d

    references = [(str(i), sentence) for i, sentence in enumerate(sentences)]
    said = [sentence if i % 3 else sentences[0] for i, sentence in enumerate(sentences)]
    measure, everything = caption_measure(said, references), range(len(said))
    assert measure(everything) == caption_figures(said, references)
    cider = [measure([i])["cider_d"] for i in everything]
    assert measure(everything)["cider_d"] == pytest.approx(np.mean(cider))
    assert measure([2, 2, 5])["cider_d"] == pytest.approx((2 * cider[2] + cider[5]) / 3)
    whole = measure(everything)
    intervals = bootstrap(measure, [str(i // 2) for i in everything], draws=100, seed=0)
    for name in ("cider_d", "bleu_4", "rouge_l"):
        low, high = intervals[name]
        assert low < whole[name] < high, name
    independent = cider_d([plain(s) for s in said], [[plain(s)] for _, s in references])[0]["cider_d"]
    assert whole["cider_d"] == pytest.approx(float(independent))
