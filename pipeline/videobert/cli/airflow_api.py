"""Airflow's REST API, as much as `trigger` and `backfill` need. Airflow itself is not imported.

VIDEOBERT_AIRFLOW_URL        the API server, for example https://airflow.example.org
VIDEOBERT_AIRFLOW_TOKEN      a token of its API; without one:
VIDEOBERT_AIRFLOW_USER, VIDEOBERT_AIRFLOW_PASSWORD
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import urlsplit

from videobert.errors import InputError, PipelineError

__all__ = ["AirflowApi", "AirflowError"]

_TIMEOUT_SECONDS = 30.0
_LOGIN = "/auth/token"
_DETAIL_BYTES = 1000
_REFUSALS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check VIDEOBERT_AIRFLOW_TOKEN, or user and password",
    HTTPStatus.FORBIDDEN: "this user may not do it; ask for the rights, or use another user",
    HTTPStatus.NOT_FOUND: "check the address and that the DAGs of this repository are in the DAG folder",
    HTTPStatus.CONFLICT: "wait until the other has ended, or cancel it in the UI",
    HTTPStatus.UNPROCESSABLE_ENTITY: "correct the value and ask again",
    HTTPStatus.BAD_REQUEST: "correct the value and ask again",
}


_FAILED = "the server or a proxy before it failed, not the request; look into its log, and ask again when it is up"


class AirflowError(PipelineError):
    """The API server failed, or gave no answer that could be read."""


class AirflowApi:
    """A client that fetches its token at the first request."""

    def __init__(self, url: str, *, token: str = "", user: str = "", password: str = "") -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise InputError(f"the Airflow address is {url!r}; set VIDEOBERT_AIRFLOW_URL to http://HOST:PORT or https")
        self.url = url.rstrip("/")
        self._token, self._user, self._password = token, user, password

    @classmethod
    def from_environment(cls) -> Self:
        """As the variables say that this module names."""
        names = ("URL", "TOKEN", "USER", "PASSWORD")
        url, token, user, password = (os.environ.get(f"VIDEOBERT_AIRFLOW_{name}", "") for name in names)
        if not url:
            raise InputError("VIDEOBERT_AIRFLOW_URL is not set; give it the address of Airflow's API server and UI")
        return cls(url, token=token, user=user, password=password)

    def login(self) -> None:
        """Fetch a token with user and password."""
        if not self._user:
            raise InputError(
                "neither VIDEOBERT_AIRFLOW_TOKEN nor VIDEOBERT_AIRFLOW_USER is set; one of them opens Airflow's API"
            )
        answer = self._request("POST", _LOGIN, {"username": self._user, "password": self._password})
        try:
            self._token = str(answer["access_token"])
        except (TypeError, KeyError) as error:
            raise AirflowError(
                f"{self.url}{_LOGIN} gave no access_token; is VIDEOBERT_AIRFLOW_URL the API server of Airflow 3?"
            ) from error

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request below /api/v2. Raises InputError where the request is refused, AirflowError where it fails."""
        if not self._token:
            self.login()
        return self._request(method, f"/api/v2{path}", body)

    def _request(self, method: str, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error, f"{method} {self.url}{path}", form=path == _LOGIN) from error
        except HTTPException as error:
            raise AirflowError(f"{method} {self.url}{path} broke off ({error!r}); {_FAILED}") from error
        except (urllib.error.URLError, OSError) as error:
            raise InputError(f"no Airflow answers at {self.url} ({error}); check VIDEOBERT_AIRFLOW_URL") from error
        except ValueError as error:
            raise InputError(f"{self.url}{path} answered no JSON; is VIDEOBERT_AIRFLOW_URL the API server?") from error

    def _refusal(self, error: urllib.error.HTTPError, request: str, *, form: bool) -> PipelineError:
        """What to raise: InputError where another request helps. Proxies answer with numbers that no standard knows."""
        detail = ""
        if not form:  # a server that refuses a form may repeat it, the password included
            with suppress(OSError, HTTPException):
                detail = f": {error.read(_DETAIL_BYTES).decode(errors='replace')}"
        message = f"{request} answered {error.code}{detail}"
        cure = _REFUSALS.get(error.code)
        return InputError(f"{message}; {cure}") if cure else AirflowError(f"{message}; {_FAILED}")
