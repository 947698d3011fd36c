"""What may vary when clips and sentences become tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["TokensConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensConfig:
    """How captions are cut into sentences and sentences into segments."""

    ADDED_LATER: ClassVar[Mapping[str, object]] = {"cues": "join", "short_sentences": "whole"}

    clips_per_segment: int = 16
    """Visual tokens of a segment where there is no text (section 3.2 of the paper)."""
    max_sentence_words: int = 30
    """A sentence is cut here when no punctuation ends it."""
    min_sentence_seconds: float = 3.0
    """Captions without punctuation are joined until a sentence lasts this long."""
    max_pause_seconds: float = 1.0
    """A longer pause between cues ends a sentence."""
    cues: Literal["join", "alone"] = "join"
    """What becomes of captions without punctuation. `join`: every cue is taken for a fragment. `alone`: a cue is a
    sentence of its own, unless it ends in the middle of a phrase ("now take the") or the video's cues mostly do; and
    of every sentence the middle is kept, by which the clips around it are told apart."""
    short_sentences: Literal["whole", "moment"] = "whole"
    """Clips of a sentence over which no more than two have their middle. `whole`: these. `moment`: the one that shows
    what is said, so that a row is about one moment. The other clip is then one without text, over which no pair takes
    in its neighbours: nothing for `pretrain.concatenate_probability`."""

    def __post_init__(self) -> None:
        for name in ("clips_per_segment", "max_sentence_words"):
            if getattr(self, name) < 1:
                raise InputError(f"tokens.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("min_sentence_seconds", "max_pause_seconds"):
            if getattr(self, name) < 0:
                raise InputError(f"tokens.{name} is {getattr(self, name)}; seconds cannot be negative")
        if self.cues not in ("join", "alone"):
            raise InputError(f"tokens.cues is {self.cues!r}; choose join or alone")
        if self.short_sentences not in ("whole", "moment"):
            raise InputError(f"tokens.short_sentences is {self.short_sentences!r}; choose whole or moment")
