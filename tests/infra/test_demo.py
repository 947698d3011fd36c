"""`make demo` calls commands that there are, with flags that they have; that it runs through takes minutes."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from infra.local import demo
from infra.local.airflow import Airflow
from infra.local.ray_head import inherited_env
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


@pytest.mark.slow
def test_airflow_writes_the_lines_of_a_job(tmp_path: Path) -> None:
    """They are INFO: at WARNING, the UI of `make demo --keep` shows an empty log."""
    airflow = Airflow(home=tmp_path / "home", dags=tmp_path, env=inherited_env())
    assert airflow.run("config", "get-value", "logging", "logging_level").split()[-1] == "INFO"
