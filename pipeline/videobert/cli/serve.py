"""`videobert serve`: search and watch in a browser, and ask by HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from videobert.errors import InputError
from videobert.serve.options import ServeOptions

__all__ = ["ServeCommand"]


@dataclass(frozen=True, kw_only=True)
class ServeCommand:
    """Serve a page to search and watch, and the same over REST.

    videobert serve --root demo

    videobert serve --root s3://bucket/videos --host 0.0.0.0 --port 8080

    Prints a URL with a token, which lets a browser in; programs send it as a bearer. Follows the promoted model. Needs
    the extra `serve`, and for questions in words `worker`.
    """

    root: str
    """Root of the pipeline."""
    host: str = "127.0.0.1"
    """Address to listen on; other machines reach this one only if you give another. There is no TLS: put a proxy before
    it then."""
    port: int = 0
    """Port; 0 takes a free one."""
    token: str = ""
    """Token of at least 16 characters; empty takes VIDEOBERT_TOKEN, or makes one. Others on this machine can read a
    command line: prefer the variable."""
    admin_token: str = ""
    """Another token, which may also promote, roll back and replay, as a bearer; empty takes VIDEOBERT_ADMIN_TOKEN, and
    without that nobody may."""
    recipe: str = ""
    """The recipe that made the root, for replays of dead letters: a name, a TOML file, or module:function."""
    options: ServeOptions = field(default_factory=ServeOptions)
    """Limits."""

    def execute(self) -> None:
        try:
            from videobert.serve.access import Access
            from videobert.serve.server import serve
        except ImportError as error:
            raise InputError(
                f"serving needs {error.name}, which is not installed; pip install 'videobert-pipeline[serve]'"
            ) from error
        given = self.token or os.environ.get("VIDEOBERT_TOKEN", "")
        access = Access(given)
        secret = self.admin_token or os.environ.get("VIDEOBERT_ADMIN_TOKEN", "")
        admin = Access(secret) if secret else None
        if admin and admin.token == access.token:
            raise InputError("both tokens are the same; give --admin-token another, since browsers hold the first")

        def ready(url: str) -> None:
            # A token of the caller's own is not repeated.
            print(url if given else f"{url}/?token={access.token}", flush=True)

        serve(
            self.root, access, admin=admin, host=self.host, port=self.port, options=self.options, recipe=self.recipe,
            ready=ready,
        )  # fmt: skip
