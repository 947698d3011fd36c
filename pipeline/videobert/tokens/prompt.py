"""A sentence with [MASK]s that a model is asked, as ids."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

__all__ = ["ended_alike", "narration_of"]

Narration = Counter[tuple[int, ...]]
"""Sentences as ids, and how often each is said."""


def narration_of(sample: Mapping[str, Any]) -> Narration:
    """What is said in one video."""
    return Counter(tuple(s["text_ids"]) for s in sample["segments"] if s["text_ids"])


def ended_alike(prompt: Sequence[int], narration: Narration, tokenizer: Tokenizer) -> list[int]:
    """The prompt with the mark that most sentences of the narration end with, if they do: one without broke off.

    One that ends with a mark stays as it is.
    """
    ends = Counter[int]()
    for sentence, count in narration.items():
        ends[sentence[-1]] += count
    for last, count in ends.most_common(1):
        if 2 * count > ends.total() and _is_mark(last, tokenizer) and not _is_mark(prompt[-1], tokenizer):
            return [*prompt, last]
    return list(prompt)


def _is_mark(piece: int, tokenizer: Tokenizer) -> bool:
    token = str(tokenizer.id_to_token(piece))
    return len(token) == 1 and unicodedata.category(token).startswith("P")
