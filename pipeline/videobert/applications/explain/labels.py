"""Why a fine-tuned model says a label, an answer, a choice, a caption or a similarity, as the parts of `explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.applications.explain import Part
from videobert.applications.explain.answer import AnswerExplanation, Explained, explain_similarity
from videobert.codebook.load import load_tokenizer
from videobert.errors import InputError
from videobert.finetune.sight import said_over
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store
from videobert.tasks.base import Example
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.load import load_tuned
from videobert.tasks.retrieval import VideoBertForRetrieval
from videobert.tokens.core import from_json

__all__ = ["answer_parts", "check_question"]

_ASKED = {"open-questions": "a question", "choices": "the question", "retrieval": "a sentence"}
"""Tasks that need --text, and what it is to them."""


def check_question(tuned: Manifest, *, question: str, label: str) -> None:
    """Raises InputError for words that a task needs or does not take. Captions take a text and need none."""
    spec, task = tuned.spec, tuned.facts["task"]
    if task == "captions" and label:
        raise InputError(f"{spec} writes captions and has no label {label!r}; give a caption to explain as --text")
    if task != "captions" and (task in _ASKED) != bool(question.strip()):
        told = f"is for {task}; give {_ASKED[task]}" if task in _ASKED else "answers no questions; leave it out"
        raise InputError(f"{spec} {told} as --text")
    if task == "choices" and not label.strip():
        raise InputError(f"{spec} judges each choice for itself; name the one to explain as --label")
    if task == "retrieval" and label:
        raise InputError(f"{spec} tells how near a sentence is and has no label {label!r}; leave --label out")


def answer_parts(
    store: Store, tuned: Manifest, sample: dict[str, Any], number: int, *, question: str, label: str
) -> Iterator[Part]:
    """What each word and clip of a segment adds to a label, empty: the one that the model says; to a choice, which
    `label` holds; to the similarity of a sentence; or to a caption, which `question` holds, empty: the model's own.

    Raises InputError as `check_question` does, for a label that the model does not know, and for a caption that is
    longer than any it writes.
    """
    check_question(tuned, question=question, label=label)
    network, settings = load_tuned(store, tuned, device="cpu")
    if settings.get("segment_layers"):
        raise InputError(
            f"{tuned.spec} reads spans by segment, which is not explained; fine-tune one with finetune.spans whole"
        )
    if settings.get("pool") == "words":
        raise InputError(f"{tuned.spec} reads words at a prompt, which is not explained; set finetune.pool to mean")
    tokenizer, video = load_tokenizer(store, tuned), from_json(sample)

    def ids_of(words: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(words, add_special_tokens=False).ids)

    segment = video.segments[number]
    text: tuple[int, ...] = ()
    if tuned.facts["task"] in _ASKED:
        text = ids_of(question) + (ids_of(label) if tuned.facts["task"] == "choices" else ())
    elif settings["reads"] != "video":
        text = said_over(video, segment.first_clip, segment.last_clip)
    around = network.encoder.reading.context_clips
    footage = video.footage(segment.first_clip, segment.last_clip, around=around)
    shown = None if settings["reads"] == "text" else footage
    example = Example(video_id=video.video_id, text_ids=text, footage=shown)
    asked = ids_of(question) if isinstance(network, VideoBertForVideoCaptioning) else ()
    found, clips, said = _explained(network, example, label, asked)
    shared: dict[str, Any] = {
        "score": found.score, "baseline": found.baseline, "row_id": f"{video.video_id}:{number}",
        "model": tuned.facts["model_spec"], "task": tuned.spec, "label": question if asked else said or question,
    }  # fmt: skip
    for token, adds, attention in zip(text, found.words, found.word_attention, strict=False):  # a long text is cut
        yield Part(
            kind="word", name=str(tokenizer.id_to_token(token)), start_seconds=-1, end_seconds=-1,
            adds=float(adds), attention=float(attention), around=False, **shared,
        )  # fmt: skip
    for clip, adds, attention in zip(clips, found.clips, found.clip_attention, strict=True):
        place = segment.first_clip - footage.first + int(clip)
        yield Part(
            kind="clip", name=str(place), start_seconds=sample["clip_starts"][place],
            end_seconds=sample["clip_ends"][place], adds=float(adds), attention=float(attention),
            around=not segment.first_clip <= place < segment.last_clip, **shared,
        )  # fmt: skip


def _explained(
    network: Any, example: Example, label: str, asked: Sequence[int]
) -> tuple[AnswerExplanation, NDArray[np.int64], str]:
    """(the explanation, the numbers of the clips that are read, what is said; empty for a similarity)."""
    if isinstance(network, VideoBertForRetrieval):
        return *explain_similarity(network, example), ""
    if isinstance(network, VideoBertForVideoCaptioning):
        if len(asked) >= network.longest:
            raise InputError(
                f"a caption of {len(asked)} word pieces exceeds the {network.longest - 1} of the longest that the "
                "model writes; shorten it"
            )
        caption = asked or network.generate([example])[0]
        explained = Explained(network, example, caption=caption)
        return explained.explain(), explained.clips, network.decode(caption)
    explained = Explained(network, example)
    if isinstance(network, VideoBertForMultipleChoice):
        return explained.explain(0), explained.clips, label
    number = _class_of(network, example, label)
    return explained.explain(number), explained.clips, network.labels[number]


def _class_of(network: VideoBertForVideoClassification, example: Example, label: str) -> int:
    if label and label not in network.labels:
        raise InputError(f"label {label!r} is none of {', '.join(network.labels[:20])}; name one of these")
    return network.labels.index(label) if label else int(network.outputs([example])[0].argmax())
