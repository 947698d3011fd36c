"""Tars: the same samples give the same bytes, plain webdataset reads them, hostile members are refused."""

from __future__ import annotations

import io
import os
import tarfile
import time
import warnings
from pathlib import Path
from typing import IO, cast

import pytest
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from videobert.errors import InputError
from videobert.runtime.tar import TarWriter, read_json, read_members

SAMPLES = [("ab12.json", b'{"title":"x"}'), ("ab12.mp4", b"\x00\x01" * 700), ("cd34.json", b"{}"), ("cd34.mp4", b"")]


def _tar(samples: list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    tar = TarWriter(sink)
    for name, data in samples:
        tar.add(name, data)
    tar.close()
    return sink.getvalue()


def _read(data: bytes) -> list[tuple[str, bytes]]:
    return [(name, reader.read()) for name, reader in read_members(io.BytesIO(data))]


def test_bytes_tell_nothing_of_clock_user_or_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _tar(SAMPLES)
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    sink = io.BytesIO()
    tar = TarWriter(sink)
    for name, data in SAMPLES:
        path = tmp_path / f"other-{name}"
        path.write_bytes(data)
        path.chmod(0o600)
        os.utime(path, (1, 1))
        tar.add_file(name, path)
    tar.close()
    assert sink.getvalue() == first
    with tarfile.open(fileobj=io.BytesIO(first)) as plain:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in plain} == {(0, 0, 0, "", "", 0o644)}


@given(samples=st.lists(st.tuples(st.from_regex(r"[a-zé0-9]{1,120}\.json", fullmatch=True), st.binary(max_size=1500))))
def test_what_goes_in_comes_out(samples: list[tuple[str, bytes]]) -> None:
    data = _tar(samples)
    assert _read(data) == samples
    assert _tar(samples) == data


def test_plain_webdataset_reads_it(tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(_tar(SAMPLES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # webdataset opens its files without closing them
        found = list(webdataset.WebDataset(f"file:{tmp_path}/00000.tar", shardshuffle=False))
    assert [sample["__key__"] for sample in found] == ["ab12", "cd34"]
    assert found[0]["json"] == SAMPLES[0][1] and found[0]["mp4"] == SAMPLES[1][1] and found[1]["mp4"] == b""


def test_one_stream_is_enough() -> None:
    class OneWay(io.RawIOBase):
        """Reads forward only, as an object store streams."""

        def __init__(self, data: bytes) -> None:
            self._inner = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self._inner.read(size)

    names = [name for name, _ in read_members(cast(IO[bytes], OneWay(_tar(SAMPLES))))]
    assert names == [name for name, _ in SAMPLES]


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "..", "/"])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    sink = io.BytesIO()
    with tarfile.TarFile(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(InputError, match="plain relative file"):
        _read(sink.getvalue())


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_what_is_no_plain_file_is_refused(kind: bytes) -> None:
    sink = io.BytesIO()
    with tarfile.TarFile(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo("a.json")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(InputError, match="plain relative file"):
        _read(sink.getvalue())


@pytest.mark.parametrize(
    "headers",
    [{"path": "/etc/passwd"}, {"GNU.sparse.major": "0", "GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,0"}],
)
def test_what_an_extended_header_makes_of_a_plain_file_is_refused(headers: dict[str, str]) -> None:
    sink = io.BytesIO()
    with tarfile.TarFile(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.json")
        info.pax_headers = headers
        tar.addfile(info)
    with pytest.raises(InputError, match="plain relative file"):
        list(read_members(io.BytesIO(sink.getvalue())))


@pytest.mark.parametrize("data", [b"no tar", _tar(SAMPLES)[:700]])
def test_what_is_no_whole_tar_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="readable tar"):
        list(read_members(io.BytesIO(data)))


def test_a_member_that_is_no_json_is_named() -> None:
    assert read_json("a.json", io.BytesIO(b'{"a": 1}')) == {"a": 1}
    for data in (b"\x80\x04", b"{", b"\xff\xfe"):
        with pytest.raises(InputError, match=r"a\.json.* is not JSON"):
            read_json("a.json", io.BytesIO(data))
