"""Ray: an actor, then a node, lost over a shard cost a try; a shard that always takes its actor along is one error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.ray_head import inherited_env


@pytest.mark.ray
@pytest.mark.slow
def test_lost_actors_and_nodes(tmp_path: Path) -> None:
    repository = Path(__file__).resolve().parents[2]
    env = {k: v for k, v in inherited_env().items() if k != "RAY_ADDRESS"} | {"PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.lost_actors", str(tmp_path)], cwd=repository,
        env=env | {"RAY_USAGE_STATS_ENABLED": "0"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert found["local"] == "[40]"
    assert found["actor"] == "[2, 4, 6, 8]"
    assert found["node"] == "[12, 14, 16]"
    assert found["poison"].startswith("error: Ray lost 4 actors over one shard")
    assert "the same command resumes" in found["poison"]
    assert found["group"].startswith("[42, 42], error: Ray lost one of 2 workers")
