"""Spans that are read segment by segment: what is seen of them, and the network that reads them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.finetune.config import AugmentOptions, FinetuneConfig
from videobert.finetune.parameters import freeze, parameter_groups
from videobert.finetune.sight import Sight
from videobert.finetune.train import finetune
from videobert.model.network import VideoBert
from videobert.pretrain.config import PretrainConfig
from videobert.tasks.augment import augmented
from videobert.tasks.base import Example
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.over_segments import MOST_SEGMENTS, kept
from videobert.tasks.padded import PaddedClassifier
from videobert.tasks.registry import get_task
from videobert.tasks.sequences import frozen_features
from videobert.tokens.footage import Footage
from videobert.tokens.records import Segment, TokenizedVideo

WORDS = vocabulary(60, 40)
NAMES = {0: "few", 1: "many"}


def network() -> VideoBertForVideoClassification:
    encoder = VideoBert.create(PretrainConfig(architecture=TINY, retrieval_dim=16), vocabulary=WORDS)
    return VideoBertForVideoClassification(
        encoder, id2label=NAMES, problem_type="single_label_classification", segment_layers=1
    ).eval()


def video(count: int, *, each: int = 3, seed: int = 0) -> TokenizedVideo:
    """So many segments of as many clips; every second one has words."""
    rng = np.random.default_rng(seed)
    segments = tuple(
        Segment(
            start_seconds=1.5 * each * i, end_seconds=1.5 * each * (i + 1), first_clip=each * i,
            last_clip=each * (i + 1), text_ids=(7, 8 + i % 20) if i % 2 == 0 else (),
        )
        for i in range(count)
    )  # fmt: skip
    leaves = rng.integers(40, size=each * count).astype(np.int32)
    return TokenizedVideo(video_id=str(seed), visual=leaves, segments=segments)


def seen(source: TokenizedVideo, first: int = 0, last: int | None = None, *, reads: str = "both") -> Example:
    sight = Sight(reads=reads, around=1, by_segment=True)
    return sight.example(source, first, len(source.visual) if last is None else last)


def test_a_span_is_its_segments_cut_at_its_bounds() -> None:
    example = seen(video(4), 4, 10)
    spans = [(segment.text_ids, segment.footage) for segment in example.segments]
    assert [words for words, _ in spans] == [(), (7, 10), ()]
    assert [footage and footage.last - footage.first for _, footage in spans] == [2, 3, 1]
    assert example.text_ids == (7, 10) and example.footage is not None
    assert example.footage.last - example.footage.first == 6
    assert [s.footage is None for s in seen(video(4), reads="text").segments] == [True] * 4
    assert [s.text_ids for s in seen(video(4), reads="video").segments] == [()] * 4
    whole = Sight(reads="both", around=1).example(video(4), 0, 12)
    assert whole.segments == ()


def test_what_is_left_out_or_exchanged_is_so_in_every_segment() -> None:
    one, two = seen(video(4)), seen(video(2, seed=1))
    assert all(not s.text_ids and s.footage is not None for s in one.without_text().segments)
    assert all(s.footage is None for s in one.without_video().segments)
    mixed = one.with_clips_of(two, asked=False)
    assert mixed.footage is two.footage and mixed.text_ids == one.text_ids
    assert [s.text_ids for s in mixed.segments] == [(7, 8), (), (7, 10)], "no word is lost, no clip of its own is left"
    assert [s.footage for s in mixed.segments] == [two.segments[0].footage, two.segments[1].footage, None]
    assert [s.text_ids for s in two.with_clips_of(one, asked=False).segments] == [(7, 8), (), (), ()]
    question = replace(one, text_ids=(9,), segments=tuple(replace(s, text_ids=(9,)) for s in one.segments))
    assert [(s.text_ids, s.footage) for s in question.with_clips_of(two, asked=True).segments] == [
        ((9,), segment.footage) for segment in two.segments
    ], "a question is asked of every segment, and of no more"
    whole = replace(two, segments=())
    assert [s.footage for s in one.with_clips_of(whole, asked=False).segments] == [two.footage, None]
    assert whole.with_clips_of(one, asked=False).segments[0].text_ids == two.text_ids
    assert whole.with_clips_of(replace(one, segments=()), asked=False).segments == ()


def test_it_answers_alike_alone_and_with_others_and_saved_and_loaded(tmp_path: Path) -> None:
    examples = [seen(video(count, seed=count)) for count in (1, 4, 9)]
    made = network()
    alone = np.stack([made.outputs([example])[0] for example in examples])
    assert np.allclose(alone, np.stack(made.outputs(examples)), atol=1e-5)
    made.save_pretrained(tmp_path, facts={})
    loaded = VideoBertForVideoClassification.from_pretrained(tmp_path)
    assert np.array_equal(np.stack(loaded.outputs(examples)), np.stack(made.outputs(examples)))
    with pytest.raises(InputError, match="no encoder with a head alone"):
        PaddedClassifier(loaded)


def test_the_end_of_a_video_longer_than_the_encoder_counts_and_memory_is_bounded() -> None:
    long = video(600, each=2)
    changed = replace(long, visual=np.concatenate([long.visual[:-2], (long.visual[-2:] + 7) % 40]).astype(np.int32))
    one, two = network().outputs([seen(long), seen(changed)])
    assert len(long.visual) > 2 * TINY.max_length and not np.array_equal(one, two)
    assert len(kept(seen(long).segments)) == MOST_SEGMENTS < 600 and kept(seen(long).segments)[-1].footage is not None


def test_a_span_without_segments_is_one_of_itself() -> None:
    footage = Footage.plain(np.arange(5))
    one, two = (Example(video_id="v", text_ids=(7,), footage=footage, segments=own) for own in (
        (), (Example(video_id="v", text_ids=(7,), footage=footage),)
    ))  # fmt: skip
    assert np.array_equal(network().outputs([one])[0], network().outputs([two])[0])


def test_frozen_features_are_the_means_of_those_of_the_segments() -> None:
    encoder, example = network().encoder, seen(video(3))
    rows = frozen_features(encoder, example.segments)
    assert np.allclose(frozen_features(encoder, [example, seen(video(5))])[0], rows.mean(axis=0), atol=1e-6)


def test_segments_are_varied_each_for_itself_and_words_left_out_for_all_of_a_span() -> None:
    example, rng = seen(video(8)), np.random.default_rng(0)
    thinner = augmented(example, AugmentOptions(drop_clips=0.5), mask=4, rng=rng)
    lengths = {s.footage.last - s.footage.first for s in thinner.segments if s.footage}
    assert len(thinner.segments) == 8 and lengths == {1, 2, 3}
    shown = [augmented(example, AugmentOptions(drop_text=0.5), mask=4, rng=rng) for _ in range(200)]
    said = [any(s.text_ids for s in e.segments) for e in shown]
    assert 70 < sum(said) < 130 and all(bool(e.text_ids) == heard for e, heard in zip(shown, said, strict=True))
    alone = example.without_video()
    assert augmented(alone, AugmentOptions(drop_text=0.99), mask=4, rng=rng) == alone, "nothing would be left to read"


def test_it_learns_what_a_mean_of_clips_does_not_tell() -> None:
    """Whether a video has more segments of the first kind: long ones of the other kind fill most of its time."""

    def made(seed: int) -> Example:
        rng = np.random.default_rng(seed)
        kinds = rng.permutation([0] * (2 if seed % 2 else 4) + [1] * 3)
        lengths = [2 if kind == 0 else int(rng.integers(2, 9)) for kind in kinds]
        ends = np.cumsum(lengths)
        segments = tuple(
            Segment(start_seconds=0.0, end_seconds=1.0, first_clip=int(end) - length, last_clip=int(end))
            for length, end in zip(lengths, ends, strict=True)
        )
        leaves = np.concatenate([20 * k + rng.integers(4, size=n) for k, n in zip(kinds, lengths, strict=True)])
        source = TokenizedVideo(video_id=str(seed), visual=leaves.astype(np.int32), segments=segments)
        return replace(seen(source, reads="video"), target=np.int64(seed % 2 == 0))

    train, test = [made(i) for i in range(96)], [made(i) for i in range(1_000, 1_060)]
    learnt = network()
    config = FinetuneConfig(epochs=15, patience=0, batch_size=16, learning_rate=3e-3, freeze="nothing", dropout=0.0)

    epochs = itertools.count(1.0)
    finetune(learnt, train, lambda _: {"the last one is best": next(epochs), "loss": 0.0}, config)
    right = np.mean([int(row.argmax()) == e.target for row, e in zip(learnt.outputs(test), test, strict=True)])
    assert right > 0.9


def test_a_teacher_that_reads_by_segment_teaches_none_that_does_not() -> None:
    config = FinetuneConfig(teacher="finetune-0123abcd")
    whole = VideoBertForVideoClassification(
        network().encoder, id2label=NAMES, problem_type="single_label_classification"
    )
    with pytest.raises(InputError, match=r"set finetune\.spans to segments"):
        get_task("classification").teach(whole, network(), config)
    get_task("classification").teach(network(), network(), config)


def test_places_do_not_decay_as_no_embedding_does() -> None:
    made, config = network(), FinetuneConfig(weight_decay=0.1)
    trained = freeze(made, config)
    decays = {
        id(parameter): group["weight_decay"]
        for group in parameter_groups(trained, config, layers=made.encoder.config.num_hidden_layers)
        for parameter in group["params"]
    }
    assert made.over is not None
    assert decays[id(made.over.place_embeddings.weight)] == 0.0 < decays[id(made.over.size.weight)] == 0.1


def test_half_precision() -> None:
    examples = [seen(video(count, seed=count)) for count in (2, 5)]
    rows = torch.randn(7, TINY.hidden, dtype=torch.bfloat16)
    over = network().over
    assert over is not None and over.bfloat16()(rows, [2, 5]).dtype == torch.bfloat16
    assert len(network().outputs(examples)) == 2
