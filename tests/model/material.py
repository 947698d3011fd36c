"""Small corpora in which every token tells where it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videobert.model.batch import Tokens, pack_sequences
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import Architecture
from videobert.pretrain.data import layout
from videobert.tokens.records import Segment, TokenizedVideo

PAD, UNK, CLS, SEP, MASK = range(5)
FIRST_WORD = 5
TINY = Architecture(layers=2, hidden=32, heads=2, intermediate=64, max_length=64, dropout=0.0, attention_dropout=0.0)


def vocabulary(words: int, leaves: int) -> Vocabulary:
    """A layout with the special tokens first."""
    return Vocabulary(text_size=FIRST_WORD + words, leaves=leaves, pad=PAD, unk=UNK, cls=CLS, sep=SEP, mask=MASK)


def video(name: str, texts: Sequence[Sequence[int]], clips: Sequence[Sequence[int]], *, gap: int = 0) -> TokenizedVideo:
    """A video from the words and leaves of its segments; `gap` clips of leaf 0 lie between segments."""
    segments, leaves = [], list[int]()
    for text, tokens in zip(texts, clips, strict=True):
        begin = len(leaves)
        leaves += tokens
        segments.append(
            Segment(
                start_seconds=begin * 1.5,
                end_seconds=len(leaves) * 1.5,
                first_clip=begin,
                last_clip=len(leaves),
                text=" ".join(map(str, text)),
                text_ids=tuple(text),
            )
        )
        leaves += [0] * gap
    return TokenizedVideo(video_id=name, visual=np.array(leaves, dtype=np.int32), segments=tuple(segments))


def numbered(
    sizes: Sequence[int], *, lengths: Sequence[int] = (5,), untexted: Sequence[tuple[int, int]] = ()
) -> tuple[list[TokenizedVideo], Vocabulary]:
    """Videos of `sizes` segments; segment k of the corpus consists of word k and leaf k only.

    `lengths` are taken in turn for text and clips alike; `untexted` lists (video, segment) without text.
    """
    videos, number = [], 0
    for v, size in enumerate(sizes):
        texts, clips = list[list[int]](), list[list[int]]()
        for s in range(size):
            length = lengths[number % len(lengths)]
            texts.append([] if (v, s) in untexted else [FIRST_WORD + number] * length)
            clips.append([number] * length)
            number += 1
        videos.append(video(f"video-{v}", texts, clips))
    return videos, vocabulary(number, number)


def random_videos(count: int, *, words: int, leaves: int, seed: int = 0) -> list[TokenizedVideo]:
    """Videos of 1 to 6 random segments of different length."""
    rng = np.random.default_rng(seed)
    videos = []
    for v in range(count):
        sizes = rng.integers(1, 9, size=(int(rng.integers(1, 7)), 2))
        texts = [(FIRST_WORD + rng.integers(words, size=t)).tolist() for t, _ in sizes]
        clips = [rng.integers(leaves, size=c).tolist() for _, c in sizes]
        videos.append(video(f"video-{v}", texts, clips, gap=int(rng.integers(2))))
    return videos


def random_tokens(words: Vocabulary, lengths: Sequence[tuple[int, int]], *, seed: int = 0) -> Tokens:
    """Packed sequences of (words, visual tokens), 0 leaves a modality out; longest first."""
    rng = np.random.default_rng(seed)
    rows = []
    for text, visual in lengths:
        text_N = rng.integers(FIRST_WORD, words.text_size, size=text) if text else None
        visual_N = rng.integers(words.first_visual, words.size, size=visual) if visual else None
        rows.append(layout(text_N, visual_N, vocabulary=words))
    tokens, _ = pack_sequences([ids for ids, _ in rows], [types for _, types in rows])
    return tokens
