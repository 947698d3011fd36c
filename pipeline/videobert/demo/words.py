"""The words of the kitchen. Every verb is a motion (`motions.py`), every noun a drawing (`sprites.py`)."""

from __future__ import annotations

__all__ = ["CHATTER", "NOUNS", "TEMPLATES", "VERBS"]

VERBS = ("chop", "slice", "stir", "roll", "drop", "knead", "whisk", "grate", "peel", "tip", "shake", "toss")
"""In the order in which a smaller kitchen takes them: the first ones move most differently."""

NOUNS = (
    "tomato", "egg", "carrot", "cheese", "onion", "cucumber", "bread", "mushroom", "lemon", "beet",
    "potato", "pepper", "garlic", "fish", "apple", "corn", "bean", "cabbage", "pumpkin", "steak",
    "banana", "leek", "radish", "dough",
)  # fmt: skip
"""In the order in which a smaller kitchen takes them."""

TEMPLATES = (
    "now let me show you how to {verb} the {noun}",
    "{verb} the {noun} well",
    "next we {verb} the {noun}",
    "here we {verb} the {noun}",
    "then you {verb} the {noun} for a while",
    "it is time to {verb} the {noun}",
)
"""Sentences that name an action; the first is the zero-shot prompt of the paper, section 4.4."""

CHATTER = (
    "this is my favourite part of the day",
    "my grandmother taught me all of this",
    "thank you so much for watching",
    "please leave a comment below",
    "the kitchen smells wonderful already",
    "we still have plenty of time",
)
"""Sentences that name no action."""
