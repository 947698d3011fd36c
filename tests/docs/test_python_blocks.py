"""Every Python block of the documentation compiles and imports what exists; `tests/e2e` runs those that can run."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.docs.material import Block, blocks

PYTHON = blocks("python", "py")


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_it_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_its_imports_exist(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


def test_readme_and_query_have_python_to_run() -> None:
    assert {"README.md", "docs/query.md"} <= {block.page for block in PYTHON if not block.not_run}
