"""Pure parts of evaluation: labelled spans, candidate words, gains with their standard errors, gates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig
from videobert.evaluate.metrics import median_rank, recall_at_k, retrieval_ranks, top_k_hits

__all__ = [
    "Label",
    "candidates",
    "gates_of",
    "narrated",
    "parse_labels",
    "reranked_figures",
    "retrieval_figures",
    "span_clips",
    "word_figures",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One labelled action of a video."""

    video_id: str
    start_seconds: float
    end_seconds: float
    verb: str
    noun: str


def parse_labels(data: bytes, location: str) -> list[Label]:
    """Labels of a JSON-lines file; other fields are ignored. Raises InputError with the line that is wrong."""
    labels = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            labels.append(
                Label(
                    video_id=str(raw["video_id"]), start_seconds=float(raw["start_seconds"]),
                    end_seconds=float(raw["end_seconds"]), verb=str(raw["verb"]), noun=str(raw["noun"]),
                )
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of labels {location} is wrong ({error!r}); "
                "each line is a JSON object with video_id, start_seconds, end_seconds, verb and noun"
            ) from error
    return labels


def candidates(words: Iterable[str], *, limit: int, vocabulary: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """(kept, dropped): the most common words, of which only whole entries of the vocabulary can be predicted."""
    common = [word for word, _ in sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))[:limit]]
    return [w for w in common if w in vocabulary], [w for w in common if w not in vocabulary]


def span_clips(
    starts_N: Sequence[float], ends_N: Sequence[float], *, start_seconds: float, end_seconds: float
) -> tuple[int, int]:
    """[first, last) of the clips whose middle lies in a span; empty when none does."""
    middles = (np.asarray(starts_N) + np.asarray(ends_N)) / 2
    first, last = np.searchsorted(middles, [start_seconds, end_seconds])
    return int(first), int(last)


def word_figures(
    scores_BC: NDArray[np.float32], prior_C: NDArray[np.float32], truth_B: NDArray[np.int64]
) -> dict[str, float]:
    """Top-1 and top-5 versus the language prior and the commonest answers, with gains in standard errors.

    The commonest are those of the spans themselves: no answer that ignores the video is right more often.
    """
    figures: dict[str, float] = {}
    commonest_C = np.bincount(truth_B, minlength=scores_BC.shape[1]).astype(np.float32)
    for k in (1, 5):
        ours_B, prior_B, majority_B = (
            top_k_hits(np.broadcast_to(s, scores_BC.shape), truth_B[:, None], k=k)
            for s in (scores_BC, prior_C, commonest_C)
        )
        figures[f"top{k}"] = float(ours_B.mean())
        figures[f"top{k}_prior"] = float(prior_B.mean())
        figures[f"top{k}_majority"] = float(majority_B.mean())
        figures[f"top{k}_chance"] = min(1.0, k / scores_BC.shape[1])
        figures[f"top{k}_gain_in_standard_errors"] = _in_standard_errors(ours_B - prior_B)
        figures[f"top{k}_gain_over_majority_in_standard_errors"] = _in_standard_errors(ours_B - majority_B)
    return figures


def _in_standard_errors(gain_B: NDArray[np.float64]) -> float:
    """The mean of paired differences over its error."""
    # B spans cannot show an error below 1 / B: without this floor, a gain on every single span counts as none.
    spread = float(gain_B.std(ddof=1) / np.sqrt(len(gain_B))) if len(gain_B) > 1 else 0.0
    return float(gain_B.mean()) / max(spread, 1 / len(gain_B))


def narrated(
    shares_BS: NDArray[np.float32], sentences: Mapping[tuple[int, ...], int], word_ids: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(scores [B, C], prior [C]) of C words from the shares of S narrated sentences, which come with their counts.

    A sentence that holds several of the words divides its share among them. The prior is how often each is said.
    """
    place = {word: column for column, word in enumerate(word_ids)}
    holds_SC = np.zeros((len(sentences), len(word_ids)), dtype=np.float32)
    for row_C, text_ids in zip(holds_SC, sentences, strict=True):
        row_C[[place[word] for word in text_ids if word in place]] = 1.0
    holds_SC /= np.maximum(holds_SC.sum(axis=1, keepdims=True), 1.0)
    counts_S = np.array(list(sentences.values()), dtype=np.float32)
    return shares_BS @ holds_SC, counts_S @ holds_SC / max(1.0, float(counts_S.sum()))


def retrieval_figures(ranks_Q: NDArray[np.float64]) -> dict[str, float]:
    """R@1/5/10 and the median rank of Q queries among Q candidates, with chance."""
    figures: dict[str, float] = {"candidates": float(len(ranks_Q)), "median_rank": median_rank(ranks_Q)}
    for k in (1, 5, 10):
        figures[f"recall_at_{k}"] = recall_at_k(ranks_Q, k=k)
        figures[f"recall_at_{k}_chance"] = min(1.0, k / len(ranks_Q))
    return figures


def reranked_figures(best_QK: NDArray[np.int64], logits_QK: NDArray[np.float32]) -> dict[str, float]:
    """R@1 and R@5 once the K nearest candidates of query q, whose target is q, stand in the order of their logits."""
    own_QK = best_QK == np.arange(len(best_QK))[:, None]
    found_Q = own_QK.any(axis=1)
    ranks_Q = np.full(len(best_QK), np.inf)
    targets = own_QK.argmax(axis=1)[found_Q].tolist()
    ranks_Q[found_Q] = retrieval_ranks(logits_QK[found_Q], targets)
    return {f"reranked_recall_at_{k}": recall_at_k(ranks_Q, k=k) for k in (1, 5)}


def gates_of(metrics: Mapping[str, Any], config: EvaluateConfig) -> list[dict[str, Any]]:
    """Every gate that is on: its name, what was found, what it takes, and whether it holds."""
    found: list[tuple[str, float, float]] = []
    if sigma := config.gates.zero_shot_sigma:
        words = metrics.get("zero_shot", {})
        for kind in ("verb", "noun"):
            value = words.get(kind, {}).get("top1_gain_in_standard_errors", 0.0)
            found.append((f"{kind} top-1 above the language prior, standard errors", value, sigma))
    if times := config.gates.recall_at_10_over_chance:
        retrieval = metrics.get("retrieval", {})
        value = retrieval.get("recall_at_10", 0.0) / retrieval.get("recall_at_10_chance", 1.0)
        found.append(("text-to-video R@10 over chance", value, times))
    return [{"gate": name, "found": value, "needed": needed, "holds": value >= needed} for name, value, needed in found]
