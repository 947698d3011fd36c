"""What Airflow asks of an installed provider."""

from __future__ import annotations

from typing import Any

from airflow_ray_jobs import __version__

__all__ = ["provider_info"]

_INTEGRATION = "Ray"


def provider_info() -> dict[str, Any]:
    """Name, version, connection type and operator link, in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "airflow-ray-jobs",
        "name": "Ray jobs",
        "description": "Ray jobs as deferrable Airflow tasks: re-attach, cancel, logs, results.",
        "versions": [__version__],
        "integrations": [{"integration-name": _INTEGRATION, "external-doc-url": "https://docs.ray.io/"}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["airflow_ray_jobs.ray_job", "airflow_ray_jobs.clusters"],
            }
        ],
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_ray_jobs.hook"]}],
        "triggers": [{"integration-name": _INTEGRATION, "python-modules": ["airflow_ray_jobs.trigger"]}],
        "connection-types": [_CONNECTION],
        "extra-links": ["airflow_ray_jobs.link.RayJobLink"],
    }


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


_CONNECTION = {
    "connection-type": "ray",
    "hook-class-name": "airflow_ray_jobs.hook.RayHook",
    "hook-name": "Ray",
    "conn-fields": {
        "link_url": _text("Dashboard for people", "Where the link of a task leads, if people need another address"),
        "ca_file": _text("Certificate authority", "File with the authority that signed the server's certificate"),
        "in_cluster": {
            "label": "Kubernetes service account",
            "description": "KubeRay only: take address, token and authority from the pod",
            "schema": {"type": ["boolean", "null"], "default": False},
        },
        # `format: password` makes Airflow's form hide it, and its name makes Airflow's logs mask it.
        "ray_token": _text("Token of the Ray clusters", "KubeRay only: for the log of a job whose cluster asks for one")
        | {"schema": {"type": ["string", "null"], "format": "password"}},
    },
    "ui-field-behaviour": {
        "hidden-fields": ["login", "extra"],
        "relabeling": {"host": "Dashboard address", "password": "Token"},
        "placeholders": {"host": "http://HEAD:8265", "schema": "http or https, where the host names none"},
    },
}
