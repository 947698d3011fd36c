"""The settings that the DAGs read are the settings that docs/airflow.md lists."""

from __future__ import annotations

import ast
import re

from tests.docs.material import REPOSITORY

_NAME = re.compile(r"VIDEOBERT_[A-Z_]*[A-Z]|RAY_ADDRESS_URL")


def test_every_setting_of_the_dags_is_in_the_table_and_no_other() -> None:
    read = {
        name
        for file in (REPOSITORY / "dags").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value
        for name in _NAME.findall(node.value)
    }
    page = (REPOSITORY / "docs" / "airflow.md").read_text()
    rows = [line for line in page[page.index("## Settings") :].splitlines() if line.startswith("| `")]
    listed = {_NAME.findall(row)[0] for row in rows}
    assert len(read) > 10 and listed == read
