"""A service over the small root, as browsers and programs reach it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from tests.small_root import SmallRoot
from videobert.serve.access import Access
from videobert.serve.app import create_app
from videobert.serve.options import ServeOptions

ADMIN = "fedcba9876543210-of-the-tests"
TOKEN = "0123456789abcdef-of-the-tests"


@contextmanager
def serving(root: str, options: ServeOptions | None = None, *, recipe: str = "") -> Iterator[httpx.Client]:
    """A client with the token, of a server on loopback that ends with the block."""
    app = create_app(root, Access(TOKEN), options, admin=Access(ADMIN), recipe=recipe)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(small_root: SmallRoot) -> Iterator[httpx.Client]:
    with serving(small_root.root) as client:
        yield client


@pytest.fixture(scope="module")
def stranger(client: httpx.Client) -> Iterator[httpx.Client]:
    """Somebody without the token."""
    with httpx.Client(base_url=client.base_url) as stranger:
        yield stranger
