"""The contrast regime: what meets what, what is seen of it, and the loss by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.model.material import FIRST_WORD, TINY, video, vocabulary
from videobert.model.batch import Batch, collate
from videobert.model.network import VideoBert
from videobert.pretrain.config import LossWeights, Mixture, PretrainConfig
from videobert.pretrain.data import Example, Part, PretrainData
from videobert.pretrain.objective import PARTS, counts, loss_sums
from videobert.tokens.records import Segment, TokenizedVideo

WORDS = vocabulary(20, 30)
A, B, C = [FIRST_WORD, FIRST_WORD + 1], [FIRST_WORD + 2], [FIRST_WORD + 3, FIRST_WORD + 4]
COMPONENTS = 4
ONLY = Mixture(text_only=0, video_only=0, video_text=0, contrast=1)


def corpus() -> list[TokenizedVideo]:
    """Three segments in each of two videos: `A` in both, one without words; residuals of every clip."""
    rng = np.random.default_rng(0)
    videos = [video("one", [A, [], B], [[1, 2], [3], [4]]), video("two", [C, A, B], [[5], [6, 7], [8]])]
    return [
        dataclasses.replace(v, residuals=rng.normal(size=(len(v.visual), COMPONENTS)).astype(np.float16))
        for v in videos
    ]


def config(**options: Any) -> PretrainConfig:
    small: dict[str, Any] = {"mixture": ONLY, "batch_size": 6, "context_clips": 1, "architecture": TINY}
    return PretrainConfig(**small | options)


def examples(videos: list[TokenizedVideo] | None = None, *, step: int = 0, **options: Any) -> list[Example]:
    data = PretrainData(videos or corpus(), vocabulary=WORDS, config=config(**options), max_length=64)
    return data.examples(step)


def clips(example: Example, kind: int) -> list[int]:
    visual = example.ids_L >= WORDS.first_visual
    leaves: list[int] = (example.ids_L[visual & (example.types_L == kind)] - WORDS.first_visual).tolist()
    return leaves


def model(**options: Any) -> VideoBert:
    made = VideoBert.create(config(**options), vocabulary=WORDS, components=COMPONENTS)
    return made.double().eval()


def at_its_middle(segment: Segment) -> Segment:
    return dataclasses.replace(segment, said_at=(segment.first_clip + segment.last_clip) / 2 + 0.2)


def test_every_segment_comes_once_an_epoch_and_every_sentence_once_a_step() -> None:
    found = examples()
    assert sorted(clips(e, 1) for e in found if e.types_L[-1] == 1) == [[1, 2], [3], [4], [5], [6, 7], [8]]
    texts = [e.ids_L[1:-1].tolist() for e in found if e.types_L[-1] == 0]
    assert sorted(texts) == sorted([A, B, C])
    assert all(len(e.masked_M) == 0 and WORDS.mask not in e.ids_L for e in found)


def test_a_span_is_said_by_every_sentence_that_shares_a_clip_with_it() -> None:
    videos = corpus()
    overlapping = dataclasses.replace(videos[1].segments[0], first_clip=0, last_clip=2)  # C over the first clip of A
    videos[1] = dataclasses.replace(videos[1], segments=(overlapping, *videos[1].segments[1:]))
    found = examples(videos)
    number = {tuple(e.ids_L[1:-1]): next(iter(e.said)) for e in found if e.types_L[-1] == 0 and e.said}
    said = {tuple(clips(e, 1)): e.said for e in found if e.types_L[-1] == 1}
    assert said[(1, 2)] == {number[tuple(A)]: 1.0}
    assert said[(3,)] == {}
    assert said[(6, 7)] == {number[tuple(A)]: 1.0, number[tuple(C)]: 1.0}


def test_surroundings_are_read_as_something_else_and_places_do_not_shift_at_the_edge() -> None:
    found = {tuple(clips(e, 1)): e for e in examples() if e.types_L[-1] == 1}
    first, last = found[(1, 2)], found[(4,)]
    assert clips(first, 0) == [3]
    assert clips(last, 0) == [3]
    for example in (first, last):
        at = np.arange(len(example.ids_L)) if example.positions_L is None else example.positions_L
        own = at[(example.ids_L >= WORDS.first_visual) & (example.types_L == 1)]
        assert own[0] == 3  # [CLS], [>], one clip before


def test_residuals_stand_at_their_clips_and_not_where_a_clip_is_hidden() -> None:
    videos = corpus()
    kept = {int(leaf): row for v in videos for leaf, row in zip(v.visual, v.residuals, strict=True)}  # type: ignore[arg-type]
    mixture = Mixture(text_only=0, video_only=1, video_text=1, contrast=1)
    hidden = 0
    for step in range(8):
        for example in examples(videos, step=step, mixture=mixture, batch_size=12, mask_probability=0.6):
            if example.residuals_LK is None:
                assert not (example.ids_L >= WORDS.first_visual).any()
                continue
            truth_L = example.ids_L.copy()
            truth_L[example.masked_M] = example.targets_M
            for seen, true, row_K in zip(example.ids_L, truth_L, example.residuals_LK, strict=True):
                leaf = int(seen) - WORDS.first_visual
                shown = seen == true and leaf >= 0
                hidden += int(not shown and true >= WORDS.first_visual)
                if example.aligned is not False:  # a misaligned pair keeps its truth to itself
                    assert row_K.tolist() == (kept[leaf].tolist() if shown else [0.0] * COMPONENTS)
    assert hidden


def test_a_pair_is_masked_on_one_side() -> None:
    mixture = Mixture(text_only=0, video_only=0, video_text=1)
    sides = set()
    for step in range(20):
        for example in examples(step=step, mixture=mixture, pair_masking="either", negative_fraction=0.0):
            parts = set(example.parts_M.tolist())
            assert len(parts) == 1
            sides |= parts
    assert sides == {Part.JOINT_TEXT, Part.JOINT_VIDEO}


def test_the_loss_is_the_cross_entropy_of_every_sentence_and_span() -> None:
    videos = corpus()
    videos[0] = dataclasses.replace(videos[0], segments=tuple(at_its_middle(s) for s in videos[0].segments))
    net, batch = model(), collate(examples(videos))
    with torch.no_grad():
        total = loss_sums(net, batch, weights=LossWeights())[PARTS.index("retrieval")]
        hidden_TD = net(batch.tokens)
        asked = batch.contrast
        shown = net.video_vectors(hidden_TD, batch.tokens, asked.videos_C)
        texts = net.text_vectors(hidden_TD, batch.tokens, asked.texts_S)
    expected = 0.0
    degrees = set()
    for c, said in enumerate(asked.said_CE.tolist()):
        for s, number in enumerate(asked.numbers_S.tolist()):
            logit = shown[c] @ texts[s] / 0.07 - 3.0
            near = float(asked.near_CE[c, said.index(number)]) if number in said else 0.0
            expected -= near * float(F.logsigmoid(logit)) + (1 - near) * float(F.logsigmoid(-logit))
            degrees.add(near)
    assert len(degrees) > 2
    assert float(total) == pytest.approx(expected)
    assert counts(batch).tolist() == [0, 0, 0, 0, 0, 6]


def test_a_span_has_the_vector_of_its_own_clips() -> None:
    net, batch = model(), collate(examples())
    with torch.no_grad():
        hidden_TD = net(batch.tokens)
        found = net.video_vectors(hidden_TD, batch.tokens, batch.contrast.videos_C)
        own_T = (batch.tokens.types_T == 1) & (batch.tokens.ids_T >= WORDS.first_visual)
        edges = batch.tokens.packing.edges.tolist()
        for row, sequence in zip(found, batch.contrast.videos_C.tolist(), strict=True):
            span = slice(edges[sequence], edges[sequence + 1])
            mean = hidden_TD[span][own_T[span]].mean(0)
            assert torch.allclose(row, F.normalize(net.retrieval_video(mean), dim=-1))


def test_parts_of_a_batch_hold_all_of_its_spans() -> None:
    data = PretrainData(corpus(), vocabulary=WORDS, config=config(), max_length=64)
    whole = sorted(tuple(clips(e, 1)) for e in data.examples(0) if e.types_L[-1] == 1)
    parts = [e for part in range(2) for e in data.examples(0, part=part, parts=2)]
    assert sorted(tuple(clips(e, 1)) for e in parts if e.types_L[-1] == 1) == whole


def batch_without_residuals(batch: Batch) -> Batch:
    return dataclasses.replace(batch, tokens=dataclasses.replace(batch.tokens, residuals_NK=None))


def test_a_projection_of_zero_is_the_model_of_tokens_alone() -> None:
    net, batch = model(), collate(examples())
    with torch.no_grad():
        assert torch.equal(net(batch.tokens), net(batch_without_residuals(batch).tokens))
        net.residual.weight.normal_()
        assert not torch.equal(net(batch.tokens), net(batch_without_residuals(batch).tokens))


def test_the_projection_learns_from_the_first_step() -> None:
    net, batch = model(), collate(examples())
    loss_sums(net, batch, weights=LossWeights()).sum().backward()  # type: ignore[no-untyped-call]
    assert net.residual.weight.grad is not None
    assert float(net.residual.weight.grad.abs().max()) > 0


def test_configurations_of_the_first_release_keep_their_spec() -> None:
    from videobert.runtime.spec import output_config

    found = output_config(PretrainConfig())
    assert not {"pair_masking", "context_clips", "residual_dropout"} & set(found)
    assert "contrast" not in found["mixture"]
    assert output_config(config())["mixture"]["contrast"] == 1
