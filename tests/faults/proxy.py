"""An HTTP proxy before an S3 server that lets a share of the requests fail, as buckets do on bad days."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence

import aiohttp
import yarl
from aiohttp import web

__all__ = ["FaultyProxy"]

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
_FAULTS = {
    "GET": ("500", "503", "reset", "slow", "truncated"),
    "HEAD": ("500", "503", "reset", "slow"),
    "LIST": ("500", "503", "reset", "slow", "stale list"),
    "PUT": ("500", "503", "reset", "slow", "lost answer"),
    "POST": ("500", "503", "reset", "slow"),
    "DELETE": ("500", "503", "reset", "slow", "lost answer"),
}
"""`lost answer`: the request is done and its answer never comes. `stale list`: it shows nothing of the last seconds."""
_STALE_SECONDS = 3.0
_SLOW_SECONDS = 0.5
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class FaultyProxy:
    """Listens on loopback in a thread of its own, from `start` to `stop`."""

    def __init__(self, upstream: str, *, port: int, rate: float, seed: int, only: Sequence[str] = ()) -> None:
        self.injected: Counter[str] = Counter()
        """Faults by kind."""
        self.kinds: Counter[str] = Counter()
        """Requests by kind."""
        self._upstream, self._port, self._rate, self._seed, self._only = upstream, port, rate, seed, only
        self._seen: Counter[str] = Counter()
        self._written: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    @property
    def requests(self) -> int:
        return self.kinds.total()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        # The server's bytes go through as they are; nothing is unpacked on the way.
        async with aiohttp.ClientSession(auto_decompress=False) as self._client:
            self._started.set()
            await self._ended.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        kind = "LIST" if request.method == "GET" and "list-type" in request.query else request.method
        self.kinds[kind] += 1
        fault = self._draw(kind, request.raw_path)
        if fault in ("500", "503"):
            code = {"500": "InternalError", "503": "SlowDown"}[fault]
            return web.Response(status=int(fault), text=_ERROR.format(code=code), content_type="application/xml")
        if fault == "reset":
            return _cut(request)
        if fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        body = await request.read()
        async with self._client.request(
            request.method, yarl.URL(self._upstream + request.raw_path, encoded=True), data=body or None,
            headers=request.headers, allow_redirects=False, skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
        ) as answer:  # fmt: skip
            data = await answer.read()
            if kind == "PUT":
                self._written[request.path.split("/", 2)[-1]] = time.monotonic()
            if fault == "lost answer":
                return _cut(request)
            if fault == "stale list":
                data = self._without_recent(data)
            return await _answer(request, answer, data, cut=fault == "truncated")

    def _draw(self, kind: str, path: str) -> str:
        """The fault of a request follows from the seed, what is asked, and how often it was asked before."""
        key = f"{kind} {path}"
        self._seen[key] += 1
        draw = random.Random(f"{self._seed} {key} {self._seen[key]}")
        faults = [fault for fault in _FAULTS.get(kind, ()) if not self._only or fault in self._only]
        if not faults or draw.random() >= self._rate:
            return ""
        fault = draw.choice(faults)
        self.injected[fault] += 1
        return fault

    def _without_recent(self, listing: bytes) -> bytes:
        now = time.monotonic()
        recent = {key for key, at in self._written.items() if now - at < _STALE_SECONDS}

        def keep(entry: re.Match[str]) -> str:
            key = re.search(r"<Key>(.*?)</Key>", entry[0])
            return "" if key and key[1] in recent else entry[0]

        return re.sub(r"<Contents>.*?</Contents>", keep, listing.decode(), flags=re.DOTALL).encode()


def _cut(request: web.Request) -> web.Response:
    """The connection ends without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _answer(
    request: web.Request, answer: aiohttp.ClientResponse, data: bytes, *, cut: bool
) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
    length = answer.headers.get("Content-Length", "0") if request.method == "HEAD" else str(len(data))
    response = web.StreamResponse(status=answer.status, headers=headers | {"Content-Length": length})
    await response.prepare(request)
    if cut and len(data) > 1:
        await response.write(data[: len(data) // 2])
        return _cut(request)
    if request.method != "HEAD":
        await response.write(data)
    return response
