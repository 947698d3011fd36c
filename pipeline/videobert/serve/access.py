"""Who may ask: whoever knows the token, as a bearer, or as the cookie that the printed URL sets."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import cookie_parser

from videobert.errors import InputError

__all__ = ["Access", "environment_without_tokens"]

_LEAST_LENGTH = 16
_VARIABLES = ("VIDEOBERT_TOKEN", "VIDEOBERT_ADMIN_TOKEN")


def environment_without_tokens() -> dict[str, str]:
    """For processes of ours that work for requests and let nobody in."""
    return {name: value for name, value in os.environ.items() if name not in _VARIABLES}


class Access:
    """One token. Every comparison takes the same time whatever is wrong.

    The cookie holds a value that is derived from the token, and its name differs between services, since browsers send
    cookies of one port to all ports of a host.
    """

    def __init__(self, token: str = "") -> None:
        if token and len(token) < _LEAST_LENGTH:
            raise InputError(
                f"the token has {len(token)} characters; give at least {_LEAST_LENGTH}, or none: then one is made"
            )
        self.token = token or secrets.token_urlsafe(32)
        self._cookie = self._derived("cookie")
        self.cookie_name = f"videobert-{self._derived('name')[:12]}"

    def has_bearer(self, headers: Mapping[str, str]) -> bool:
        """Whether the request shows the token itself."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.casefold() == "bearer" and _same(given.strip(), self.token)

    def has_cookie(self, headers: Mapping[str, str]) -> bool:
        """Whether the request comes from a browser that was let in."""
        # The standard library's parser gives up at a cookie of another service that has a brace in it.
        return _same(cookie_parser(headers.get("cookie", "")).get(self.cookie_name, ""), self._cookie)

    def in_query(self, query: str) -> bool:
        """Whether `?token=` holds the token."""
        return _same(parse_qs(query).get("token", [""])[0], self.token)

    def set_cookie(self, *, secure: bool) -> str:
        """Header that lets a browser in until it closes."""
        return f"{self.cookie_name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/" + ("; Secure" if secure else "")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
