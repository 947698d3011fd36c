"""A real SMTP server and a real webhook on loopback, and what they were sent."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller

__all__ = ["Inbox", "open_inbox"]


class Inbox:
    """What both servers were sent."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.posts: list[dict[str, Any]] = []
        self.environment: dict[str, str] = {}
        """By which Airflow and the DAGs find the servers."""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextlib.contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Both servers, as long as the block lasts."""
    found = Inbox()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    smtp = Controller(found, hostname="127.0.0.1", port=_free_port())
    smtp.start()
    http = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=http.serve_forever, daemon=True).start()
    extra = {"from_email": "airflow@example.org", "disable_ssl": True, "disable_tls": True}
    mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": smtp.port, "extra": extra}
    chat = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": http.server_port}
    found.environment = {
        "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(mail), "AIRFLOW_CONN_CHAT": json.dumps(chat),
        "VIDEOBERT_ALERT_EMAIL": "a@example.org, b@example.org", "VIDEOBERT_ALERT_WEBHOOK": "chat",
    }  # fmt: skip
    try:
        yield found
    finally:
        smtp.stop()
        http.shutdown()
        http.server_close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
