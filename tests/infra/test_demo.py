"""`make demo` calls commands that there are, with flags that they have; that it runs through takes minutes."""

from __future__ import annotations

import ast
import inspect

import pytest

from infra.local import demo
from videobert.cli.main import parse_command

_CALLS = [
    node
    for node in ast.walk(ast.parse(inspect.getsource(demo)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_cli"
]


@pytest.mark.parametrize("call", _CALLS, ids=lambda call: f"line {call.lineno}")
def test_a_command_of_the_demo_is_one(call: ast.Call) -> None:
    parse_command([str(word.value) if isinstance(word, ast.Constant) else "1" for word in call.args])


def test_all_of_them_were_found() -> None:
    assert len(_CALLS) > 3
