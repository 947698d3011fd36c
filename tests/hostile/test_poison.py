"""A video that kills, hangs or bloats its decoder, under every executor: it alone is lost, after two tries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.corpus.case import ROWS
from tests.hostile.corpus.clip import Clip, encode_clip
from tests.hostile.endings import BATCH

POISON = Path(__file__).parent / "poison"
ENDS = {
    "segv": ("ingest decoder-crash", 2), "bloat": ("ingest decoder-memory", 2),
    "late-segv": ("features decoder-crash", 2), "late-hang": ("features decoder-timeout", 2),
}  # fmt: skip
_RUN = """
import json, sys
from pathlib import Path
from videobert.video.limits import DecoderLimits
from videobert.runtime.executor import LocalExecutor
from tests.hostile.endings import harvest, hostile_recipe

def main():
    folder, root, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    executor = LocalExecutor(int(kind)) if kind.isdigit() else ray()
    recipe = hostile_recipe(folder, limits=DecoderLimits(stall_seconds=2, memory_bytes=600 << 20), files_per_part=3)
    found = harvest(recipe, root, sys.argv[4:], executor=executor)
    attempts = {path: letter["attempts"] for path, letter in found.letters.items()}
    print(json.dumps([found.endings, attempts, found.twice]))

def ray():
    from videobert.runtime.ray_executor import RayExecutor
    return RayExecutor(workers=1)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    "executor",
    [
        "1",
        pytest.param("2", marks=pytest.mark.slow),
        pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def test_poison_costs_itself_and_nothing_else(tmp_path: Path, executor: str) -> None:
    folder = tmp_path / "v" / BATCH
    folder.mkdir(parents=True)
    for number, way in enumerate(ENDS):
        data = encode_clip(Clip(key=number, frames=100))
        (folder / f"{way}.mp4").write_bytes(data + f"poison:{way}".encode())
        (folder / f"good-{number}.mp4").write_bytes(data)
    names = sorted(path.name for path in folder.iterdir())
    script = tmp_path / "run.py"
    script.write_text(_RUN)
    path = os.pathsep.join([str(POISON), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "v"), str(tmp_path / "root"), executor, *names],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    endings, attempts, twice = json.loads(done.stdout.splitlines()[-1])
    expected = {f"{way}.mp4": [end] for way, (end, _) in ENDS.items()}
    assert endings == expected | {f"good-{number}.mp4": [ROWS] for number in range(len(ENDS))} and twice == 0
    assert attempts == {f"{way}.mp4": tries for way, (_, tries) in ENDS.items()}
