"""Languages of captions: one BCP 47 tag, or none."""

from __future__ import annotations

from functools import lru_cache

import langcodes

__all__ = ["language_tag", "same_language"]

_NO_LANGUAGE = ("und", "mul", "zxx", "mis")
_ADDED = ("orig", "auto")


@lru_cache(10_000)
def language_tag(text: str) -> str:
    """The tag that a name or a file gives, in standard form (`ger` -> `de`, `zh_hans` -> `zh-Hans`); empty for none.

    YouTube adds what is no part of a tag: `en-orig` is English, `zh-Hans-en` Chinese translated from English.
    """
    text = text.strip().replace("_", "-")
    head, _, added = text.rpartition("-")
    for tag in (text, head if added in _ADDED or _is_tag(added) else ""):
        if _is_tag(tag):
            standard = langcodes.standardize_tag(tag)
            return "" if standard.split("-")[0] in _NO_LANGUAGE else standard
    return ""


def same_language(tag: str, wanted: str) -> bool:
    """Whether two tags name one language, whatever its script and region."""
    return bool(tag) and tag.split("-")[0] == wanted.split("-")[0]


def _is_tag(text: str) -> bool:
    return 2 <= len(text) <= 35 and text.isascii() and langcodes.tag_is_valid(text)
