"""YouCook II's public annotation file, and the verbs and nouns of its captions (sections 4.1 and 4.3 of the paper)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from videobert.errors import InputError

__all__ = ["Clip", "WordLists", "parse_annotations", "word_lists", "words_of"]

VERBS, NOUNS = 45, 100
"""Sizes of the paper's lists: the most common verbs and nouns of the captions."""

IMPERATIVE_SHARE = 0.2
"""Captions are orders ("chop the onion and fry it"): a word that opens this share of its captions is a verb."""

HEAD_SHARE = 0.5
"""A word that ends a noun phrase in this share of its places is a noun: in "chopped onion" the second is one."""

_WORD = re.compile(r"[a-z]+|[,.;]")
_FUNCTION = frozenset((
    "a", "about", "after", "all", "also", "an", "and", "another", "any", "are", "around", "as", "aside", "at",
    "away", "back", "be", "before", "both", "but", "by", "down", "each", "evenly", "every", "few", "finely",
    "first", "for", "from", "gently", "if", "in", "inside", "into", "is", "it", "its", "just", "little", "more",
    "next", "of", "off", "on", "once", "one", "onto", "or", "other", "out", "over", "own", "remaining", "same",
    "slightly", "slowly", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "three", "through", "till", "to", "together", "top", "two", "under", "until", "up",
    "upon", "using", "very", "well", "what", "when", "where", "which", "while", "with", "within", "without",
))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One annotated segment."""

    video: str
    """YouTube id, the stem of the video's file name."""
    start_seconds: float
    end_seconds: float
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLists:
    """What counts as an answer; most common first."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]


def parse_annotations(data: bytes, location: str, *, subset: str | None = None) -> list[Clip]:
    """Annotated segments of one subset (none: all) in the order of the file. Raises InputError for another format."""
    try:
        database = json.loads(data)["database"]
        return [
            Clip(
                video=str(name), start_seconds=float(entry["segment"][0]), end_seconds=float(entry["segment"][1]),
                caption=str(entry["sentence"]),
            )
            for name, video in database.items()
            if subset is None or video["subset"] == subset
            for entry in video["annotations"]
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{location} is no annotation file of YouCook II ({error!r}): give youcookii_annotations_trainval.json, "
            'which holds {"database": {id: {"subset", "annotations": [{"segment", "sentence"}]}}}'
        ) from error


def words_of(caption: str) -> list[str]:
    """Words and marks of a caption, lower case."""
    return _WORD.findall(caption.lower())


def word_lists(captions: Iterable[str]) -> WordLists:
    """The commonest verbs and nouns, told apart by their places; the paper's lists may differ by some words."""
    tokenized = [words for caption in captions if (words := words_of(caption))]
    seen = Counter(word for words in tokenized for word in words if word.isalpha() and word not in _FUNCTION)
    within = Counter(word for words in tokenized for word in set(words))
    opens = Counter(words[0] for words in tokenized)
    verbs = {word for word in seen if opens[word] >= IMPERATIVE_SHARE * within[word]}
    heads = Counter(head for words in tokenized for head in _heads(words, verbs))
    nouns = {word for word in seen if word not in verbs and heads[word] >= HEAD_SHARE * seen[word]}
    return WordLists(verbs=_commonest(seen, verbs, VERBS), nouns=_commonest(seen, nouns, NOUNS))


def _heads(words: Sequence[str], verbs: set[str]) -> list[str]:
    """The last word of every run of words that are neither verbs nor function words."""
    stops = [not word.isalpha() or word in _FUNCTION or word in verbs for word in words]
    after = [*stops[1:], True]
    return [word for word, stop, ends in zip(words, stops, after, strict=True) if not stop and ends]


def _commonest(seen: Counter[str], kept: set[str], limit: int) -> tuple[str, ...]:
    return tuple(sorted(kept, key=lambda word: (-seen[word], word))[:limit])
