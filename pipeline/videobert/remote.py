"""A root behind `videobert serve`, asked over HTTP: what `videobert.open("https://host")` gives."""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import ArrayLike, NDArray

from videobert.api import (
    DeadLetter,
    EmbeddingsInfo,
    Hit,
    Lineage,
    LineageStep,
    ModelInfo,
    Pointer,
    Root,
    StageStatus,
)
from videobert.batch_key import parse_batch_keys
from videobert.errors import InputError, PipelineError
from videobert.query.filters import Captions

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

__all__ = ["RemoteRoot"]

_SECONDS = 120
_POLL_SECONDS = 0.3


class RemoteRoot(Root):
    """`Root` without the storage: the service answers, with its model. Its token is in VIDEOBERT_TOKEN.

    Raises InputError for what the service refuses, PipelineError when it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a service has no {name!r}; open the root itself")

    @property
    def url(self) -> str:
        """Of the service."""
        return self._url

    def search(
        self,
        text: str = "",
        *,
        row: str = "",
        vector: ArrayLike | None = None,
        file: str = "",
        top: int = 5,
        batches: str | Iterable[str] = (),
        video: str = "",
        from_seconds: float = 0.0,
        to_seconds: float = math.inf,
        holding: str = "",
        captions: Captions = "any",
        label: str = "",
        per_video: int = 0,
        rerank: int = 0,
        probes: int = 0,
        by: Literal["vector", "words", "both"] = "vector",
        model: str = "current",
        encoder: str = "",
    ) -> list[Hit]:
        """See `Root.search`; `encoder` goes with the root itself. Of a `file`, from and to are its own seconds."""
        if bool(text) + bool(row) + bool(file) + (vector is not None) != 1 or encoder:
            raise InputError("give a text, a row, a vector or a file to search for, only one of them, and no encoder")
        asked = {
            "text": text, "row": row, "top": top, "batch": ",".join(parse_batch_keys(batches)), "video": video,
            "from": from_seconds, "to": "" if math.isinf(to_seconds) else to_seconds, "holding": holding,
            "captions": captions, "label": label, "per_video": per_video, "rerank": rerank, "probes": probes, "by": by,
            "model": model,
        }  # fmt: skip
        if file:
            found = self._ask(f"jobs/{self._embedded(file, model)}/search", asked)
        elif vector is None:
            found = self._ask("search", asked)
        else:
            found = self._ask("search/vector", asked, body=np.asarray(vector, np.float64).tolist())
        return [Hit(**one["hit"]) for one in found["hits"]]

    def encode(self, text: str, *, model: str = "current") -> NDArray[np.float32]:
        """See `Root.encode`."""
        return np.array(self._ask("embed", {"text": text, "model": model})["embedding"], np.float32)

    def lineage(self, row: str, *, model: str = "current") -> Lineage:
        """See `Root.lineage`."""
        found = self._ask(f"rows/{quote(row, safe=':')}/lineage", {"model": model})
        return Lineage(**found | {"steps": tuple(LineageStep(**step) for step in found["steps"])})

    def status(self) -> list[StageStatus]:
        """See `Root.status`."""
        return [StageStatus(**one) for one in self._ask("status")]

    @property
    def current(self) -> Pointer | None:
        """See `Root.current`."""
        found = self._ask("current")
        return found and Pointer(**found | {"former": tuple(found["former"])})

    def models(self) -> list[ModelInfo]:
        """See `Root.models`."""
        return [
            ModelInfo(
                **one
                | {
                    "batches": tuple(one["batches"]),
                    "embeddings": tuple(
                        EmbeddingsInfo(**e | {"batches": tuple(e["batches"])}) for e in one["embeddings"]
                    ),
                }
            )
            for one in self._ask("models")
        ]

    def dead_letters(self, *, batches: str | Iterable[str] = ()) -> list[DeadLetter]:
        """See `Root.dead_letters`."""
        found: list[DeadLetter] = []
        for batch in parse_batch_keys(batches) or ("",):
            own: list[DeadLetter] = []
            while page := self._ask("dead-letters", {"batch": batch, "top": 1000, "offset": len(own)}):
                own += [DeadLetter(**one) for one in page]
            found += own
        return found

    def embeddings(self, model: str = "current", *, batches: str | Iterable[str] = ()) -> ds.Dataset:
        """Not over HTTP: raises InputError."""
        raise InputError(f"{self._url} is a service, which gives no dataset; open the root itself")

    def sql(self, query: str, *, model: str = "current") -> duckdb.DuckDBPyRelation | None:
        """Not over HTTP: raises InputError."""
        raise InputError(f"{self._url} is a service, which takes no SQL; open the root itself")

    def _embedded(self, file: str, model: str) -> str:
        """The id of the job that has embedded a file. Raises InputError where it could not."""
        job = self._ask("videos", {"model": model}, form=_form_of(file))
        while job["state"] in ("waiting", "running"):
            time.sleep(_POLL_SECONDS)
            job = self._ask(f"jobs/{job['id']}")
        if job["state"] != "done":
            raise InputError(f"file {file!r} cannot be used: {job['error'] or job['state']}")
        return str(job["id"])

    def _ask(
        self, path: str, query: dict[str, Any] | None = None, *, body: Any = None, form: tuple[str, bytes] | None = None
    ) -> Any:
        given = urlencode({name: value for name, value in (query or {}).items() if value != ""})
        headers = {"Authorization": f"Bearer {os.environ.get('VIDEOBERT_TOKEN', '')}"}
        kind, data = form or ("application/json", None if body is None else json.dumps(body).encode())
        request = Request(
            f"{self._url}/api/v1/{path}" + (f"?{given}" if given else ""), data=data,
            headers=headers | ({"Content-Type": kind} if data else {}),
        )  # fmt: skip
        try:
            with urlopen(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise _refusal(error) from None
        except (URLError, TimeoutError, ValueError) as error:
            raise PipelineError(f"{self._url} does not answer as a service would: {error}; is it up?") from error


def _form_of(file: str) -> tuple[str, bytes]:
    """(content type, body) of a form with that file. Of its name the service uses the ending alone."""
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"file {file!r} cannot be read ({error.strerror}); give one of this machine") from error
    boundary = secrets.token_hex(16)
    name = f"file{Path(file).suffix}".encode("ascii", "replace").replace(b'"', b"").decode()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="video"; filename="{name}"\r\n\r\n'
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def _refusal(error: HTTPError) -> PipelineError:
    with error:
        try:
            told = json.load(error)["error"]
        except (ValueError, KeyError, TypeError):
            told = f"HTTP {error.code}"
    if error.code == 401:
        told = "the service wants its token; set VIDEOBERT_TOKEN to what `videobert serve` printed after ?token="
    return InputError(told) if 400 <= error.code < 500 else PipelineError(told)
