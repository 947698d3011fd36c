"""The files of infra/ as data, and the programs that check them."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = [
    "INFRA",
    "ROOT",
    "SECRET",
    "compose",
    "env_example",
    "manifests",
    "pinned",
    "program",
    "read_yaml",
    "rendered",
]

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
SECRET = "sentinel0secret"

# Loaded by name: neither brings annotations.
_yaml: Any = importlib.import_module("yaml")


def program(name: str) -> str:
    """A program that a Python package of the extra `dev` installed next to the interpreter."""
    return str(Path(sys.executable).with_name(name))


def read_yaml(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return list(_yaml.safe_load_all(path.read_text()))


def manifests() -> list[dict[str, Any]]:
    """Every object that `kubectl apply -k infra/kubernetes` makes, as it stands in the files."""
    folder = INFRA / "kubernetes"
    [kustomization] = read_yaml(folder / "kustomization.yaml")
    return [document for name in kustomization["resources"] for document in read_yaml(folder / name)]


def env_example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = (INFRA / "compose" / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def rendered(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker compose config` with these variables and no others."""
    command = [program("docker-compose"), "--env-file", os.devnull, "-f", str(INFRA / "compose" / "compose.yaml")]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run([*command, "config", "--format", "json"], env=env, capture_output=True, text=True)


@functools.cache
def compose() -> dict[str, Any]:
    """The compose file as Docker reads it, every secret of .env.example replaced by its name and `SECRET`."""
    done = rendered({name: value or f"{SECRET}{name}" for name, value in env_example().items()})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pinned(distribution: str, file: str = "constraints.txt") -> str:
    """The version that a constraints file gives a distribution."""
    found = re.search(rf"^{re.escape(distribution)}==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert found, f"{distribution} is not pinned in {file}"
    return found[1]
