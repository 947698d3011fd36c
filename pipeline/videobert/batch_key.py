"""What a batch may be called: the one definition, for command line, DAGs and stages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from videobert.errors import InputError

__all__ = ["BATCH_KEY", "batch_key_of", "check_batch_key", "parse_batch_keys"]

BATCH_KEY = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""A key is a folder below the root, a partition of Airflow and a word of a command: letters that none of them reads."""

_BATCH_KEY = re.compile(BATCH_KEY)


def check_batch_key(key: str) -> str:
    """The key itself. Raises InputError where it is none."""
    if not _BATCH_KEY.fullmatch(key):
        shown = key if len(key) <= 120 else f"{key[:100]}... ({len(key)} characters)"
        raise InputError(
            f"batch {shown!r} is no key; use 1 to 100 of the letters A to Z and a to z, digits, '.', '_' and '-', "
            "beginning with a letter or a digit, such as 2026-01-01"
        )
    return key


def batch_key_of(source: str) -> str:
    """A key for a folder or prefix: its last part, with `-` for what a key may not hold."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.rstrip("/").rsplit("/", 1)[-1]).strip("-._")
    return check_batch_key(name[:100] or "videos")


def parse_batch_keys(given: str | Iterable[str]) -> tuple[str, ...]:
    """Keys separated by commas, or in a list: spaces around them ignored, each once.

    Raises InputError at the first that is none.
    """
    keys = (key.strip() for key in (given if isinstance(given, str) else ",".join(given)).split(","))
    return tuple(dict.fromkeys(check_batch_key(key) for key in keys if key))
