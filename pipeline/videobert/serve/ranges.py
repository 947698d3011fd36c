"""Parts of a body: the header `Range` (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["BLOCK_BYTES", "Part", "blocks", "parse_range"]

BLOCK_BYTES = 1 << 20
_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is sent of a body of `size` bytes."""

    status: int
    """200 for all of it, 206 for a part, 416 when nothing of what was asked for is there."""
    begin: int
    count: int
    headers: dict[str, str]

    @staticmethod
    def of(header: str, *, size: int, etag: str) -> Part:
        """The answer to a request with this `Range`, empty where it has none."""
        headers = {"accept-ranges": "bytes", "etag": f'"{etag}"', "cache-control": "private, max-age=300"}
        try:
            wanted = parse_range(header, size)
        except ValueError:
            return Part(status=416, begin=0, count=0, headers={**headers, "content-range": f"bytes */{size}"})
        begin, end = wanted or (0, size - 1)
        if wanted:
            headers["content-range"] = f"bytes {begin}-{end}/{size}"
        headers["content-length"] = str(end - begin + 1)
        return Part(status=206 if wanted else 200, begin=begin, count=end - begin + 1, headers=headers)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte that are asked for, the last included; None for all of it.

    Raises ValueError when no byte of the range is there. Several ranges, and other units, are answered with all of it,
    as the standard allows.
    """
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size - 1
    elif last and int(last) < int(first):
        return None
    else:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
    if begin > end:
        raise ValueError(header)
    return begin, end


def blocks(source: IO[bytes], begin: int, count: int) -> Iterator[bytes]:
    """So many bytes from `begin`, block by block; fewer where the source ends."""
    source.seek(begin)
    while count > 0 and (block := source.read(min(BLOCK_BYTES, count))):
        count -= len(block)
        yield block
