"""Why a fine-tuned classifier says a label or an answer of a segment, as the parts of `explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from videobert.applications.explain import Part
from videobert.applications.explain.answer import Explained
from videobert.codebook.load import load_tokenizer
from videobert.errors import InputError
from videobert.finetune.data import said_over
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store
from videobert.tasks.base import Example
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.load import load_tuned
from videobert.tokens.core import from_json

__all__ = ["answer_parts"]


def answer_parts(
    store: Store, tuned: Manifest, sample: dict[str, Any], number: int, *, question: str, label: str
) -> Iterator[Part]:
    """What each word and clip of a segment adds to a label, empty: the one that the model says.

    Raises InputError for a label that it does not know, and where a model for questions is asked none.
    """
    network, settings = load_tuned(store, tuned, device="cpu")
    assert isinstance(network, VideoBertForVideoClassification)
    tokenizer, video = load_tokenizer(store, tuned), from_json(sample)
    segment = video.segments[number]
    asks = tuned.facts["task"] == "open-questions"
    if asks != bool(question):
        raise InputError(f"{tuned.spec} answers {'questions; give one' if asks else 'none; leave it out'} as --text")
    text: tuple[int, ...] = ()
    if asks or settings["reads"] != "video":
        ids = tuple(tokenizer.encode(question, add_special_tokens=False).ids)
        text = ids if asks else said_over(video, segment.first_clip, segment.last_clip)
    around = network.encoder.reading.context_clips
    footage = video.footage(segment.first_clip, segment.last_clip, around=around)
    shown = None if settings["reads"] == "text" else footage
    example = Example(video_id=video.video_id, text_ids=text, footage=shown)
    number_of_label = _class_of(network, example, label)
    explained = Explained(network, example)
    found = explained.explain(number_of_label)
    shared: dict[str, Any] = {
        "score": found.score, "baseline": found.baseline, "row_id": f"{video.video_id}:{number}",
        "model": tuned.facts["model_spec"], "task": tuned.spec, "label": network.labels[number_of_label],
    }  # fmt: skip
    for token, adds, attention in zip(text, found.words, found.word_attention, strict=False):  # a long text is cut
        yield Part(
            kind="word", name=str(tokenizer.id_to_token(token)), start_seconds=-1, end_seconds=-1,
            adds=float(adds), attention=float(attention), around=False, **shared,
        )  # fmt: skip
    for clip, adds, attention in zip(explained.clips, found.clips, found.clip_attention, strict=True):
        place = segment.first_clip - footage.first + int(clip)
        yield Part(
            kind="clip", name=str(place), start_seconds=sample["clip_starts"][place],
            end_seconds=sample["clip_ends"][place], adds=float(adds), attention=float(attention),
            around=not segment.first_clip <= place < segment.last_clip, **shared,
        )  # fmt: skip


def _class_of(network: VideoBertForVideoClassification, example: Example, label: str) -> int:
    if label and label not in network.labels:
        raise InputError(f"label {label!r} is none of {', '.join(network.labels[:20])}; name one of these")
    return network.labels.index(label) if label else int(network.outputs([example])[0].argmax())
