"""An isolated Airflow for the DAG tests."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

if "AIRFLOW_HOME" not in os.environ:
    # Airflow writes its configuration into this folder when it is imported; keep it out of the user's home.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow's own modules warn at import; that is not ours to mend."""
    for item in items:
        if "/dags/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("ignore:::airflow.*"))
