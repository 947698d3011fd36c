from pathlib import Path

import av
import pytest

from videobert.demo.broken import broken_files, write_broken


@pytest.mark.parametrize("name", sorted(broken_files()))
def test_each_broken_file_really_fails_to_open(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(broken_files()[name])
    with pytest.raises(av.error.InvalidDataError):
        av.open(path)


def test_the_truncated_file_looks_like_an_mp4_without_its_index() -> None:
    data = broken_files()["broken-truncated.mp4"]
    assert data[4:8] == b"ftyp" and b"mdat" in data and b"moov" not in data


def test_they_are_spread_over_the_batches_once(tmp_path: Path) -> None:
    assert write_broken(str(tmp_path), ("a", "b")) == (3, 3)
    assert write_broken(str(tmp_path), ("a", "b")) == (3, 0)
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.mp4"))
    assert found == ["videos/a/broken-empty.mp4", "videos/a/broken-truncated.mp4", "videos/b/broken-text.mp4"]
