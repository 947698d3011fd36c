"""Examples changed in training, so that little is learnt by heart: clips left out, words masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videobert.finetune.config import AugmentOptions
from videobert.tasks.base import Example
from videobert.tokens.footage import Footage

__all__ = ["augmented"]


def augmented(example: Example, options: AugmentOptions, *, mask: int, rng: np.random.Generator) -> Example:
    """Another view of the same span; at least one clip stays. `mask` is the id of [MASK]."""
    if options.drop_text and example.footage is not None and rng.random() < options.drop_text:
        example = example.without_text()
    if example.segments:
        segments = tuple(augmented(s, replace(options, drop_text=0.0), mask=mask, rng=rng) for s in example.segments)
        return replace(example, segments=segments)
    footage, text_ids = example.footage, example.text_ids
    if footage is not None and (options.drop_clips or options.subsample_rates != (1,)):
        footage = _thinned(footage, options, rng)
    if options.mask_words and text_ids:
        hidden = rng.random(len(text_ids)) < options.mask_words
        text_ids = tuple(mask if gone else word for word, gone in zip(text_ids, hidden, strict=True))
    return replace(example, footage=footage, text_ids=text_ids)


def _thinned(footage: Footage, options: AugmentOptions, rng: np.random.Generator) -> Footage:
    """The span without some of its clips; the clips around it stay."""
    count = footage.last - footage.first
    rate = int(rng.choice(options.subsample_rates))
    own_N = np.arange(int(rng.integers(min(rate, count))), count, rate)
    kept_N = own_N[rng.random(len(own_N)) >= options.drop_clips]
    if not len(kept_N):
        kept_N = own_N[[int(rng.integers(len(own_N)))]]
    chosen_N: NDArray[np.int64] = np.concatenate(
        [np.arange(footage.first), footage.first + kept_N, np.arange(footage.last, len(footage))]
    )
    residuals = None if footage.residuals is None else footage.residuals[chosen_N]
    last = footage.first + len(kept_N)
    return replace(footage, leaves=footage.leaves[chosen_N], last=last, residuals=residuals)
