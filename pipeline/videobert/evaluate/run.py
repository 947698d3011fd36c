"""Evaluate: a model on the held-out videos; metrics as JSON, one HTML page, and the gates of promotion."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from videobert.codebook.load import load_tokenizer
from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig
from videobert.evaluate.core import (
    Label,
    candidates,
    gates_of,
    narrated,
    parse_labels,
    reranked_figures,
    retrieval_figures,
    span_clips,
    word_figures,
)
from videobert.evaluate.labels import read_labels
from videobert.evaluate.metrics import retrieval_ranks, top_k
from videobert.evaluate.report import render_report
from videobert.evaluate.stage import EVALUATE
from videobert.model.load import load_committed_model
from videobert.model.network import VideoBert
from videobert.model.scoring import alignment_logits, encode_text, encode_video, zero_shot
from videobert.query.training import training_history
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.spec import output_config
from videobert.tokens.core import from_json
from videobert.tokens.footage import Footage
from videobert.tokens.prompt import ended_alike, narration_of
from videobert.tokens.read import read_samples

__all__ = ["run"]

_SENTENCES = 20_000
"""Most common sentences of the narration that a span is compared with."""
_Scores = tuple[NDArray[np.float32], NDArray[np.float32]]
RERANKED = 10
"""Nearest segments that the alignment head puts in order."""


def run(config: EvaluateConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Measure the model and say whether the gates hold; where nothing is held out, the report says that instead."""
    codebook, pretrain = inputs.one("codebook"), inputs.one("pretrain")
    labels_data, labels_url = read_labels(config, inputs.store.root)
    spec = EVALUATE.spec(config, inputs)
    if done := committed(inputs.store, EVALUATE, spec):
        return done
    torch.set_num_threads(1)
    model = load_committed_model(inputs.store, pretrain)
    tokenizer = load_tokenizer(inputs.store, pretrain)
    fraction = codebook.facts["heldout_fraction"]
    shards = [output for tokens in inputs.upstream["tokens"] for output in tokens.outputs]
    videos, narration = [], Counter[tuple[int, ...]]()
    for sample in read_samples(inputs.store, shards):
        if is_held_out(sample["video_id"], fraction):
            videos.append(sample)
        else:
            narration.update(narration_of(sample))
    metrics: dict[str, Any] = {
        "model": pretrain.spec, "heldout_videos": len(videos), "codebook": codebook.facts["health"],
        "retrieval": _retrieval(model, videos, config),
    }  # fmt: skip
    if not videos:
        metrics["note"] = (
            f"No video is held out of {len(shards)} shards (heldout_fraction {fraction}): nothing tells how well this "
            "model does on videos it has not seen. Add videos, or raise codebook.heldout_fraction."
        )
    labels = parse_labels(labels_data, labels_url)
    if labels:
        metrics["zero_shot"] = _zero_shot(model, tokenizer, videos, labels, narration, config)
    metrics["gates"] = gates_of(metrics, config)
    metrics["passed"] = all(gate["holds"] for gate in metrics["gates"])
    curve, checks = training_history(inputs.store, pretrain)
    files = {
        "metrics.json": json.dumps(metrics, indent=1, sort_keys=True).encode() + b"\n",
        "report.html": render_report(metrics, curve, pretrain.facts, checks),
    }
    facts = {"model_spec": pretrain.spec, "passed": metrics["passed"], "gates": metrics["gates"]}
    return commit_files(inputs, EVALUATE, spec, files, config=output_config(config), facts=facts)


