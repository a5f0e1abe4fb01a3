"""The platform's scripts and the manifests name the same things."""

import os
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.conftest import Render
from tests.k8s.manifests import (
    ROOT,
    cpus,
    head_container,
    head_template,
    named,
    of_kind,
    ray_service,
    render,
    worker_container,
    worker_groups,
)
from tests.k8s.schemas import KUBERNETES

PLATFORM = ROOT / "kuberay" / "platform"
SCRIPTS = sorted(PLATFORM.glob("*.sh"))
POOLS = ("SYSTEM", "HEAD", "WORKER")
# CPUs of Standard_D4ds_v5 and Standard_D8ds_v5 that AKS leaves to pods, less half a CPU for its
# own pods on each node (learn.microsoft.com/azure/aks/node-resource-reservations).
ALLOCATABLE = {"Standard_D4ds_v5": 3.86 - 0.5, "Standard_D8ds_v5": 7.82 - 0.5}


def node_cpus(size: str) -> int:
    """Return the CPUs of a machine by its name: Standard_D8ds_v5 has 8."""
    return int(re.sub(r"\D*(\d+).*", r"\1", size))


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    lines = (PLATFORM / "settings.sh").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


@pytest.fixture(scope="module")
def gateway() -> list[Any]:
    return list(yaml.safe_load_all((PLATFORM / "gateway.yaml").read_text()))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_formed(script: Path, settings: dict[str, str]) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-x", script.name], cwd=PLATFORM, check=True)


def test_every_setting_is_used() -> None:
    text = "".join(script.read_text() for script in SCRIPTS if script.name != "settings.sh")
    names = re.findall(r"^([A-Z_]+)=", (PLATFORM / "settings.sh").read_text(), re.MULTILINE)
    assert [name for name in names if f"${name}" not in text and f"${{{name}" not in text] == []


def test_site_has_the_values_of_the_settings(settings: dict[str, str]) -> None:
    site = yaml.safe_load((ROOT / "kuberay/overlays/prod/site.yaml").read_text())["data"]
    redis = f"{settings['STATE_REDIS']}.{settings['LOCATION']}.redis.azure.net:10000"
    assert site | {"tenant-id": "", "secrets-client-id": ""} == {
        "hostname": settings["HOSTNAME"],
        "key-vault-url": f"https://{settings['VAULT']}.vault.azure.net",
        "tenant-id": "",
        "secrets-client-id": "",
        "gcs-redis-address": f"rediss://{redis}",
        "private-endpoints-cidr": settings["PRIVATE_ENDPOINTS_CIDR"],
        "api-server-cidr": settings["API_SERVER_CIDR"],
    }


def test_every_value_of_the_site_arrives(rendered: Render) -> None:
    objects = rendered("prod")
    assert of_kind(objects, "ConfigMap") == []
    assert "from site.yaml" not in str(objects)


def test_the_site_script_writes_what_the_overlay_reads(tmp_path: Path) -> None:
    kuberay = tmp_path / "kuberay"
    shutil.copytree(ROOT / "kuberay", kuberay)
    azure = tmp_path / "az"
    azure.write_text("#!/bin/sh\necho of-$1\n")
    azure.chmod(0o755)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([kuberay / "platform" / "60-site.sh"], env=os.environ | path, check=True)
    site = kuberay / "overlays" / "prod" / "site.yaml"
    content = yaml.safe_load(site.read_text())
    committed = yaml.safe_load((ROOT / "kuberay/overlays/prod/site.yaml").read_text())
    azures = {"tenant-id": "of-account", "secrets-client-id": "of-identity"}
    assert content["data"] == committed["data"] | azures

    content["data"] = {name: f"site-{name}" for name in content["data"]}
    site.write_text(yaml.safe_dump(content))
    objects = render(site.parent)
    for value in content["data"].values():
        assert value in str(objects)
    vault = named(objects, "SecretStore", "key-vault")["spec"]["provider"]["azurekv"]
    assert vault["tenantId"] == "site-tenant-id"


def test_nodes_suffice_for_two_clusters_at_once(settings: dict[str, str], rendered: Render) -> None:
    (group,) = worker_groups(rendered("prod"))
    assert int(settings["WORKER_NODES_MAX"]) >= 2 * group["maxReplicas"]
    assert int(settings["WORKER_NODES_MIN"]) >= group["minReplicas"]
    assert int(settings["HEAD_NODES_MAX"]) >= 2


def test_the_quota_holds_all_pools_while_their_nodes_are_upgraded(
    settings: dict[str, str],
) -> None:
    # Where `--max-surge` is not given, AKS adds a tenth of a pool: one node, in pools this small.
    script = (PLATFORM / "10-cluster.sh").read_text()
    assert set(re.findall(r"--max-surge (\S+)", script)) == {"1"}
    assert set(re.findall(r"--max-count (\S+)", script)) == {
        f'"${pool}_NODES_MAX"' for pool in POOLS
    }
    needed = sum(
        (int(settings[f"{pool}_NODES_MAX"]) + 1) * node_cpus(settings[f"{pool}_SIZE"])
        for pool in POOLS
    )
    assert f"`Standard Ddsv5` for {needed} CPUs" in (PLATFORM / "README.md").read_text()


