import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.demo.films import Film
from videobert.demo.grammar import KitchenConfig
from videobert.demo.render import INDEX, TRUTH, read_truth, write_kitchen
from videobert.errors import InputError
from videobert.runtime.storage import file_sha256

CONFIG = KitchenConfig(
    seed=6, verbs=4, nouns=4, actions=8, steps_min=2, steps_max=3, step_seconds_min=1.5, step_seconds_max=2.0
)


def snapshot(root: Path) -> dict[str, tuple[str, int]]:
    """sha256 and time of change of every file."""
    return {str(p.relative_to(root)): (file_sha256(p), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def films(root: Path) -> list[Path]:
    return sorted(p for p in (root / "videos").rglob("*") if p.suffix in {".mp4", ".webm"})


def write(root: Path, **changes: object) -> int:
    options: dict[str, object] = {"batches": ("a", "b"), "videos_per_batch": 3, "processes": 1, **changes}
    config = options.pop("config", CONFIG)
    return write_kitchen(config, out_url=str(root), **options).written  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kitchen")
    assert write(root, processes=2) == 6
    return root


def test_truth_matches_the_decoded_videos(corpus: Path) -> None:
    rows = read_truth(str(corpus))
    files = {row.file for row in rows}
    assert files == {str(path.relative_to(corpus / "videos")) for path in films(corpus)}
    for file in files:
        path = corpus / "videos" / file
        steps = [row for row in rows if row.file == file]
        assert [row.step for row in steps] == list(range(len(steps)))
        assert {row.video_id for row in steps} == {file_sha256(path)}
        assert {row.batch for row in steps} == {path.parent.name}
        film = Film.of(path)
        assert film.seconds == pytest.approx(steps[-1].end_seconds, abs=0.07)
        assert steps[-1].end_seconds - 0.12 < film.times[-1] < steps[-1].end_seconds
        captions = path.with_suffix(".vtt").read_text()
        assert all(f"\n{row.caption}\n" in captions for row in steps)


def test_the_truth_lies_outside_the_videos(corpus: Path) -> None:
    assert {p.suffix for p in (corpus / "videos").rglob("*") if p.is_file()} <= {".mp4", ".webm", ".vtt"}
    assert {p.name for p in (corpus / "truth").iterdir()} == {"truth.jsonl", "_index.json", "labels"}


def test_a_second_call_writes_nothing_and_says_so(corpus: Path) -> None:
    before = snapshot(corpus)
    lines: list[str] = []
    assert write(corpus, progress=lines.append) == 0
    assert snapshot(corpus) == before
    assert lines == ["kitchen: 6 of 6 videos are there already, 0 to render"]


def test_the_same_seed_writes_the_same_bytes_with_any_number_of_processes(corpus: Path, tmp_path: Path) -> None:
    write(tmp_path)
    assert {k: v[0] for k, v in snapshot(tmp_path).items()} == {k: v[0] for k, v in snapshot(corpus).items()}


def test_only_what_is_missing_damaged_or_new_is_rendered(tmp_path: Path) -> None:
    write(tmp_path)
    whole = {k: v[0] for k, v in snapshot(tmp_path).items()}
    videos = films(tmp_path)
    videos[0].unlink()
    videos[1].write_bytes(videos[1].read_bytes()[:-1])
    videos[2].with_suffix(".vtt").unlink()
    assert write(tmp_path) == 3
    assert {k: v[0] for k, v in snapshot(tmp_path).items()} == whole
    assert write(tmp_path, videos_per_batch=4) == 2
    assert write(tmp_path, batches=("late",)) == 3
    assert {row.batch for row in read_truth(str(tmp_path))} == {"a", "b", "late"}
    assert write(tmp_path, batches=("late",), config=replace(CONFIG, seed=7)) == 3


def test_the_index_knows_size_and_digest(corpus: Path) -> None:
    index = json.loads((corpus / INDEX).read_bytes())
    for file, entry in index.items():
        path = corpus / "videos" / file
        assert (entry["sha256"], entry["size"]) == (file_sha256(path), path.stat().st_size)


def test_it_writes_to_any_filesystem() -> None:
    url = "memory://kitchen-test"
    summary = write_kitchen(CONFIG, out_url=url, batches=("a",), videos_per_batch=1, processes=1)
    assert summary.written == 1 and summary.truth.endswith(TRUTH)


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="videos_per_batch=0"):
        write(tmp_path, videos_per_batch=0)
    with pytest.raises(InputError, match=r"truth\.jsonl"):
        read_truth(str(tmp_path))
