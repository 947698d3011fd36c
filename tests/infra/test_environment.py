"""What is set is read, and what is read is explained: environment variables, Airflow options, flags."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.infra.material import INFRA, ROOT, compose, env_example, read_yaml

[VALUES] = read_yaml(INFRA / "kubernetes" / "airflow-values.yaml")
VALUES_ENV = {entry["name"]: entry["value"] for entry in VALUES["env"]}


def read_by_the_dags() -> set[str]:
    """Every variable that dags/ asks the environment for."""
    found = set()
    for path in (ROOT / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                found.add(name_of(node.args[0]))
    return found


def name_of(argument: ast.expr) -> str:
    """The variable's name; where a part of it is computed, as in VIDEOBERT_OPTIONS_<STAGE>, a mark for that part."""
    if not isinstance(argument, ast.JoinedStr):
        return str(ast.literal_eval(argument))
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "<STAGE>" for part in argument.values)


def set_for_the_dags(environment: dict[str, Any]) -> set[str]:
    return {name for name in environment if name.startswith("VIDEOBERT_") or name == "RAY_ADDRESS_URL"}


@pytest.mark.parametrize("service", ["scheduler", "dag-processor", "triggerer", "api-server"])
def test_compose_sets_only_what_the_dags_read(service: str) -> None:
    names = set_for_the_dags(compose()["services"][service]["environment"])
    assert {"VIDEOBERT_ROOT", "VIDEOBERT_RECIPE", "VIDEOBERT_OPTIONS"} <= names <= read_by_the_dags()


def test_the_chart_sets_only_what_the_dags_read() -> None:
    names = set_for_the_dags(VALUES_ENV)
    assert {"RAY_ADDRESS_URL", "VIDEOBERT_ROOT", "VIDEOBERT_RECIPE", "VIDEOBERT_OPTIONS"} <= names <= read_by_the_dags()


def test_the_page_explains_every_variable_that_the_dags_read() -> None:
    page = (ROOT / "docs" / "airflow.md").read_text()
    explained = set(re.findall(r"^\| `([A-Z_<>]+)` \|", page, re.MULTILINE))
    assert read_by_the_dags() <= explained


def test_every_variable_of_the_example_is_used() -> None:
    used = set(re.findall(r"\$\{(\w+)", (INFRA / "compose" / "compose.yaml").read_text()))
    assert used == set(env_example())


@pytest.mark.slow
def test_airflow_knows_every_option(tmp_path: Path) -> None:
    names = [name for name in compose()["services"]["scheduler"]["environment"] if name.startswith("AIRFLOW__")]
    wanted = [tuple(name.lower().split("__")[1:]) for name in names]
    wanted += [(section, option) for section, options in VALUES["config"].items() for option in options]
    assert len(wanted) > 12
    code = (
        "import json; from airflow.configuration import retrieve_configuration_description as known\n"
        "print(json.dumps({name: list(section['options']) for name, section in known().items()}))"
    )
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout
    known = json.loads(told.splitlines()[-1])
    assert [place for place in wanted if place[1] not in known.get(place[0], [])] == []


def test_the_command_of_the_page_fills_every_secret(tmp_path: Path) -> None:
    folder = tmp_path / "infra" / "compose"
    folder.mkdir(parents=True)
    (folder / ".env").write_text((INFRA / "compose" / ".env.example").read_text())
    [script] = re.findall(
        r"^python - <<'EOF'\n(.*?)^EOF$", (ROOT / "docs" / "ray-kubernetes.md").read_text(), re.MULTILINE | re.DOTALL
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    filled = dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if "=" in line[:40])
    secrets = {name: filled[name] for name, value in env_example().items() if not value and name != "VIDEOBERT_OPTIONS"}
    Fernet(secrets.pop("AIRFLOW_FERNET_KEY"))
    assert len(secrets) == 7 and len(set(secrets.values())) == 7
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in secrets.values())


@pytest.mark.parametrize("source", ["example", "chart"])
def test_the_options_are_flags_of_every_stage(source: str, tmp_path: Path) -> None:
    if source == "chart":
        options, recipe = VALUES_ENV["VIDEOBERT_OPTIONS"], VALUES_ENV["VIDEOBERT_RECIPE"]
    else:
        [options] = re.findall(r"for example: (--.*)", (INFRA / "compose" / ".env.example").read_text())
        recipe = env_example()["VIDEOBERT_RECIPE"]
    command = [sys.executable, "-m", "videobert", "stage", "shard", "--executor.kind", "ray", "--dry-run"]
    command += ["--root", str(tmp_path), "--batch", "2026-01-01", "--recipe", recipe, *options.split()]
    command += ["--features.encoder", "packaged"]  # the paper's needs weights that are not here
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
