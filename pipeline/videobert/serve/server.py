"""One process with uvicorn: a socket, the printed URL, and an end that lets running answers finish."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn

from videobert.errors import InputError
from videobert.serve.access import Access
from videobert.serve.app import create_app
from videobert.serve.options import ServeOptions

__all__ = ["serve"]

_GRACE_SECONDS = 10
_OURS = "videobert.serve"
"""The logger of what is JSON already: a line per request, and errors."""


def serve(
    root: str,
    access: Access,
    *,
    admin: Access | None,
    host: str,
    port: int,
    options: ServeOptions,
    recipe: str,
    ready: Callable[[str], object],
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` gets the URL once connections are taken; port 0 takes a free one.

    Raises InputError when the address cannot be bound.
    """
    app = create_app(root, access, options, admin=admin, recipe=recipe)
    _log_in_json()
    with _bound(host, port) as listening:
        listening.listen(2048)
        ready(f"http://{_name(host)}:{listening.getsockname()[1]}")
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS, timeout_keep_alive=30,
            h11_max_incomplete_event_size=32 << 10, proxy_headers=False,
        )  # fmt: skip
        try:
            with suppress(KeyboardInterrupt):  # which uvicorn raises again after it has ended as it should
                _Server(config, ending=app.state.watchers.end_streams).run(sockets=[listening])
        finally:
            app.state.close()


class _JsonLines(logging.Formatter):
    """One JSON object per line, whoever writes it; a message that is JSON stays JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: Any = record.getMessage()
        if record.name == _OURS:
            line = json.loads(line)
        told = {"at": self.formatTime(record), "level": record.levelname, "line": line}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _log_in_json() -> None:
    """Also what uvicorn, warnings and the rest of the pipeline say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger(_OURS).setLevel(logging.INFO)


class _Server(uvicorn.Server):
    """A second signal ends what still runs, at once and without a word: each cut answer would be a traceback."""

    def __init__(self, config: uvicorn.Config, *, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending()  # answers that come as a file grows would go on
        if self.should_exit:
            self.force_exit = True
            logging.getLogger("uvicorn.error").disabled = True
        super().handle_exit(sig, frame)


def _bound(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:  # the resolver would take the rest of a division
        raise InputError(f"port {port} is none; give one from 1 to 65535, or 0 for any that is free")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        raise InputError(f"{host}:{port} cannot be listened on ({error}); give another --port, or 0 for any") from error
    return made


def _name(host: str) -> str:
    return f"[{host}]" if ":" in host else host
