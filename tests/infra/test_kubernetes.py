"""The Kubernetes objects: valid by Kubernetes' own schemas, and what they decide holds."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.infra.material import INFRA, manifests, pinned, program, read_yaml

_validate: Any = importlib.import_module("kubernetes_validate")  # brings no annotations
KUBERNETES = "1.34"
FOLDER = INFRA / "kubernetes"
[KUSTOMIZATION] = read_yaml(FOLDER / "kustomization.yaml")
[VALUES] = read_yaml(FOLDER / "airflow-values.yaml")
RAY = {"ray.io/is-ray-node": "yes"}

# Fields of KubeRay's API that this cluster may use: https://docs.ray.io/en/master/cluster/kubernetes/references/api.html
CLUSTER_FIELDS = {
    "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs",
}  # fmt: skip
HEAD_FIELDS = {"serviceType", "rayStartParams", "template"}
GROUP_FIELDS = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def of_kind(kind: str) -> dict[str, Any]:
    [found] = [document for document in manifests() if document["kind"] == kind]
    return found


def groups() -> dict[str, dict[str, Any]]:
    """Head and worker groups of the RayCluster by name."""
    spec = of_kind("RayCluster")["spec"]
    return {"head": spec["headGroupSpec"]} | {group["groupName"]: group for group in spec["workerGroupSpecs"]}


def container(group: str) -> dict[str, Any]:
    [found] = groups()[group]["template"]["spec"]["containers"]
    return dict(found)


def test_yamllint_has_nothing_to_say() -> None:
    done = subprocess.run([program("yamllint"), "--strict", "-c", INFRA / ".yamllint", INFRA], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


def test_the_kustomization_holds_every_file_and_no_secret() -> None:
    others = {"kustomization.yaml", "airflow-values.yaml"}
    assert {path.name for path in FOLDER.glob("*.yaml")} - others == set(KUSTOMIZATION["resources"])
    assert "Secret" not in {document["kind"] for document in manifests()}


@pytest.mark.parametrize("kind", ["Namespace", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"])
def test_an_object_is_valid(kind: str) -> None:
    _validate.validate(of_kind(kind), KUBERNETES, strict=True)


@pytest.mark.parametrize("group", ["head", "cpu", "gpu"])
def test_a_pod_template_is_valid(group: str) -> None:
    template = groups()[group]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": group}, "spec": template["spec"]}
    _validate.validate(pod, KUBERNETES, strict=True)


def test_the_cluster_uses_only_fields_that_kuberay_has() -> None:
    assert set(of_kind("RayCluster")["spec"]) <= CLUSTER_FIELDS
    assert set(groups()["head"]) <= HEAD_FIELDS
    assert set(groups()["cpu"]) | set(groups()["gpu"]) <= GROUP_FIELDS


def test_ray_understands_the_start_parameters() -> None:
    arguments = [[f"--{k}={v}" for k, v in group["rayStartParams"].items()] for group in groups().values()]
    code = (
        "import json, sys; from ray.scripts.scripts import start\n"
        "for arguments in json.loads(sys.argv[1]): start.make_context('start', arguments)"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(arguments)], check=True)


def test_versions_are_those_of_the_constraints() -> None:
    assert of_kind("RayCluster")["spec"]["rayVersion"] == pinned("ray")
    assert VALUES["airflowVersion"] == pinned("apache-airflow")


def test_the_cluster_asks_for_the_token_that_airflow_sends() -> None:
    options = of_kind("RayCluster")["spec"]["authOptions"]
    assert options["mode"] == "token"
    [sent] = [entry for entry in VALUES["secret"] if entry["envName"] == "RAY_AUTH_TOKEN"]
    assert (sent["secretName"], sent["secretKey"]) == (options["secretName"], "auth_token")


def test_airflow_addresses_the_service_of_the_head() -> None:
    [address] = [entry["value"] for entry in VALUES["env"] if entry["name"] == "RAY_ADDRESS_URL"]
    assert address == f"http://{of_kind('RayCluster')['metadata']['name']}-head-svc:8265"


def test_gpus_scale_to_nothing_and_the_head_runs_no_actors() -> None:
    gpu = groups()["gpu"]
    assert (gpu["minReplicas"], gpu["replicas"]) == (0, 0) and gpu["maxReplicas"] > 0
    assert container("gpu")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in container("cpu")["resources"]["limits"]
    assert of_kind("RayCluster")["spec"]["enableInTreeAutoscaling"] is True
    assert groups()["head"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("group", ["head", "cpu", "gpu"])
def test_a_pod_has_resources_probes_and_no_privileges(group: str) -> None:
    found = container(group)
    for part in ("requests", "limits"):
        assert {"cpu", "memory"} <= set(found["resources"][part])
    assert found["resources"]["requests"]["memory"] == found["resources"]["limits"]["memory"]
    assert found["readinessProbe"]["httpGet"] == found["livenessProbe"]["httpGet"]
    assert found["securityContext"]["allowPrivilegeEscalation"] is False
    pod = groups()[group]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    dockerfile = (INFRA / "image" / "Dockerfile").read_text()
    assert f"USER {pod['securityContext']['runAsUser']}\n" in dockerfile


def test_every_image_has_a_version_from_the_kustomization() -> None:
    tags = {image["name"]: image["newTag"] for image in KUSTOMIZATION["images"]}
    assert {container(group)["image"] for group in groups()} == set(tags)
    assert all(tag.startswith(VALUES["images"]["airflow"]["tag"]) for tag in tags.values())


@pytest.mark.parametrize("component", ["scheduler", "apiServer", "dagProcessor", "triggerer"])
def test_every_airflow_component_has_resources(component: str) -> None:
    resources = VALUES[component]["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"]


def test_the_values_hold_no_secret_and_no_default_user() -> None:
    references = ("fernetKeySecretName", "apiSecretKeySecretName", "jwtSecretName")
    assert {VALUES[name] for name in references} == {VALUES["data"]["metadataSecretName"]}
    assert not {"fernetKey", "apiSecretKey", "jwtSecret"} & set(VALUES) and set(VALUES["data"]) == {
        "metadataSecretName"
    }
    assert VALUES["createUserJob"]["defaultUser"] == {"enabled": False}
    assert not VALUES["postgresql"]["enabled"]


def test_task_logs_go_to_object_storage() -> None:
    logging = VALUES["config"]["logging"]
    assert logging["remote_logging"] == "True" and logging["remote_base_log_folder"].startswith("s3://")


def test_the_rights_are_bound_to_the_accounts_that_the_chart_makes() -> None:
    binding = of_kind("RoleBinding")
    names = {VALUES[component]["serviceAccount"]["name"] for component in ("scheduler", "triggerer")}
    assert {subject["name"] for subject in binding["subjects"]} == names
    assert {subject["namespace"] for subject in binding["subjects"]} == {KUSTOMIZATION["namespace"]}
    assert binding["roleRef"]["name"] == of_kind("Role")["metadata"]["name"]


def admits(port: int, pod: dict[str, str], namespace: str = "videobert") -> bool:
    """Whether the NetworkPolicy lets a pod reach this port of a Ray pod: Kubernetes' rules for the parts used here."""
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        if "ports" in rule and port not in [entry["port"] for entry in rule["ports"]]:
            continue
        for peer in rule["from"]:
            assert set(peer) <= {"podSelector", "namespaceSelector"} and "podSelector" in peer
            wanted = (
                peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "videobert")
            )
            if wanted == namespace and peer["podSelector"]["matchLabels"].items() <= pod.items():
                return True
    return False


