"""A server of S3 that removes one object at a time: the same ending, with a request for each."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from infra.local.processes import free_port
from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.faults.proxy import FaultyProxy
from videobert.runtime.storage import Store

_LACKING = '<?xml version="1.0"?><Error><Code>NotImplemented</Code><Message>not here</Message></Error>'


class WithoutDeleteObjects(FaultyProxy):
    """Passes everything on but the removal of many."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and "delete" in request.query:
            self.injected["501"] += 1
            return web.Response(status=501, text=_LACKING, content_type="application/xml")
        return await super()._handle(request)


@pytest.mark.slow
def test_objects_go_one_by_one_where_the_server_cannot_remove_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = S3Server(folder=tmp_path / "s3", env=inherited_env(), log=tmp_path / "s3.log")
    try:
        server.wait("old")
        proxy = WithoutDeleteObjects(server.client_env["AWS_ENDPOINT_URL"], port=free_port(), rate=0.0, seed=0)
        proxy.start()
        try:
            for name, value in (server.client_env | {"AWS_ENDPOINT_URL": proxy.url}).items():
                monkeypatch.setenv(name, value)
            store = Store("s3://old/root")
            for number in range(3):
                store.write(f"a/{number}", b"x")
            store.delete(["a/0", "a/1", "a/gone"])
            assert list(store.list("a")) == ["a/2"]
            assert proxy.injected["501"] >= 1 and proxy.kinds["DELETE"] == 3
        finally:
            proxy.stop()
    finally:
        server.stop()
