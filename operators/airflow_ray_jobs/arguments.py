"""What the operator's rendered arguments mean to a job."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_ray_jobs.errors import RayJobBadInput
from airflow_ray_jobs.result import RESULT_URI_VARIABLE, SUBMISSION_ID_VARIABLE, result_uri_of

__all__ = ["as_bool", "driver_command", "job_command", "job_environment", "job_resources"]

_ACCELERATOR_SLIVER = 0.001
"""Ray's own idiom: nodes carry one unit of their model's resource, a task takes a sliver of it."""


def as_bool(value: bool | str) -> bool:
    """The truth of `force`: templates render to strings. Raises RayJobBadInput for one that is neither."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower()
    if text not in ("true", "false", "1", "0", "", "none"):
        raise RayJobBadInput(f"force={value!r} is neither true nor false; render it to one of the two")
    return text in ("true", "1")


def job_command(entrypoint: str | Sequence[str]) -> str:
    """The rendered entrypoint as one shell command."""
    return entrypoint if isinstance(entrypoint, str) else shlex.join(str(word) for word in entrypoint)


def driver_command(command: str, submission_id: str, result_uri: str | None) -> str:
    """The command with the variables by which a job finds its id and where its result goes.

    Not by the runtime environment: in one of its own, each job would wait for fresh processes for its driver and its
    actors, and could not take those that the cluster keeps warm: 14 s in place of 8 for an empty job on a busy machine.
    """
    variables = {SUBMISSION_ID_VARIABLE: submission_id}
    if result_uri:
        variables[RESULT_URI_VARIABLE] = result_uri_of(result_uri, submission_id)
    return f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in variables.items())}; {command}"


def job_environment(runtime_env: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime environment as the server takes it. Raises RayJobBadInput for a local path: nothing uploads it."""
    for field in ("working_dir", "py_modules"):
        for path in [runtime_env.get(field)] if field == "working_dir" else runtime_env.get(field) or []:
            if path and "://" not in str(path):
                raise RayJobBadInput(
                    f"runtime_env {field}={path!r} is a local path, which this operator does not upload; put the "
                    "code into the image, or give a zip by URI, or PYTHONPATH in env_vars on a local cluster"
                )
    env_vars = {name: str(value) for name, value in (runtime_env.get("env_vars") or {}).items()}
    return {**runtime_env, "env_vars": env_vars} if env_vars else dict(runtime_env)


def job_resources(resources: Mapping[str, float], accelerator_type: str | None) -> dict[str, float]:
    """Custom resources of the driver's node, the accelerator's model among them."""
    if not accelerator_type:
        return dict(resources)
    return {**resources, f"accelerator_type:{accelerator_type}": _ACCELERATOR_SLIVER}