def test_only_airflow_and_the_operator_reach_the_jobs_api() -> None:
    spec = of_kind("NetworkPolicy")["spec"]
    assert spec["podSelector"] == {"matchLabels": RAY} and spec["policyTypes"] == ["Ingress"]
    airflow = {"tier": "airflow", "release": "airflow"}
    operator = {"app.kubernetes.io/name": "kuberay-operator"}
    assert admits(8265, airflow | {"component": "scheduler"})
    assert admits(8265, airflow | {"component": "triggerer"})
    assert admits(8265, operator, "kuberay-operator")
    assert admits(6379, RAY)
    assert not admits(6379, airflow | {"component": "scheduler"})
    assert not admits(8265, airflow | {"component": "api-server"})
    assert not admits(8265, {"app": "stranger"})
    assert not admits(8265, operator, "elsewhere")
    assert not admits(8265, RAY, "elsewhere")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kubectl_builds_the_kustomization() -> None:
    env = {"PATH": os.environ["PATH"], "KUBECONFIG": os.devnull}  # reads files only; no cluster is asked
    done = subprocess.run(["kubectl", "kustomize", FOLDER], env=env, capture_output=True, text=True, check=True)
    assert sorted(re.findall(r"image: (\S+)", done.stdout)) == sorted(
        f"{image.get('newName', image['name'])}:{image['newTag']}"
        for image in KUSTOMIZATION["images"]
        for group in groups()
        if container(group)["image"] == image["name"]
    )
