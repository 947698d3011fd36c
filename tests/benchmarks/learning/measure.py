"""What a trained model knows of the kitchen: zero-shot words, nats gained from video, retrieval, alignment, order.

N steps, G videos of a group.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.learning.world import Leaves, World, actions, stretches
from videobert.demo.oracle import rank_auc
from videobert.demo.tokens import SampledVideo
from videobert.evaluate.config import PROMPT
from videobert.evaluate.metrics import retrieval_ranks, top_k_accuracy
from videobert.model.network import VideoBert
from videobert.model.scoring import ZeroShot, alignment_logits, encode_text, encode_video, mask_scores, zero_shot
from videobert.pretrain.pairs import subsample

__all__ = ["alignment_auc", "nats_from_video", "order_accuracy", "retrieval", "thinned", "zero_shot_figures"]

ORDER_PROMPT = "next we [MASK] the [MASK]{stop} next we [MASK] the [MASK]{stop}"
GROUP = 100


def zero_shot_figures(
    world: World, model: VideoBert, videos: list[SampledVideo], seen: list[Leaves]
) -> dict[str, float]:
    """verb@1, verb@5, noun@1, noun@5 of what is on the screen, at the paper's prompt, ended as the narration ends."""
    found = _words_at(world, model, PROMPT + world.stop, seen)
    truth_N2 = world.grammar.actions_A2[actions(videos)]
    return {
        f"{kind}@{k}": top_k_accuracy(scores, truth_N2[:, [part]], k=k)
        for part, (kind, scores) in enumerate((("verb", found.verbs), ("noun", found.nouns)))
        for k in (1, 5)
    }


def nats_from_video(world: World, model: VideoBert, videos: list[SampledVideo]) -> dict[str, float]:
    """CE(text only) - CE(text and video) at the verb and at the noun of sentences that name an action, both masked."""
    steps = [step for v in videos for step in v.recipe.steps]
    gains: dict[str, list[float]] = {"verb": [], "noun": []}
    by_template: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        if step.narrated_action >= 0:
            verb, noun = world.grammar.words(step.narrated_action)
            masked = " ".join("[MASK]" if word in (verb, noun) else word for word in step.caption.split()) + world.stop
            by_template.setdefault(masked, []).append(number)
    seen = stretches(videos)
    for template, numbers in by_template.items():
        truth_N2 = world.grammar.actions_A2[[steps[n].narrated_action for n in numbers]]
        blind = _words_at(world, model, template, [None])
        told = _words_at(world, model, template, [seen[n] for n in numbers])
        for part, kind in enumerate(("verb", "noun")):
            ours, prior = ((told.verbs, blind.verbs), (told.nouns, blind.nouns))[part]
            right_N = truth_N2[:, part]
            gains[kind] += (ours[np.arange(len(numbers)), right_N] - prior[0, right_N]).tolist()
    return {kind: float(np.mean(values)) for kind, values in gains.items()}


def retrieval(model: VideoBert, videos: list[SampledVideo], *, seed: int | None = None) -> dict[str, float]:
    """R@1 and R@5: all sentences of a video look for its tokens among 100 videos; `seed` shuffles the videos first."""
    texts = _mean_a_video(videos, encode_text(model, [s.text_ids for v in videos for s in v.video.segments]))
    films = _mean_a_video(videos, encode_video(model, stretches(videos)))
    if seed is not None:
        films = films[np.random.default_rng(seed).permutation(len(films))]
    groups = range(0, len(films) - GROUP + 1, GROUP)
    ranks = np.concatenate([retrieval_ranks(texts[g : g + GROUP] @ films[g : g + GROUP].T) for g in groups])
    return {f"R@{k}": float((ranks <= k).mean()) for k in (1, 5)}


def alignment_auc(model: VideoBert, videos: list[SampledVideo], *, steps: int = 1) -> float:
    """Sentences of `steps` neighbours with their own tokens against the tokens of steps half the corpus away."""
    texts, films = [], []
    for v in videos:
        for first in range(0, len(v.video.segments) - steps + 1, steps):
            run = v.video.segments[first : first + steps]
            texts.append([i for segment in run for i in segment.text_ids])
            films.append(v.video.visual[run[0].first_clip : run[-1].last_clip])
    half = len(films) // 2
    own, other = (alignment_logits(model, texts, seen) for seen in (films, films[half:] + films[:half]))
    return rank_auc(own.astype(np.float64), other.astype(np.float64))


def order_accuracy(world: World, model: VideoBert, videos: list[SampledVideo]) -> float:
    """Two neighbouring steps A, B of different words: share in which "A, then B" is likelier than "B, then A".

    The four words are masked, so only the place of a word relative to the place of a token can tell; a tie counts half.
    """
    pairs, films = [], []
    for v in videos:
        for first in range(len(v.recipe.steps) - 1):
            a, b = (world.grammar.actions_A2[step.action] for step in v.recipe.steps[first : first + 2])
            if a[0] != b[0] and a[1] != b[1]:
                pairs.append((a, b))
                one, two = v.video.segments[first : first + 2]
                films.append(v.video.visual[one.first_clip : two.last_clip])
    verbs, nouns = world.candidates
    scores = mask_scores(
        model, world.text(ORDER_PROMPT.format(stop=world.stop)), films, candidates=(verbs, nouns, verbs, nouns)
    )
    right = []
    for row, (a, b) in enumerate(pairs):
        told = sum(scores[i][row, word] for i, word in enumerate((*a, *b)))
        swapped = sum(scores[i][row, word] for i, word in enumerate((*b, *a)))
        right.append(0.5 if abs(told - swapped) < 1e-4 else float(told > swapped))
    return float(np.mean(right))


def thinned(seen: list[Leaves], *, rate: int) -> list[Leaves]:
    """Every `rate`-th token of each stretch: the same step played at another speed."""
    rng = np.random.default_rng(0)
    return [subsample(leaves.astype(np.int64), rates=(rate,), rng=rng).astype(np.int32) for leaves in seen]


def _words_at(world: World, model: VideoBert, prompt: str, seen: list[Leaves] | list[None]) -> ZeroShot:
    verbs, nouns = world.candidates
    return zero_shot(model, world.text(prompt), seen, verb_ids=verbs, noun_ids=nouns)


def _mean_a_video(videos: list[SampledVideo], vectors_NR: NDArray[np.float32]) -> NDArray[np.float32]:
    ends = np.cumsum([len(v.video.segments) for v in videos])[:-1]
    means = np.stack([part.mean(0) for part in np.split(vectors_NR, ends)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
