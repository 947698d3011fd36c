"""Does a cue without punctuation stand alone, or is it a line of running speech? Told by the words that end it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

__all__ = ["ends_in_mid_phrase", "stand_alone"]

_MOST_CUT = 0.1
"""Share of cues that may end in mid-phrase before all are taken for lines of running speech. Speech that is cut by
length ends so in a third of its lines: about as often as English uses these words."""

_LEADS_ON = frozenset((
    "a", "an", "the", "my", "your", "its", "our", "their", "every", "of", "to", "into", "onto", "at", "for", "from",
    "with", "without", "between", "than", "and", "or", "but", "because", "if", "when", "while", "that", "which", "who",
    "gonna", "going", "let's", "i", "i'm", "i'll", "you're", "we", "we're", "we'll", "they", "they're", "he", "she",
    "it's", "very", "really",
))  # fmt: skip
"""English words after which a phrase goes on; not those that may end one ("mix it in"). Other languages have few of
them, so their cues count as whole."""


def ends_in_mid_phrase(text: str) -> bool:
    """Whether the last word asks for another one, or a comma or a dash does."""
    words = text.lower().split()
    return bool(words) and (words[-1] in _LEADS_ON or words[-1][-1] in ",;:-–—&")


def stand_alone(texts: Sequence[str]) -> bool:
    """Whether a video's cues are sentences: few end in mid-phrase, and none goes on with the words of the one before.

    Captions that roll repeat a line until it leaves the screen.
    """
    if any(len(a.split()) > 1 and b.startswith(a) and a != b for a, b in pairwise(texts)):
        return False
    return sum(map(ends_in_mid_phrase, texts)) <= _MOST_CUT * len(texts)
