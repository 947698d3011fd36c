"""Around every request: limits, the token, headers that browsers obey, one line of log and the metrics."""

from __future__ import annotations

import json
import logging
import time
import uuid
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from videobert.serve.access import Access
from videobert.serve.metrics import Metrics
from videobert.serve.options import ServeOptions
from videobert.serve.rate import RateLimit

__all__ = ["CONTENT_POLICY", "Gate"]

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_OPEN = ("/healthz", "/readyz")
_TAKES_FILES = ("/uploads", "/api/v1/videos")
_MOST_TOLD_BYTES = 4 << 20
"""Of a request that brings no file: it is held in memory. A vector of 100,000 numbers takes half of it."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""What others call theirs would be a new line of the metrics each time."""
_HEADERS = {
    "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
}  # fmt: skip
_LOG = logging.getLogger("videobert.serve")


class Gate:
    """ASGI middleware, the outermost."""

    def __init__(
        self, app: ASGIApp, *, access: Access, admin: Access | None, options: ServeOptions, metrics: Metrics
    ) -> None:
        self._app, self._access, self._admin, self._metrics = app, access, admin, metrics
        self._most, self._most_bytes = options.most_requests, options.most_upload_bytes
        self._rate = RateLimit(rate=options.rate, burst=options.burst)
        self._running, self._receiving, self._most_receiving = 0, 0, options.most_waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, told = time.monotonic(), _Told(send)
        brings_file = scope["method"] == "POST" and scope["path"].endswith(_TAKES_FILES)
        self._running += 1
        self._receiving += brings_file
        self._metrics.in_flight.inc()
        try:
            # Forms send what is left empty; here an empty value is as good as none.
            given = scope["query_string"].split(b"&")
            scope["query_string"] = b"&".join(pair for pair in given if pair.partition(b"=")[2])
            refusal = self._refusal(scope)
            if brings_file and self._receiving > self._most_receiving:  # each may fill the disk while it is read
                refusal = refusal or _error(
                    503, "many videos arrive just now; send it again later", {"retry-after": "9"}
                )
            most = self._most_bytes if brings_file else _MOST_TOLD_BYTES
            await (refusal or self._app)(scope, _bounded(receive, most), told)
        finally:
            self._running -= 1
            self._receiving -= brings_file
            self._metrics.in_flight.dec()
            self._record(scope, told, time.monotonic() - began)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further."""
        path, client = scope["path"], (scope.get("client") or ("", 0))[0]
        if path in _OPEN:
            return None
        if self._running > self._most:
            return _error(503, "the service is busy; ask again in a second", {"retry-after": "1"})
        if not self._rate.admits(client, time.monotonic()):
            return _error(429, "too many requests from this address; ask again in a second", {"retry-after": "1"})
        headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
        if scope["method"] == "GET" and self._access.in_query(query):
            return self._let_in(scope, query)
        if self._access.has_bearer(headers) or self._access.has_cookie(headers):
            return None
        if self._admin and self._admin.has_bearer(headers):
            return None
        return _error(
            401, "this needs the token that `videobert serve` printed: open its URL, or send it as a bearer",
            {"www-authenticate": "Bearer"},
        )  # fmt: skip

    def _let_in(self, scope: Scope, query: str) -> Response:
        """To the same page without the token, which so stays in no history."""
        rest = urlencode([(name, value) for name, value in parse_qsl(query) if name != "token"])
        path = "/" + f"{scope.get('root_path', '')}{scope['path']}".lstrip("/\\")  # never `//host`, another origin
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), status_code=303)
        answer.headers["set-cookie"] = self._access.set_cookie(secure=scope["scheme"] == "https")
        return answer

    def _record(self, scope: Scope, told: _Told, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.observe(method, route, told.status, seconds)
        line = {
            "request": told.id, "method": method, "route": route, "status": told.status,
            "milliseconds": round(1000 * seconds, 1), "bytes": told.bytes,
        }  # fmt: skip
        # The route and not the path, no query and no header: what people ask for and the token are in no log.
        _LOG.info(json.dumps(line))


class _Told:
    """Sends on what the application says, with our headers, and remembers what it was."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.id, self.status, self.bytes = uuid.uuid4().hex[:12], 500, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**_HEADERS, "content-security-policy": CONTENT_POLICY}.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            headers["x-request-id"] = self.id
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)


def _bounded(receive: Receive, most: int) -> Receive:
    """The body of a request up to so many bytes, whatever its header says; 413 beyond them."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, f"more than {most:,} bytes are too much")
        return message

    return bounded


def _error(status: int, message: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": message}, status_code=status, headers=headers)
