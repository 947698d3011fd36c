"""What is listed of a folder with links, and of a bucket whose keys look like something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videobert.errors import InputError
from videobert.ingest.listing import Listed, list_batch, uri_of
from videobert.runtime.filesystem import open_filesystem


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"a")
    (folder / "sub/b.mp4").write_bytes(b"bb")
    return folder


def _listed(source: Path) -> dict[str, Listed]:
    return {uri.removeprefix(uri_of(str(source))): found for uri, found in list_batch(str(source), "b").items()}


def test_every_file_with_its_size(source: Path) -> None:
    assert {name: found.size_bytes for name, found in _listed(source).items()} == {"a.mp4": 1, "sub/b.mp4": 2}


def test_links_to_files_and_folders_are_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/deep/c.mp4").write_bytes(b"ccc")
    (source / "c.mp4").symlink_to(tmp_path / "elsewhere/deep/c.mp4")
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    found = _listed(source)
    assert found["c.mp4"].size_bytes == found["linked/deep/c.mp4"].size_bytes == 3
    assert not any(listed.left_out for listed in found.values())


def test_a_changed_target_is_noticed(source: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    for target in (one, two):
        target.write_bytes(b"1234")
        os.utime(target, ns=(10**18, 10**18))
    (source / "c.mp4").symlink_to(one)
    before = _listed(source)["c.mp4"]
    assert _listed(source)["c.mp4"] == before
    os.utime(one, ns=(10**18, 10**18 + 1))
    touched = _listed(source)["c.mp4"]
    (source / "c.mp4").unlink()
    (source / "c.mp4").symlink_to(two)  # as large and as old as the first one was
    assert len({before, touched, _listed(source)["c.mp4"]}) == 3


def test_links_that_lead_back_are_named_as_left_out(source: Path) -> None:
    (source / "sub/up").symlink_to("..")
    (source / "again").symlink_to("sub")
    found = _listed(source)
    assert {name for name, listed in found.items() if not listed.left_out} == {"a.mp4", "sub/b.mp4"}
    assert found["sub/up"].left_out == found["again"].left_out == "link to a folder that is listed already"


def test_two_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v.mp4").write_bytes(b"v")
        (tmp_path / name / "other").symlink_to(tmp_path / other)
    found = _listed(tmp_path / "one")
    assert {name: listed.left_out != "" for name, listed in found.items()} == {
        "v.mp4": False, "other/v.mp4": False, "other/other": True
    }  # fmt: skip


def test_a_link_to_nothing_is_a_file_of_no_bytes(source: Path) -> None:
    (source / "gone.mp4").symlink_to(source / "nowhere")
    assert _listed(source)["gone.mp4"] == Listed(0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(source: Path) -> None:
    (source / "sub").chmod(0)
    try:
        assert _listed(source)["sub"].left_out == "folder that may not be listed"
    finally:
        (source / "sub").chmod(0o700)


def test_nothing_below_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing lies below"):
        list_batch(str(tmp_path / "none"), "b")
    with pytest.raises(InputError, match=r"while / holds \w"):
        list_batch("/such-a-folder-is-not-there", "such-a-folder-is-not-there")


def test_a_question_mark_in_a_key_names_no_version() -> None:
    filesystem, path = open_filesystem("s3://bucket/in/q?versionId=x.mp4")
    assert filesystem.split_path(path) == ("bucket", "in/q?versionId=x.mp4", None)
    assert filesystem.split_path("bucket//lead//double?.mp4") == ("bucket", "/lead//double?.mp4", None)
