"""Evaluate: a model on the held-out videos; metrics as JSON, one HTML page, and the gates of promotion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from videobert.codebook.load import load_tokenizer
from videobert.evaluate.config import EvaluateConfig
from videobert.evaluate.core import (
    Label,
    calibrated,
    candidates,
    gates_of,
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
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.spec import output_config
from videobert.tokens.core import from_json
from videobert.tokens.read import read_samples

__all__ = ["run"]

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
    videos, said_V = [], np.zeros(model.vocabulary.size, dtype=np.int64)
    for sample in read_samples(inputs.store, shards):
        if is_held_out(sample["video_id"], fraction):
            videos.append(sample)
        else:
            np.add.at(said_V, [number for s in sample["segments"] for number in s["text_ids"]], 1)
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
        metrics["zero_shot"] = _zero_shot(model, tokenizer, videos, labels, said_V, config)
    metrics["gates"] = gates_of(metrics, config)
    metrics["passed"] = all(gate["holds"] for gate in metrics["gates"])
    curve = json.loads(inputs.store.read(f"{pretrain.facts['directory']}/train_state.json"))["curve"]
    files = {
        "metrics.json": json.dumps(metrics, indent=1, sort_keys=True).encode() + b"\n",
        "report.html": render_report(metrics, curve, pretrain.facts),
    }
    facts = {"model_spec": pretrain.spec, "passed": metrics["passed"], "gates": metrics["gates"]}
    return commit_files(inputs, EVALUATE, spec, files, config=output_config(config), facts=facts)


def _zero_shot(
    model: VideoBert,
    tokenizer: Tokenizer,
    videos: Sequence[dict[str, Any]],
    labels: list[Label],
    said_V: NDArray[np.int64],
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Verb and noun at the two masks of the prompt (section 4.3), for every labelled span of a held-out video.

    `said_V` tells how often the training narration has each word.
    """
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
    ids = {"verb_ids": [vocabulary[w] for w in verbs], "noun_ids": [vocabulary[w] for w in nouns]}
    prompt = tokenizer.encode(config.prompt, add_special_tokens=False).ids
    seen = zero_shot(model, prompt, spans, **ids)
    prior = zero_shot(model, prompt, [None], **ids)
    answers = {"verb": (seen.verbs, prior.verbs[0]), "noun": (seen.nouns, prior.nouns[0])}
    if config.calibrate:
        said = {"verb": said_V[ids["verb_ids"]], "noun": said_V[ids["noun_ids"]]}
        answers = {kind: calibrated(*scores, said[kind]) for kind, scores in answers.items()}
    verb_B = np.array([verbs.index(x.verb) for x in kept])
    noun_B = np.array([nouns.index(x.noun) for x in kept])
    return {
        "spans": len(kept), "verbs": verbs, "nouns": nouns, "not_in_vocabulary": lost_verbs + lost_nouns,
        "verb": word_figures(*answers["verb"], verb_B),
        "noun": word_figures(*answers["noun"], noun_B),
    }  # fmt: skip


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
