"""`explain`: which words and clips a search hit, a label, an answer or a caption comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import videobert
from videobert.application import Application
from videobert.errors import InputError
from videobert.query.model import OpenModel, open_model
from videobert.runtime.record_files import write_file
from videobert.runtime.storage import Store
from videobert.tokens.core import from_json

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["Explain", "Part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A word or a clip and what it adds."""

    kind: str
    """`word` or `clip`."""
    name: str
    """The word piece, or the number of the clip in its video."""
    start_seconds: float
    """Of a clip; -1 of a word."""
    end_seconds: float
    adds: float
    """To the score; integrated gradients. All together add up to `score` - `baseline`."""
    attention: float
    """Share in the video's vector, in what decides the label or in what the writer of a caption looks at, by attention
    rollout; -1 of a word of a query."""
    around: bool
    """A clip before or after the segment, which the model reads too."""
    score: float
    """Cosine of the text and the segment; logit of the label or choice, of a value that in units of its spread; mean
    log probability per word piece of a caption, its end included."""
    baseline: float
    """The same with every word and clip masked."""
    row_id: str
    model: str
    """Spec of the model."""
    task: str = ""
    """Spec of the fine-tuned model; empty for a hit."""
    label: str = ""
    """The label, answer, choice, caption or sentence that is explained."""


@dataclass(frozen=True, kw_only=True)
class Explain(Application[Part]):
    """Show which words and clips a search hit, a label, an answer or a caption comes from.

    videobert explain --root demo --row VIDEO_ID:SEGMENT --text "stir the egg"

    videobert explain --root demo --row VIDEO_ID:SEGMENT --task finetune-1a2b3c4d --out why.html

    videobert explain --root demo --row VIDEO_ID:SEGMENT --text "stir the egg" --out why.html

    Integrated gradients of the cosine, or of a label's logit, from a text and a video that are all masked: what the
    parts add sums up to the difference. With a task for questions the text is the question, and with one for choices
    the label is the choice; of a task for retrieval the cosine of its own towers is explained, and of one for captions
    the mean log probability of the word pieces of the caption that it writes, or that is given as the text. --out
    writes a page with a picture of every clip and bars. Runs the model: the extra `worker`.
    """

    row: str
    """Row id of the segment, VIDEO_ID:SEGMENT, as `search` prints it."""
    text: str = ""
    """The query; with a task for questions or choices the question, for retrieval the sentence, for captions one to
    explain instead of the model's own."""
    task: str = ""
    """Spec of a fine-tuned model, of any task; empty: a search hit."""
    label: str = ""
    """The class to explain, empty: the one that the model says; with a task for choices the text of the choice."""
    out: str = ""
    """Page to write (.html), a path or a URL; empty: print the parts."""

    def __post_init__(self) -> None:
        if self.out and not self.out.endswith(".html"):
            raise InputError(f"{self.out!r} does not end in .html; the page is written as such, so name it so")

    def answer(self, root: Root) -> Iterator[Part]:
        if bool(self.label) and not self.task:
            raise InputError(f"label {self.label!r} goes with the --task that knows it; give both")
        store = Store(self.root)
        if self.task:
            return self._of_task(store)
        opened = open_model(store, self.model)
        sample, number = _segment(opened, self.row)
        return _parts(opened, sample, number, self.text, self.row)

    def _of_task(self, store: Store) -> Iterator[Part]:
        from videobert.applications.explain.labels import answer_parts, check_question
        from videobert.predict.tuned import find_tuned

        tuned = find_tuned(store, self.task)
        check_question(tuned, question=self.text, label=self.label)
        sample, number = _segment(open_model(store, tuned.facts["model_spec"]), self.row)
        return answer_parts(store, tuned, sample, number, question=self.text, label=self.label)

    def line(self, record: Part) -> str:
        when = "" if record.start_seconds < 0 else f"{record.start_seconds:.1f}-{record.end_seconds:.1f} s"
        bar = "#" * round(40 * abs(record.adds) / max(abs(record.score - record.baseline), 1e-9))
        return f"{record.kind} {record.name:<14.14} {when:<16} {record.adds:+.3f} {bar[:60]}"

    def execute(self) -> None:
        if not self.out:
            super().execute()
            return
        from videobert.applications.explain.page import page

        parts = list(self.answer(videobert.open(self.root)))
        model, title = (parts[0].model, parts[0].label) if self.task else (self.model, self.text)
        write_file(self.out, page(Store(self.root), model, title, parts))
        told = "score" if self.task else "cosine"
        print(f"{told} {parts[0].score:.3f}, masked {parts[0].baseline:.3f}: {self.out}")


def _segment(opened: OpenModel, row_id: str) -> tuple[dict[str, Any], int]:
    """The token sample of a row's video, and the number of its segment."""
    video_id, _, number = row_id.partition(":")
    for sample in opened.samples():
        if sample["video_id"] == video_id and number.isdecimal() and int(number) < len(sample["segments"]):
            return sample, int(number)
    raise InputError(
        f"no tokens of {opened.manifest.spec} hold the segment {row_id!r}; `videobert search` prints row ids"
    )


def _parts(opened: OpenModel, sample: dict[str, Any], number: int, text: str, row_id: str) -> Iterator[Part]:
    from videobert.applications.explain.hit import explain_hit

    video, around = from_json(sample), opened.model.reading.context_clips
    segment = video.segments[number]
    footage = video.footage(segment.first_clip, segment.last_clip, around=around)
    ids = opened.text_ids(text)
    found = explain_hit(opened.model, ids, footage)
    shared: dict[str, Any] = {
        "score": found.score,
        "baseline": found.baseline,
        "row_id": row_id,
        "model": opened.manifest.spec,
    }
    for token, adds in zip(ids, found.words, strict=True):
        yield Part(
            kind="word", name=str(opened.tokenizer.id_to_token(token)), start_seconds=-1, end_seconds=-1,
            adds=float(adds), attention=-1, around=False, **shared,
        )  # fmt: skip
    begin = segment.first_clip - footage.first
    for place, (adds, attention) in enumerate(zip(found.clips, found.attention, strict=True)):
        clip = begin + place
        yield Part(
            kind="clip", name=str(clip), start_seconds=sample["clip_starts"][clip],
            end_seconds=sample["clip_ends"][clip], adds=float(adds), attention=float(attention),
            around=not segment.first_clip <= clip < segment.last_clip, **shared,
        )  # fmt: skip
