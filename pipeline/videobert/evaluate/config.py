"""What may vary in evaluation, and the gates a model must pass to be promoted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["PROMPT", "EvaluateConfig", "Gates"]

PROMPT = "now let me show you how to [MASK] the [MASK]"
"""The zero-shot prompt of the paper (section 4.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """A model that misses one is not promoted; 0 switches a gate off."""

    zero_shot_sigma: float = 0.0
    """Standard errors by which verb and noun top-1 must exceed the language prior."""
    recall_at_10_over_chance: float = 0.0
    """Times chance that text-to-video R@10 must reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """Zero-shot classification and retrieval on the held-out videos."""

    ADDED_LATER: ClassVar[Mapping[str, object]] = {"answers": "cloze"}

    labels: str = ""
    """URL of JSON lines of video_id, start_seconds, end_seconds, verb, noun; `{root}` is filled in; empty: none."""
    prompt: str = PROMPT
    """Zero-shot prompt of the paper: a verb, then a noun. It is asked with the mark that most sentences of the
    narration end with: without, it is a sentence that broke off, and the answer is luck. One that ends with a mark
    stays as it is."""
    verbs: int = 45
    """Most common verbs taken as candidates."""
    nouns: int = 100
    """Most common nouns taken as candidates."""
    max_retrieval: int = 1_000
    """Most segments in the retrieval test."""
    answers: Literal["cloze", "narration"] = "cloze"
    """Where verbs and nouns are read. `cloze`: at the two masks of the prompt, as in the paper. `narration`: every
    sentence of the training narration is compared with the span in the retrieval space, and a word has the share of the
    sentences that hold it; no prompt has to be found, which another narrator would never say."""
    gates: Gates = field(default_factory=Gates)
    """When a model may be promoted."""

    def __post_init__(self) -> None:
        if self.prompt.count("[MASK]") != 2:
            raise InputError(f"evaluate.prompt is {self.prompt!r}; it needs two [MASK]: the verb and the noun")
        if self.answers not in ("cloze", "narration"):
            raise InputError(f"evaluate.answers is {self.answers!r}; choose cloze or narration")
        for name in ("verbs", "nouns", "max_retrieval"):
            if getattr(self, name) < 1:
                raise InputError(f"evaluate.{name} is {getattr(self, name)}; it must be at least 1")