def test_the_image_is_built_for_the_nodes(settings: dict[str, str]) -> None:
    # The letter p in the name of a size stands for Arm.
    sizes = [settings[f"{pool}_SIZE"] for pool in POOLS]
    assert all(re.fullmatch(r"Standard_D\d+ds_v5", size) for size in sizes)
    assert "docker buildx build ../.. --platform linux/amd64 " in (
        (PLATFORM / "70-image.sh").read_text()
    )


def test_the_guide_tags_the_image_that_it_builds_as_the_overlay_names_it(rendered: Render) -> None:
    guide = (ROOT / "kuberay" / "README.md").read_text()
    [(built, tagged)] = re.findall(r"^make image\ndocker tag (\S+) (\S+)$", guide, re.MULTILINE)
    recipe = (ROOT / "Makefile").read_text().partition("\nimage:")[2].partition("\n\n")[0]
    assert f" --tag {built} " in recipe
    assert head_container(rendered("dev"))["image"] == tagged


def test_a_pod_fits_its_node(settings: dict[str, str], rendered: Render) -> None:
    objects = rendered("prod")
    container = worker_container(objects)
    assert cpus(container["resources"]["requests"]["cpu"]) <= ALLOCATABLE[settings["WORKER_SIZE"]]
    head = cpus(head_container(objects)["resources"]["requests"]["cpu"])
    options = ray_service(objects)["spec"]["rayClusterConfig"]["autoscalerOptions"]
    sidecar = cpus(options["resources"]["requests"]["cpu"])
    assert head + sidecar <= ALLOCATABLE[settings["HEAD_SIZE"]]


def test_node_pools_have_the_labels_and_taints_that_pods_name(rendered: Render) -> None:
    script = (PLATFORM / "10-cluster.sh").read_text()
    objects = rendered("prod")
    (group,) = worker_groups(objects)
    for template in (head_template(objects), group["template"]):
        for key, value in template["spec"]["nodeSelector"].items():
            assert f"--labels {key}={value} --node-taints {key}={value}:NoSchedule " in script
            (toleration,) = template["spec"]["tolerations"]
            assert (toleration["key"], toleration["value"]) == (key, value)


def test_versions_are_those_that_the_tests_know(settings: dict[str, str], rendered: Render) -> None:
    cluster = ray_service(rendered("prod"))["spec"]["rayClusterConfig"]
    assert cluster["rayVersion"] == version("ray")
    assert settings["KUBERNETES_VERSION"] == KUBERNETES
    assert settings["KUBERAY_VERSION"] == "1.7.0"


def test_route_meets_the_gateway(rendered: Render, gateway: list[Any]) -> None:
    objects = rendered("prod")
    (parent,) = named(objects, "HTTPRoute", "sentiment")["spec"]["parentRefs"]
    entrance = named(gateway, "Gateway", parent["name"])
    assert entrance["metadata"]["namespace"] == parent["namespace"]
    (listener,) = [
        each for each in entrance["spec"]["listeners"] if each["name"] == parent["sectionName"]
    ]
    (term,) = listener["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"]
    assert ray_service(objects)["metadata"]["namespace"] in term["values"]
    (rule,) = named(objects, "NetworkPolicy", "ingress-gateway")["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": parent["namespace"]
    }
    assert peer["podSelector"]["matchLabels"] == {
        "gateway.networking.k8s.io/gateway-name": parent["name"]
    }


@pytest.mark.parametrize(
    ("policy", "release"),
    [("kuberay-operator", "kuberay-operator"), ("monitoring", "kube-prometheus-stack")],
)
def test_policies_name_the_namespaces_of_the_operators(
    policy: str, release: str, rendered: Render
) -> None:
    (rule,) = named(rendered("prod"), "NetworkPolicy", policy)["spec"]["ingress"]
    (space,) = rule["from"][0]["namespaceSelector"]["matchLabels"].values()
    script = (PLATFORM / "40-operators.sh").read_text()
    (command,) = re.findall(rf"helm upgrade --install {release} (?:.*\\\n)*.*", script)
    assert f"--namespace {space} " in command


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_operator_watches_the_namespace(overlay: str, rendered: Render) -> None:
    space = ray_service(rendered(overlay))["metadata"]["namespace"]
    values = yaml.safe_load((PLATFORM / "kuberay-operator.values.yaml").read_text())
    assert space in values["watchNamespace"]
    namespaces = re.findall(r"for namespace in (.*);", (PLATFORM / "40-operators.sh").read_text())
    assert namespaces == [" ".join(values["watchNamespace"])]


def test_key_vault_holds_what_is_read_from_it_by_whom_it_trusts(rendered: Render) -> None:
    script = (PLATFORM / "30-secrets.sh").read_text()
    objects = rendered("prod")
    for secret in of_kind(objects, "ExternalSecret"):
        for entry in secret["spec"]["data"]:
            assert f"\nstore {entry['remoteRef']['key']}\n" in script.replace("  store", "store")
    store = named(objects, "SecretStore", "key-vault")
    account = store["spec"]["provider"]["azurekv"]["serviceAccountRef"]["name"]
    assert f"system:serviceaccount:{store['metadata']['namespace']}:{account} " in script
