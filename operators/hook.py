"""Where a Ray cluster is and how to speak to it: from an Airflow connection, or from an address and the environment."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.log import amask_secret, mask_secret

from operators.errors import RayJobBadInput

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["Endpoint", "RayHook", "local_token"]

_DEFAULT_PORT = 8265


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A resolved server. Never serialised: it carries the token."""

    url: str
    """Base address without a trailing slash."""
    token: str | None = field(default=None, repr=False)
    """Bearer token, or None for a server without authentication."""
    ca_file: str | None = None
    """Certificate authority that signed the server's certificate, where the system does not know it."""
    link_url: str | None = None
    """Dashboard address for people, where it differs from the one for machines."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise RayJobBadInput(
                f"Ray address {self.url!r} is no dashboard address; give http://HOST:{_DEFAULT_PORT} or https://..."
            )

    @classmethod
    def of_connection(cls, connection: Connection) -> Endpoint:
        """Read host (a URL or a name), port, schema, password, and `ca_file`, `link_url` of the extras."""
        host = (connection.host or "").rstrip("/")
        if not host:
            raise RayJobBadInput(
                f"connection {connection.conn_id!r} has no host; set it to the dashboard address, http://HOST:8265"
            )
        if "://" not in host:
            host = f"{connection.schema or 'http'}://{host}:{connection.port or _DEFAULT_PORT}"
        extra = connection.extra_dejson
        return cls(
            url=host,
            token=connection.password or None,
            ca_file=extra.get("ca_file"),
            link_url=extra.get("link_url"),
        )

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


class RayHook(BaseHook):
    """Resolves a Ray endpoint in a worker (`endpoint`) or in a triggerer (`aendpoint`), and masks its token in logs."""

    conn_name_attr = "conn_id"
    default_conn_name = "ray_default"
    conn_type = "ray"
    hook_name = "Ray"

    def __init__(self, *, conn_id: str = default_conn_name, address: str | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.address = address

    def endpoint(self) -> Endpoint:
        """Resolve on a worker, where Airflow is asked synchronously."""
        if self.address:
            found = Endpoint.of_address(self.address)
        else:
            found = Endpoint.of_connection(self.get_connection(self.conn_id))
        if found.token:
            mask_secret(found.token)
        return found

    async def aendpoint(self) -> Endpoint:
        """Resolve on an event loop without blocking it."""
        if self.address:
            found = await asyncio.to_thread(Endpoint.of_address, self.address)
        else:
            found = Endpoint.of_connection(await self.aget_connection(self.conn_id))
        if found.token:
            await amask_secret(found.token)
        return found
