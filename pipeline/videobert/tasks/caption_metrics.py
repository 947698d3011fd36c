"""What captions are measured by. aac-metrics computes them, without Java and without downloads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from videobert.errors import InputError

__all__ = ["caption_figures", "plain"]

_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def plain(text: str) -> str:
    """Lower case, without marks: how captions are compared."""
    return " ".join(_WORDS.findall(text.lower()))


def caption_figures(captions: Sequence[str], references: Sequence[tuple[Any, str]]) -> dict[str, float]:
    """CIDEr-D, BLEU-4, ROUGE-L, and the share of different sentences.

    A reference is (what it is of, sentence): a caption is compared with all references of the same thing.
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
        told[of].append(plain(sentence))
    candidates = [plain(caption) for caption in captions]
    mult_references = [told[of] for of, _ in references]
    found = {
        # The document frequency of CIDEr-D needs two captions at least.
        "cider_d": float(cider_d(candidates, mult_references)[0]["cider_d"]) if len(candidates) > 1 else 0.0,
        "bleu_4": float(bleu(candidates, mult_references, n=4)[0]["bleu_4"]),
        "rouge_l": float(rouge_l(candidates, mult_references)[0]["rouge_l"]),
    }
    return found | {"distinct": len(set(candidates)) / len(candidates)}
