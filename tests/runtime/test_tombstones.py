from pathlib import Path

from videobert.runtime.storage import Store
from videobert.runtime.tombstones import read_tombstone, tombstones, write_tombstone


def test_a_forgotten_video_is_known_with_its_batches(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert tombstones(store) == set() and read_tombstone(store, "v") is None
    write_tombstone(store, "v", ["b", "a"])
    write_tombstone(store, "w", [])
    (tmp_path / "forgotten" / "note.txt").write_text("not ours")
    assert tombstones(store) == {"v", "w"}
    assert read_tombstone(store, "v") == ["a", "b"] and read_tombstone(store, "w") == []


def test_the_same_removal_writes_the_same_bytes(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_tombstone(store, "v", ["b", "a"])
    before = store.read("forgotten/v.json")
    write_tombstone(store, "v", ["a", "b"])
    assert store.read("forgotten/v.json") == before
