"""Recipes of one's own: a TOML file over a named recipe, or a Python function.

base = "own"                       # the recipe that the rest changes; `own` when left out

[ingest]
source = "s3://bucket/videos/{batch}"

[features]
encoder = "hf:facebook/vjepa2-vitl-fpc64-256"
"""

from __future__ import annotations

import dataclasses
import importlib
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar

from videobert.errors import InputError
from videobert.recipes import DEFAULT_RECIPE, Recipe, get_recipe
from videobert.runtime.filesystem import open_filesystem

__all__ = ["call_recipe", "read_recipe"]

_Config = TypeVar("_Config")


def read_recipe(url: str) -> Recipe:
    """The recipe that a TOML file describes. Raises InputError where it is missing or says what no field knows."""
    filesystem, path = open_filesystem(url)
    try:
        told = tomllib.loads(bytes(filesystem.cat_file(path)).decode())
    except FileNotFoundError as error:
        raise InputError(f"recipe {url} is not there; correct the path, or give the name of a recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {url} is no TOML file: {error}; correct that place") from error
    base = told.pop("base", DEFAULT_RECIPE)
    if not isinstance(base, str) or base.endswith(".toml"):
        raise InputError(f"recipe {url} has base = {base!r}; give the name of a recipe, or module:function")
    return _changed(get_recipe(base), told, where=url)


def call_recipe(name: str) -> Recipe:
    """The recipe that a function without arguments returns."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"recipe {name!r} cannot be called: {error}; give module:function of a module that can be imported, "
            "and a function without arguments"
        ) from error
    if not isinstance(found, Recipe):
        raise InputError(f"recipe {name!r} returned {type(found).__name__}; return a videobert.recipes.Recipe")
    return found


def _changed(config: _Config, told: Mapping[str, Any], *, where: str) -> _Config:
    """A config with the values of a table; tables within it change the configs within."""
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    changes = {}
    for name, value in told.items():
        if name not in known:
            raise InputError(f"recipe {where} sets {name!r}, which does not exist; there are {', '.join(known)}")
        changes[name] = _value(known[name], value, where=f"{where}, {name}")
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def _value(before: Any, value: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(before):
        if not isinstance(value, Mapping):
            raise InputError(f"recipe {where} is {value!r}; write it as a table, such as [{where.split()[-1]}]")
        return _changed(before, value, where=where)
    if isinstance(before, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if before is not None and not isinstance(value, type(before)):
        raise InputError(f"recipe {where} is {value!r}; it takes a value like {before!r}")
    return value
