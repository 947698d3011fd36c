"""`videobert.open(url)`: the same records as from the root itself."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

import videobert
from tests.serve.conftest import TOKEN
from tests.small_root import BATCHES, SmallRoot
from videobert.api import Root
from videobert.errors import InputError, PipelineError


@pytest.fixture
def remote(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Root:
    monkeypatch.setenv("VIDEOBERT_TOKEN", TOKEN)
    return videobert.open(str(client.base_url))


def test_answers_are_those_of_the_root(remote: Root, small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    hits = root.search("stir the egg", top=3, batches=BATCHES[0], from_seconds=1, to_seconds=60, per_video=1)
    assert hits == remote.search("stir the egg", top=3, batches=BATCHES[0], from_seconds=1, to_seconds=60, per_video=1)
    row = hits[0].row_id
    assert remote.search(row=row, top=2) == root.search(row=row, top=2)
    vector = root.encode("egg")
    np.testing.assert_array_equal(remote.encode("egg"), vector)
    assert remote.search(vector=vector, top=2) == root.search(vector=vector, top=2)
    assert remote.lineage(row) == root.lineage(row)
    assert remote.status() == root.status() and remote.models() == root.models()
    assert remote.dead_letters() == root.dead_letters() and remote.current == root.current
    assert remote.dead_letters(batches=BATCHES[1]) == root.dead_letters(batches=BATCHES[1])


def test_refusals_are_the_services_sentences(remote: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no embeddings of 'none'"):
        remote.search("egg", model="none")
    for refused in (
        lambda: remote.sql("select 1"),
        remote.embeddings,
        lambda: remote.search("a", row="b"),
        lambda: remote.search("egg", top=0),
    ):
        with pytest.raises(InputError):
            refused()
    with pytest.raises(AttributeError, match="open the root itself"):
        _ = remote.recommend
    monkeypatch.setenv("VIDEOBERT_TOKEN", "wrong")
    with pytest.raises(InputError, match="set VIDEOBERT_TOKEN"):
        remote.status()


def test_a_service_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="is it up"):
        videobert.open("http://127.0.0.1:9").status()
