"""What captions are measured by. aac-metrics computes them, without Java and without downloads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from videobert.errors import InputError

__all__ = ["Reference", "caption_figures", "caption_measure", "plain"]

Reference = tuple[Any, str]
"""What it is of, and the sentence: a caption is compared with all references of the same thing."""

_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NO_WORD = "_"
"""What a sentence without any word is compared as: "..." and the like."""


def plain(text: str) -> str:
    """Lower case, without marks: how captions are compared."""
    return " ".join(_WORDS.findall(text.lower()))


def caption_figures(captions: Sequence[str], references: Sequence[Reference]) -> dict[str, float]:
    """CIDEr-D, BLEU-4, ROUGE-L, and the share of different sentences: `caption_measure` of all captions."""
    return caption_measure(captions, references)(range(len(captions)))


def caption_measure(
    captions: Sequence[str], references: Sequence[Reference]
) -> Callable[[Sequence[int]], dict[str, float]]:
    """What measures some of the captions, by number, also with repetitions.

    How rare a word is, by which CIDEr-D weighs it, and what a caption is compared with is told by all of them: a sample
    in which sentences come twice has other rare words, and its CIDEr-D is that of another test.
    """
    try:
        from aac_metrics.functional.bleu import bleu
        from aac_metrics.functional.cider_d import cider_d
        from aac_metrics.functional.rouge_l import rouge_l
    except ImportError as error:
        raise InputError(
            f"captions are measured by aac-metrics ({error}); install videobert-pipeline[captions]"
        ) from error
    told = defaultdict(list)
    for of, sentence in references:
        told[of].append(plain(sentence) or _NO_WORD)
    said_B = [plain(caption) or _NO_WORD for caption in captions]
    known_B = [told[of] for of, _ in references]
    # The document frequency of CIDEr-D needs two captions at least.
    cider_B = cider_d(said_B, known_B)[1]["cider_d"].numpy() if len(said_B) > 1 else np.zeros(len(said_B))
    rouge_B = rouge_l(said_B, known_B)[1]["rouge_l"].numpy()

    def measure(chosen: Sequence[int]) -> dict[str, float]:
        numbers = list(chosen)
        some = [said_B[i] for i in numbers]
        return {
            "cider_d": float(cider_B[numbers].mean()),
            "bleu_4": float(bleu(some, [known_B[i] for i in numbers], n=4)[0]["bleu_4"]),
            "rouge_l": float(rouge_B[numbers].mean()),
            "distinct": len(set(some)) / len(some),
        }

    return measure
