"""Specs: a short hash of everything that decides a stage's output, and of nothing else.

Parallelism, paths and devices stay out: a config names the fields that do not change its output in `NOT_IN_SPEC`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from videobert.runtime.stage import Stage
from videobert.runtime.storage import sha256

__all__ = [
    "canonical_json",
    "corpus_spec",
    "digest",
    "fields_outside_spec",
    "from_output_config",
    "output_config",
    "stage_spec",
]

C = TypeVar("C")


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spare space: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: object) -> str:
    """sha256 of the canonical JSON of `value`."""
    return sha256(canonical_json(value))


def output_config(config: Any) -> dict[str, Any]:
    """The fields of a config dataclass that change its stage's output, ready for JSON; a dict is taken as it is.

    A field that came after the first release would change every spec. Its class therefore names it in `ADDED_LATER`,
    with the value that means what the stage did before: with that value it is left out.
    """
    if isinstance(config, dict):
        return config
    left_out = set(getattr(type(config), "NOT_IN_SPEC", ()))
    return {name: value for name, value in _as_json(config).items() if name not in left_out}


def from_output_config(kind: type[C], kept: Mapping[str, Any]) -> C:
    """A configuration from what `output_config` keeps of it; the rest is as by default. Flat ones only."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # all of them are dataclasses
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items() if name in names}
    return kind(**given)


def fields_outside_spec(config: type[Any]) -> frozenset[str]:
    """The fields of a config class that no spec depends on, whatever they say."""
    named = frozenset(field.name for field in dataclasses.fields(config))
    if hasattr(config, "OUTPUT_FIELDS"):  # features names those that its spec takes in, rather than those it leaves out
        return named - {*config.OUTPUT_FIELDS, *getattr(config, "ADDED_LATER", {})}
    return named & set(getattr(config, "NOT_IN_SPEC", ())) - set(getattr(config, "SOMETIMES_IN_SPEC", ()))


def _as_json(config: Any) -> dict[str, Any]:
    """As `dataclasses.asdict`, without the later fields that say nothing new, at any depth."""
    later: Mapping[str, object] = getattr(type(config), "ADDED_LATER", {})
    plain = dataclasses.asdict(config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in later and value == later[field.name]:
            del plain[field.name]
        elif dataclasses.is_dataclass(value):
            plain[field.name] = _as_json(value)
    return plain


def stage_spec(stage: Stage, config: Any, *, upstream: Iterable[str], extra: Mapping[str, str] | None = None) -> str:
    """`<stage>-<8 hex digits>` over the stage's version, its output config, upstream specs and `extra` digests."""
    parts = {
        "stage": stage.name,
        "version": stage.version,
        "config": output_config(config),
        "upstream": sorted(upstream),
        "extra": dict(extra or {}),
    }
    return f"{stage.name}-{digest(parts)[:8]}"


class _Source(Protocol):
    """A manifest that is read: `manifest.Source`."""

    @property
    def stage(self) -> str: ...
    @property
    def batch(self) -> str: ...
    @property
    def digest(self) -> str: ...


def corpus_spec(
    stage: Stage, config: Any, sources: Iterable[_Source], *, extra: Mapping[str, str] | None = None
) -> str:
    """The spec of a corpus stage: it depends on the very manifests that it reads."""
    upstream = [f"{source.stage}:{source.batch}:{source.digest}" for source in sources]
    return stage_spec(stage, config, upstream=upstream, extra=extra)
