"""Residuals next to a sample in the tar: found again, refused when damaged, gone with their video."""

from pathlib import Path

import numpy as np
import pytest

from videobert.errors import InputError
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter, read_members
from videobert.tokens.core import from_json, to_json
from videobert.tokens.drop import drop_video
from videobert.tokens.read import array_bytes, read_shard
from videobert.tokens.records import TokenizedVideo

RESIDUALS = np.linspace(-2, 2, 12).astype(np.float16).reshape(4, 3)
VIDEOS = [
    TokenizedVideo(video_id=name, visual=np.arange(4, dtype=np.int32), segments=(), residuals=residuals)
    for name, residuals in (("a", RESIDUALS), ("b", None), ("c", RESIDUALS + 1))
]


def shard(path: Path, *, damaged: bool = False) -> Path:
    with path.open("wb") as sink:
        tar = TarWriter(sink)
        for video in VIDEOS:
            if video.residuals is not None:
                data = array_bytes(video.residuals)
                tar.add(f"{video.video_id}.residuals.npy", data[: len(data) // 2] if damaged else data)
            tar.add(f"{video.video_id}.json", canonical_json(to_json(video)))
        tar.close()
    return path


def test_residuals_come_back_with_their_own_video(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar")
    found = [from_json(sample) for sample in read_shard(Store(str(tmp_path)), "0.tar")]
    for video, expected in zip(found, VIDEOS, strict=True):
        assert video.video_id == expected.video_id
        if expected.residuals is None:
            assert video.residuals is None
        else:
            assert video.residuals is not None and np.array_equal(video.residuals, expected.residuals)


def test_a_damaged_array_is_refused_with_its_name(tmp_path: Path) -> None:
    shard(tmp_path / "0.tar", damaged=True)
    with pytest.raises(InputError, match=r"a\.residuals\.npy"):
        list(read_shard(Store(str(tmp_path)), "0.tar"))


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    with (tmp_path / "0.tar").open("wb") as sink:
        tar = TarWriter(sink)
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        tar.add("a.residuals.npy", (tmp_path / "objects.npy").read_bytes())
        tar.close()
    with pytest.raises(InputError, match="no array"):
        list(read_shard(Store(str(tmp_path)), "0.tar"))


def test_a_forgotten_video_takes_its_residuals_along(tmp_path: Path) -> None:
    lost = drop_video(shard(tmp_path / "0.tar"), tmp_path / "1.tar", "a")
    assert lost["videos"] == 1
    with (tmp_path / "1.tar").open("rb") as source:
        assert [name for name, _ in read_members(source)] == ["b.json", "c.residuals.npy", "c.json"]
