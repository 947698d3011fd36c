"""Promotion over HTTP: the functions of the command line, for whoever holds the second token."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

import videobert
from tests.serve.conftest import ADMIN, TOKEN, serving
from tests.small_root import SmallRoot
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store
from videobert.serve.access import Access
from videobert.serve.options import ServeOptions

BEARER = {"authorization": f"Bearer {ADMIN}"}


def test_the_second_token_promotes_and_rolls_back_and_the_first_does_not(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    store, spec = Store(str(tmp_path / "demo")), small_root.specs["embed"]
    old = Pointer(model_spec="pretrain-old", embed_spec="pretrain-old.abcd", report="")
    move_pointer(store, old, former=read_pointer(store))
    promote = f"/api/v1/embeddings/{spec}/promote"
    with serving(store.root, ServeOptions(fresh_seconds=0.01)) as client:
        for path in (promote, "/api/v1/roll-back"):
            assert client.post(path).status_code == 403
            cookie = Access(TOKEN).set_cookie(secure=False).partition(";")[0]
            assert client.post(path, headers={"authorization": "", "cookie": cookie}).status_code == 403
        done = client.post(promote, headers=BEARER)
        assert done.status_code == 200 and done.json()["done"].startswith("promoted "), done.text
        assert client.get("/api/v1/search?text=egg", headers=BEARER).json()["model"] == spec
        back = client.post("/api/v1/roll-back", headers=BEARER)
        assert back.status_code == 400 and "pretrain-old.abcd is gone" in back.json()["error"]
    current = read_pointer(store)
    assert current is not None and (current.embed_spec, current.former) == (spec, ("pretrain-old.abcd",))


def test_the_second_token_tries_the_dead_letters_of_a_reason_again(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    recipe, root = tmp_path / "recipe.toml", videobert.open(str(tmp_path / "demo"))
    source = f"{small_root.folder}/corpus/videos/{{batch}}"
    recipe.write_text(f'base = "demo"\n[ingest]\nsource = "{source}"\n[shard]\nshard_bytes = 600_000\n')
    replay, asked = "/api/v1/dead-letters/replay", {"reason": "empty"}
    with serving(root.url, recipe=str(recipe)) as client:
        for method in ("POST", "GET"):
            assert client.request(method, replay, params=asked).status_code == 403
        for reason in ("1=1", "empty' or 1=1 --", ""):
            assert client.post(replay, params={"reason": reason}, headers=BEARER).status_code == 422
        begun = client.post(replay, params=asked, headers=BEARER)
        assert begun.status_code == 202 and begun.json()["state"] in ("running", "done"), begun.text
        busy = client.post(replay, params=asked, headers=BEARER)
        assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
        while (state := client.get(replay, headers=BEARER).json())["state"] == "running":
            time.sleep(0.1)
    assert state["state"] == "done" and "1 videos" in state["lines"][0], state
    assert {letter.reason: letter.attempts for letter in root.dead_letters()} == {"empty": 2, "undecodable": 1}
    with serving(root.url) as client:
        refused = client.post(replay, params=asked, headers=BEARER)
        assert refused.status_code == 400 and "--recipe" in refused.json()["error"]


@pytest.mark.parametrize("spec", ["none", "..", "a%2fb"])
def test_what_is_not_there_is_not_promoted(small_root: SmallRoot, spec: str) -> None:
    with serving(small_root.root) as client:
        assert client.post(f"/api/v1/embeddings/{spec}/promote", headers=BEARER).status_code in (400, 404, 422)
