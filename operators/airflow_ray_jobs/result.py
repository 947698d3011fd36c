"""The small JSON object a job leaves behind, since the Jobs API carries no results.

The job finds two environment variables: `RAY_JOB_RESULT_URI` and `RAY_JOB_SUBMISSION_ID`. As its last act it writes one
JSON object to the first, with the second under the key `submission_id`, so that no attempt can pass for another.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import fsspec

from airflow_ray_jobs.errors import RayJobResultError

__all__ = [
    "MAX_RESULT_BYTES",
    "RESULT_URI_VARIABLE",
    "SUBMISSION_ID_VARIABLE",
    "Validate",
    "accept_result",
    "load_validate",
    "read_result",
    "result_uri_of",
]

RESULT_URI_VARIABLE = "RAY_JOB_RESULT_URI"
SUBMISSION_ID_VARIABLE = "RAY_JOB_SUBMISSION_ID"
MAX_RESULT_BYTES = 64 * 1024
"""XCom is for addresses and counts; more than this is data and belongs into a file that the result names."""

Validate = Callable[[dict[str, Any]], object]
"""Looks at a result; returns False or raises ValueError or OSError when it does not stand (any more)."""


def result_uri_of(template: str, submission_id: str) -> str:
    """Fill `{submission_id}` where the address names it: one file an attempt, safe when two runs do the same."""
    return template.replace("{submission_id}", submission_id)


def load_validate(validate: Validate | str | None) -> Validate | None:
    """Import a dotted path such as `package.module.function`; a callable or None passes through."""
    if not isinstance(validate, str):
        return validate
    module, _, name = validate.rpartition(".")
    found = getattr(import_module(module), name)
    if not callable(found):
        raise TypeError(f"validate={validate!r} is {type(found).__name__}, not callable; name a function")
    return found  # type: ignore[no-any-return]


def read_result(uri: str, submission_id: str, validate: Validate | None = None) -> dict[str, Any]:
    """Read and check the result of one attempt.

    Raises `RayJobResultError` when it is missing, too large, no JSON object, another attempt's, or not valid;
    `OSError` when the storage does not answer.
    """
    try:
        with fsspec.open(uri, "rb") as file:
            data = file.read(MAX_RESULT_BYTES + 1)
    except FileNotFoundError as error:
        raise RayJobResultError(
            f"job {submission_id} left no result at {uri}; one that succeeds must write one JSON object to "
            f"${RESULT_URI_VARIABLE} before it ends"
        ) from error
    if len(data) > MAX_RESULT_BYTES:
        raise RayJobResultError(f"result {uri} is larger than {MAX_RESULT_BYTES} bytes; write an address, not data")
    try:
        result = json.loads(data)
    except ValueError as error:
        raise RayJobResultError(f"result {uri} is not JSON ({error})") from error
    if not isinstance(result, dict):
        raise RayJobResultError(f"result {uri} is a JSON {type(result).__name__}; write one object")
    if (named := result.get("submission_id")) != submission_id:
        raise RayJobResultError(
            f"result {uri} names submission {named!r}, not {submission_id!r}; the job must copy "
            f"${SUBMISSION_ID_VARIABLE} into the key submission_id"
        )
    accept_result(uri, result, validate)
    return result


def accept_result(uri: str, result: dict[str, Any], validate: Validate | None) -> None:
    """Ask `validate`, if any. Raises `RayJobResultError`."""
    try:
        accepted = True if validate is None else validate(result)
    except (ValueError, OSError) as error:
        raise RayJobResultError(f"result {uri} does not validate: {error}") from error
    if accepted is False:
        raise RayJobResultError(f"result {uri} does not validate")
