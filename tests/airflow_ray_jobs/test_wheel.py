"""The package by itself: built as a wheel, installed with Airflow alone, example parsed, provider listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]

PARSE = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
import airflow_ray_jobs
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(str(Path(airflow_ray_jobs.__file__).parent / "example_dags"))
print(json.dumps({
    "from": airflow_ray_jobs.__file__,
    "errors": bag.import_errors,
    "tasks": {name: sorted(dag.task_ids) for name, dag in bag.dags.items()},
    "installed": [name for name in ("ray", "torch", "videobert", "pyarrow") if find_spec(name)],
}))
"""


def uv(*arguments: str) -> None:
    """One command of uv, with the wheels and versions that this environment was made of."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of an environment that holds the wheel and what it asks for, no more."""
    folder = tmp_path_factory.mktemp("wheel")
    copied = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    shutil.copytree(REPOSITORY / "operators", folder / "operators", ignore=copied)
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", str(folder), f"{folder}/operators")
    (wheel,) = folder.glob("*.whl")
    found = folder / "venv" / "bin" / "python"
    uv("venv", "--python", sys.executable, str(folder / "venv"))
    links = ["--find-links", os.environ["PIP_FIND_LINKS"]] if os.environ.get("PIP_FIND_LINKS") else []
    uv("pip", "install", "--python", str(found), *links, "-c", "constraints.txt", str(wheel))
    return found


def run(python: Path, *arguments: str) -> str:
    """Output of a command in that environment, away from this repository."""
    home = python.parents[2] / "home"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = kept | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [str(python), "-W", "ignore", *arguments], env=env, cwd=python.parents[2], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_its_example_parses_with_airflow_alone(python: Path) -> None:
    found = json.loads(run(python, "-c", PARSE).splitlines()[-1])
    assert found["from"].startswith(str(python.parents[1])) and found["installed"] == []
    assert found["errors"] == {} and found["tasks"] == {"example_ray_job": ["report", "squares"]}


def test_airflow_lists_the_provider_its_connection_type_and_its_link(python: Path) -> None:
    (row,) = [p for p in json.loads(run(python, "-m", "airflow", "providers", "list", "-o", "json"))
              if p["package_name"] == "airflow-ray-jobs"]  # fmt: skip
    assert row["version"] == "0.2.0" and "re-attach" in row["description"]
    hooks = json.loads(run(python, "-m", "airflow", "providers", "hooks", "-o", "json"))
    assert [hook["hook_name"] for hook in hooks if hook["connection_type"] == "ray"] == ["Ray"]
    assert "airflow_ray_jobs.link.RayJobLink" in run(python, "-m", "airflow", "providers", "links")


def test_the_wheel_brings_its_licence_types_and_readme(python: Path) -> None:
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    (info,) = site.glob("airflow_ray_jobs-*.dist-info")
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()
    assert (site / "airflow_ray_jobs" / "py.typed").exists()
    assert "What it guarantees" in (info / "METADATA").read_text()
    own = (
        "".join(path.read_text() for path in (site / "airflow_ray_jobs").rglob("*.py"))
        + (info / "METADATA").read_text()
    )
    assert "video" not in own.lower()