def _zero_shot(
    model: VideoBert,
    tokenizer: Tokenizer,
    videos: Sequence[dict[str, Any]],
    labels: list[Label],
    narration: Counter[tuple[int, ...]],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Verb and noun of every labelled span of a held-out video; `narration` counts the sentences of the others."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    verbs, lost_verbs = candidates((x.verb for x in labels), limit=config.verbs, vocabulary=vocabulary)
    nouns, lost_nouns = candidates((x.noun for x in labels), limit=config.nouns, vocabulary=vocabulary)
    by_id = {video["video_id"]: video for video in videos}
    kept, spans = [], []
    for label in labels:
        video = by_id.get(label.video_id)
        if video is None or label.verb not in verbs or label.noun not in nouns:
            continue
        first, last = span_clips(
            video["clip_starts"], video["clip_ends"], start_seconds=label.start_seconds, end_seconds=label.end_seconds
        )
        if last > first:
            kept.append(label)
            spans.append(from_json(video).footage(first, last, around=model.reading.context_clips))
    if not kept:
        return {"spans": 0}
    ids = ([vocabulary[w] for w in verbs], [vocabulary[w] for w in nouns])
    asked: dict[str, str] = {}
    if config.answers == "cloze":
        prompt = ended_alike(tokenizer.encode(config.prompt, add_special_tokens=False).ids, narration, tokenizer)
        asked["prompt"] = tokenizer.decode(prompt, skip_special_tokens=False)
        verb, noun = _at_masks(model, prompt, spans, *ids)
    else:
        verb, noun = _in_narration(model, narration, spans, *ids)
    verb_B = np.array([verbs.index(x.verb) for x in kept])
    noun_B = np.array([nouns.index(x.noun) for x in kept])
    return {
        "spans": len(kept), "verbs": verbs, "nouns": nouns, "not_in_vocabulary": lost_verbs + lost_nouns,
        "verb": word_figures(*verb, verb_B),
        "noun": word_figures(*noun, noun_B), **asked,
    }  # fmt: skip


def _at_masks(
    model: VideoBert, prompt: list[int], spans: Sequence[Footage], verb_ids: list[int], noun_ids: list[int]
) -> tuple[_Scores, _Scores]:
    """Scores and language prior of verbs and of nouns at the two masks of the prompt (section 4.3)."""
    seen = zero_shot(model, prompt, spans, verb_ids=verb_ids, noun_ids=noun_ids)
    prior = zero_shot(model, prompt, [None], verb_ids=verb_ids, noun_ids=noun_ids)
    return (seen.verbs, prior.verbs[0]), (seen.nouns, prior.nouns[0])


def _in_narration(
    model: VideoBert,
    narration: Counter[tuple[int, ...]],
    spans: Sequence[Footage],
    verb_ids: list[int],
    noun_ids: list[int],
) -> tuple[_Scores, _Scores]:
    """Scores and prior of verbs and of nouns by the narrated sentences that lie near each span."""
    sentences = dict(sorted(narration.items(), key=lambda item: (-item[1], item[0]))[:_SENTENCES])
    if not sentences:
        raise InputError("evaluate.answers is narration, but no training video has a sentence; choose cloze")
    logits_BS = encode_video(model, spans) @ encode_text(model, list(sentences)).T / float(model.temperature().detach())
    shares_BS = np.exp(logits_BS - logits_BS.max(axis=1, keepdims=True))
    shares_BS /= shares_BS.sum(axis=1, keepdims=True)
    return narrated(shares_BS, sentences, verb_ids), narrated(shares_BS, sentences, noun_ids)


def _retrieval(model: VideoBert, samples: Sequence[dict[str, Any]], config: EvaluateConfig) -> dict[str, float]:
    """Text to video over the held-out segments with text."""
    pairs = []
    for sample in samples:
        video = from_json(sample)
        around = model.reading.context_clips
        pairs += [
            (list(s.text_ids), video.footage(s.first_clip, s.last_clip, around=around))
            for s in video.segments
            if s.text_ids
        ]
    pairs = pairs[: config.max_retrieval]
    if not pairs:
        return {}
    texts, videos = [text for text, _ in pairs], [video for _, video in pairs]
    similarity_QC = encode_text(model, texts) @ encode_video(model, videos).T
    best_QK = top_k(similarity_QC, k=RERANKED)
    logits_QK = [
        alignment_logits(model, [t] * len(k), [videos[i] for i in k]) for t, k in zip(texts, best_QK, strict=True)
    ]
    return retrieval_figures(retrieval_ranks(similarity_QC)) | reranked_figures(best_QK, np.stack(logits_QK))
