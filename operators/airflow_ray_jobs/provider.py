"""What Airflow asks of an installed provider."""

from __future__ import annotations

from typing import Any

from airflow_ray_jobs import __version__

__all__ = ["provider_info"]


def provider_info() -> dict[str, Any]:
    """Name, version and operator link, in the form of Airflow's provider schema."""
    return {
        "package-name": "airflow-ray-jobs",
        "name": "Ray jobs",
        "description": "Ray jobs as deferrable tasks.",
        "versions": [__version__],
        "extra-links": ["airflow_ray_jobs.link.RayJobLink"],
    }
