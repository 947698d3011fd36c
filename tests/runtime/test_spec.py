"""Specs change with what decides the bytes, and with nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.codebook.config import CodebookConfig
from videobert.embed.config import EmbedConfig
from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig
from videobert.ingest.config import IngestConfig
from videobert.pretrain.config import PretrainConfig
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.spec import canonical_json, corpus_spec, digest, output_config, stage_spec
from videobert.runtime.storage import Store
from videobert.shard.config import ShardConfig
from videobert.stages import Stage, get_stage
from videobert.tokens.config import TokensConfig

CONFIGS: dict[str, Any] = {
    "ingest": IngestConfig(), "shard": ShardConfig(), "codebook": CodebookConfig(), "tokens": TokensConfig(),
    "pretrain": PretrainConfig(), "embed": EmbedConfig(), "evaluate": EvaluateConfig(),
}  # fmt: skip

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


def _other(config: Any, name: str) -> Any:
    """Another legal value of one field, found by trying."""
    value, hint = getattr(config, name), get_type_hints(type(config))[name]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        candidates: list[Any] = [_other(value, f.name) for f in dataclasses.fields(value)]
    elif isinstance(value, bool):
        candidates = [not value]
    elif isinstance(value, int | float):
        candidates = [value + 1, value / 2, value * 2 + 0.001, 0.5]
    elif isinstance(value, tuple):
        candidates = [(*value, ".other"), value[:-1], tuple(reversed(value))]
    elif isinstance(value, str):
        candidates = [*get_args(hint), f"{value}x", "[MASK] and [MASK]", "cuda", "cpu", "bf16"]
    else:
        candidates = [*(a() for a in get_args(hint) if a is not type(None)), 1]
    for candidate in candidates:
        try:
            changed = dataclasses.replace(config, **{name: candidate})
        except (InputError, ValueError, TypeError):
            continue  # no legal value; the next one is tried
        if getattr(changed, name) != value:
            return changed
    raise AssertionError(f"no other value of {type(config).__name__}.{name} found")


@pytest.mark.parametrize(
    ("stage", "field"),
    [pytest.param(s, f.name, id=f"{s}.{f.name}") for s, c in CONFIGS.items() for f in dataclasses.fields(c)],
)
def test_a_spec_follows_exactly_the_fields_that_decide_the_output(stage: str, field: str) -> None:
    config = CONFIGS[stage]
    changed = _other(config, field)
    same = stage_spec(get_stage(stage), config, upstream=()) == stage_spec(get_stage(stage), changed, upstream=())
    assert same == (field in getattr(type(config), "NOT_IN_SPEC", ()))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_fields_left_out_of_a_spec_exist(config: Any) -> None:
    names = {field.name for field in dataclasses.fields(config)}
    assert set(getattr(type(config), "NOT_IN_SPEC", ())) <= names


def test_a_spec_follows_stage_version_upstream_and_weights() -> None:
    stage = get_stage("tokens")
    base = stage_spec(stage, {"a": 1}, upstream=["x", "y"], extra={"weights": "1"})
    assert base.startswith("tokens-") and len(base) == len("tokens-") + 8
    assert base == stage_spec(stage, {"a": 1}, upstream=["y", "x"], extra={"weights": "1"})
    others = [
        stage_spec(_changed(stage, version=stage.version + 1), {"a": 1}, upstream=["x", "y"], extra={"weights": "1"}),
        stage_spec(_changed(stage, name="other"), {"a": 1}, upstream=["x", "y"], extra={"weights": "1"}),
        stage_spec(stage, {"a": 1}, upstream=["x"], extra={"weights": "1"}),
        stage_spec(stage, {"a": 1}, upstream=["x", "y"], extra={"weights": "2"}),
        stage_spec(stage, {"a": 2}, upstream=["x", "y"], extra={"weights": "1"}),
    ]
    assert len({base, *others}) == 6


def _changed(stage: Stage, **attributes: Any) -> Stage:
    changed = copy.copy(stage)
    vars(changed).update(attributes)
    return changed


def test_a_spec_does_not_depend_on_the_process() -> None:
    code = (
        "from videobert.runtime.spec import stage_spec; from videobert.stages import get_stage;"
        "from videobert.tokens.config import TokensConfig;"
        "print(stage_spec(get_stage('tokens'), TokensConfig(), upstream=['b', 'a']))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert there.stdout.strip() == stage_spec(get_stage("tokens"), TokensConfig(), upstream=["a", "b"])


def _inputs(**manifests: tuple[Manifest, ...]) -> Inputs:
    return Inputs(store=Store("memory://spec"), upstream=manifests)


def _manifest(stage: Stage, batch: str, rows: int) -> Manifest:
    return Manifest(
        stage=stage.name, spec=f"{stage.name}-1", batch=batch, config={}, sources=(), outputs=(), facts={"rows": rows}
    )


def test_a_corpus_spec_follows_the_very_manifests_it_reads() -> None:
    stage, features = get_stage("codebook"), get_stage("features")
    first, second = _manifest(features, "a", 1), _manifest(features, "b", 2)
    one = corpus_spec(stage, {}, _inputs(features=(first,)).sources)
    assert one == corpus_spec(
        stage, {}, _inputs(features=(dataclasses.replace(first, versions={"numpy": "9"}),)).sources
    )
    assert one != corpus_spec(stage, {}, _inputs(features=(dataclasses.replace(first, facts={"rows": 7}),)).sources)
    assert one != corpus_spec(stage, {}, _inputs(features=(first, second)).sources)


def test_a_dict_stands_for_itself() -> None:
    assert output_config({"a": 1}) == {"a": 1}
    assert "source" not in output_config(IngestConfig()) and "extensions" in output_config(IngestConfig())


@given(value=JSON)
def test_canonical_json_is_a_function_of_the_value(value: Any) -> None:
    data = canonical_json(value)
    assert json.loads(data) == value
    assert canonical_json(json.loads(data)) == data
    assert len(digest(value)) == 64


@given(items=st.dictionaries(st.text(max_size=5), st.integers(), min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(items: dict[str, int]) -> None:
    assert digest(items) == digest(dict(reversed(items.items())))


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": math.nan})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Inner:
    ADDED_LATER: ClassVar[Mapping[str, object]] = {"deep": 0}

    kept: int = 1
    deep: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Outer:
    ADDED_LATER: ClassVar[Mapping[str, object]] = {"stride": None}

    inner: _Inner = dataclasses.field(default_factory=_Inner)
    stride: float | None = None


def test_a_later_field_enters_the_spec_only_when_it_changes_something() -> None:
    assert output_config(_Outer()) == {"inner": {"kept": 1}}
    assert output_config(_Outer(stride=0.5)) == {"inner": {"kept": 1}, "stride": 0.5}
    assert output_config(_Outer(inner=_Inner(deep=2))) == {"inner": {"kept": 1, "deep": 2}}
