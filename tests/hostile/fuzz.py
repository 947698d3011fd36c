"""Thousands of mutated videos through ingest, shard and features: `python -m tests.hostile.fuzz --cases 2000`.

Prints a table: for every seed file, the mutated copies tried, how they ended, and what must be nought: decoders that
crashed or hung, videos lost, rows that are there twice. A file that asks FFmpeg for gigabytes is refused (`memory`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.corpus.case import ANY, ROWS, Case
from tests.hostile.corpus.damaged import flipped, seeds
from tests.hostile.endings import harvest, hostile_recipe, put
from videobert.video.limits import DecoderLimits

_AT_ONCE = 300
_COLUMNS = ("inputs", "rows", "dead letters", "memory", "crashes", "hangs", "lost", "twice")


def main() -> None:
    """Run and print; exit code 1 when a decoder crashed or hung, or a video was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs whose decoder died")
    arguments = parser.parse_args()
    started, total = time.monotonic(), Counter[tuple[str, str]]()
    for first in range(0, arguments.cases, _AT_ONCE):
        total += _run(range(first, min(first + _AT_ONCE, arguments.cases)), seed=arguments.seed, keep=arguments.keep)
    print(f"{'seed':<14}" + "".join(f"{name:>14}" for name in _COLUMNS))
    for kind in (*sorted(seeds()), "all"):
        print(f"{kind:<14}" + "".join(f"{_cell(total, kind, name):>14,}" for name in _COLUMNS))
    print(f"{arguments.cases:,} inputs in {time.monotonic() - started:.0f} s")
    raise SystemExit(any(_cell(total, "all", name) for name in _COLUMNS[4:]))


def _cell(total: Counter[tuple[str, str]], kind: str, column: str) -> int:
    return sum(count for (k, c), count in total.items() if c == column and kind in (k, "all"))


def _run(numbers: range, *, seed: int, keep: Path | None) -> Counter[tuple[str, str]]:
    """Counts by (seed file, column) of one batch of files."""
    found = Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
        cases = put(Path(folder) / "videos", _cases(numbers, seed))
        limits = DecoderLimits(stall_seconds=20, memory_bytes=2 << 30)
        made = harvest(hostile_recipe(Path(folder) / "videos", limits=limits), Path(folder) / "root", cases)
        for path, case in cases.items():
            endings = made.endings[path]
            found[case.kind, "inputs"] += 1
            found[case.kind, "rows"] += ROWS in endings
            found[case.kind, "dead letters"] += len(endings) - (ROWS in endings)
            found[case.kind, "lost"] += not endings
            found[case.kind, "twice"] += max(0, len(endings) - 1)
            for column, reason in (("crashes", "crash"), ("hangs", "timeout"), ("memory", "memory")):
                died = any(ending.endswith(f"decoder-{reason}") for ending in endings)
                found[case.kind, column] += died
                if died and keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / path).write_bytes(case.data)
                    print(path, made.letters[path]["message"])
        found["all", "twice"] += made.twice
    return found


def _cases(numbers: range, seed: int) -> Iterator[Case]:
    whole = seeds()
    names = sorted(whole)
    for number in numbers:
        name = names[number % len(names)]
        data = flipped(whole[name], seed=seed, key=str(number))
        yield Case(kind=name, name=f"{number:06d}-{name}", data=data, ends=ANY)


if __name__ == "__main__":
    main()
