"""A resolved server, and the HTTP both backends speak to it."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from airflow_ray_jobs.errors import RayJobBadInput, RayUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["Endpoint", "HttpClient", "local_token", "parse_object"]

_DEFAULT_PORT = 8265
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A resolved server. Never serialised: it carries tokens."""

    url: str
    """Base address without a trailing slash."""
    token: str | None = field(default=None, repr=False)
    """Bearer token, or None for a server without authentication."""
    ca_file: str | None = None
    """Certificate authority that signed the server's certificate, where the system does not know it."""
    link_url: str | None = None
    """Dashboard address for people, where it differs from the one for machines."""
    ray_token: str | None = field(default=None, repr=False)
    """Token of the Ray clusters behind a Kubernetes API server; None where they ask for none."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise RayJobBadInput(
                f"Ray address {self.url!r} is no dashboard address; give http://HOST:{_DEFAULT_PORT} or https://..."
            )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        return tuple(secret for secret in (self.token, self.ray_token) if secret)

    @classmethod
    def of_connection(cls, connection: Connection) -> Endpoint:
        """Read host (a URL or a name), port, schema, password, and of the extras `ca_file`, `link_url`, `ray_token`.

        The extra `in_cluster` takes address, token and authority from the pod's Kubernetes service account instead.
        """
        extra = connection.extra_dejson
        shared = {"link_url": extra.get("link_url"), "ray_token": extra.get("ray_token")}
        if extra.get("in_cluster"):
            token = (_SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip()
            ca_file = str(_SERVICE_ACCOUNT / "ca.crt")
            return cls(url="https://kubernetes.default.svc", token=token, ca_file=ca_file, **shared)
        host = (connection.host or "").rstrip("/")
        if not host:
            raise RayJobBadInput(
                f"connection {connection.conn_id!r} has no host; set it to the dashboard address, http://HOST:8265"
            )
        if "://" not in host:
            host = f"{connection.schema or 'http'}://{host}:{connection.port or _DEFAULT_PORT}"
        return cls(url=host, token=connection.password or None, ca_file=extra.get("ca_file"), **shared)

    @classmethod
    def of_address(cls, address: str) -> Endpoint:
        """Take the address as it is, and the token from where Ray's own clients take it."""
        return cls(url=address.rstrip("/"), token=local_token())


def local_token() -> str | None:
    """Token that Ray's own clients would send: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH, then ~/.ray/auth_token."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return None
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return Path(path).read_text(encoding="utf-8").strip() or None
    default = Path.home() / ".ray" / "auth_token"
    return (default.read_text(encoding="utf-8").strip() or None) if default.is_file() else None


class HttpClient:
    """A session that sends the token with every request. Use as `async with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        token, ca_file = self._endpoint.token, self._endpoint.ca_file
        trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca_file) if ca_file else True
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_TIMEOUT,
            connector=aiohttp.TCPConnector(ssl=trust),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """One request; returns HTTP status and body. Raises `RayUnavailable` without an answer or without access."""
        if self._session is None:
            raise RuntimeError(f"{type(self).__name__} is used outside `async with`")
        url = f"{self._endpoint.url}{path}"
        try:
            async with self._session.request(method, url, json=body, headers=headers) as response:
                status, text = response.status, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RayUnavailable(f"{method} {url} got no answer ({type(error).__name__}: {error})") from error
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise RayUnavailable(
                f"{method} {url} answered {status}: {text[:300]}; check the token of the connection (password), "
                "or RAY_AUTH_TOKEN where an address is given",
                unauthorized=True,
            )
        return status, text


def parse_object(status: int, text: str, what: str) -> dict[str, Any]:
    """The JSON object of a good answer; anything else is `RayUnavailable`."""
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise RayUnavailable(f"{what} answered HTTP {status}: {text[-500:]}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RayUnavailable(f"{what} answered no JSON but {text[:200]!r}; is the address right?") from error
    if not isinstance(found, dict):
        raise RayUnavailable(f"{what} answered a JSON {type(found).__name__}, no object; is the address right?")
    return found
