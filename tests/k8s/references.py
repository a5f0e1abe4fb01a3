"""What the objects say of each other: names, ports, selectors, secrets."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tests.k8s.manifests import (
    Object,
    containers,
    environment,
    head_container,
    of_kind,
    pod_templates,
    ray_service,
    selects,
    serve_config,
    worker_groups,
)

ROUTED: Final = {"/project", "/lab"}
# Ray's agent listens here on every pod, without a container port.
AGENT_PORT: Final = 52365
# What the image sets.
IMAGE_VARIABLES: Final = {"SENTIMENT_MODEL"}
CLUSTER_SCOPED: Final = {"Namespace"}


def violations(objects: Iterable[Object]) -> Iterator[str]:
    """Yield each reference that leads nowhere and each pair of statements that disagree."""
    objects = list(objects)
    yield from _namespaces(objects)
    yield from _routes(objects)
    yield from _applications(objects)
    yield from _serve_port(objects)
    yield from _selectors(objects)
    yield from _spread(objects)
    yield from _policy_ports(objects)
    yield from _monitored_ports(objects)
    yield from _secrets(objects)
    yield from _accounts_and_volumes(objects)
    yield from _variables(objects)


def _namespaces(objects: list[Object]) -> Iterator[str]:
    spaces = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")}
    for each in objects:
        if each["kind"] not in CLUSTER_SCOPED and each["metadata"].get("namespace") not in spaces:
            yield f"{each['kind']} {each['metadata']['name']} is in a namespace that is not made"


def _routes(objects: list[Object]) -> Iterator[str]:
    service = ray_service(objects)["metadata"]["name"]
    for route in of_kind(objects, "HTTPRoute"):
        rules = route["spec"]["rules"]
        paths = {match["path"]["value"] for rule in rules for match in rule["matches"]}
        backends = [(each["name"], each["port"]) for rule in rules for each in rule["backendRefs"]]
        yield from _route(service, serve_port(objects), paths, backends)
    for route in of_kind(objects, "VirtualService"):
        matches = [match["uri"] for rule in route["spec"]["http"] for match in rule["match"]]
        if any(each.get("prefix", "/").rstrip("/") == each.get("prefix") for each in matches):
            yield "a prefix of Istio without a slash at its end matches other paths too"
        paths = {next(iter(each.values())).rstrip("/") for each in matches}
        targets = [to["destination"] for rule in route["spec"]["http"] for to in rule["route"]]
        backends = [(each["host"], each["port"]["number"]) for each in targets]
        yield from _route(service, serve_port(objects), paths, backends)


def _route(
    service: str, port: int, paths: set[str], backends: list[tuple[str, int]]
) -> Iterator[str]:
    if paths != ROUTED:
        yield f"the route has {sorted(paths)} instead of {sorted(ROUTED)}"
    for backend in backends:
        if backend != (f"{service}-serve-svc", port):
            yield f"the route leads to {backend}"


def _applications(objects: list[Object]) -> Iterator[str]:
    prefixes = [each["route_prefix"] for each in serve_config(objects)["applications"]]
    if len(set(prefixes)) != len(prefixes):
        yield "two applications have the same route"
    for prefix in prefixes:
        # At the root is the service proper, under /project.
        if prefix not in ROUTED | {"/"}:
            yield f"nothing from outside leads to the application at {prefix}"


def serve_port(objects: Iterable[Object]) -> int:
    """Return the port that KubeRay's Service has: that of the head's port `serve`."""
    ports = head_container(objects)["ports"]
    return next((each["containerPort"] for each in ports if each["name"] == "serve"), 0)


def _serve_port(objects: list[Object]) -> Iterator[str]:
    config = serve_config(objects)
    if config["http_options"]["port"] != serve_port(objects):
        yield "Serve does not listen on the head's port `serve`"
    if config["http_options"]["host"] != "0.0.0.0":
        yield "Serve listens where no probe and no gateway reaches it"
    if config["proxy_location"] != "EveryNode":
        yield "without a proxy on every node, no worker gets ready"
    for group in worker_groups(objects):
        container = group["template"]["spec"]["containers"][0]
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        if ports.get("serve") != serve_port(objects):
            yield "the workers' port `serve` is not the head's"
        probe = container.get("readinessProbe", {})
        get = probe.get("httpGet", {})
        if get.get("path") != "/-/healthz" or ports.get(get.get("port")) != serve_port(objects):
            yield "the workers' readiness is not that of Serve's proxy"
        if probe.get("timeoutSeconds", 1) < 5 or probe.get("failureThreshold", 3) < 3:
            yield "a busy worker would lose its readiness"


def _selectors(objects: list[Object]) -> Iterator[str]:
    pods = [template["metadata"]["labels"] for _, template in pod_templates(objects)]
    for place, selector in _all_selectors(objects):
        if not any(selects(selector, labels) for labels in pods):
            yield f"{place} selects no pod"


def _all_selectors(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for each in of_kind(objects, "NetworkPolicy"):
        place = f"NetworkPolicy {each['metadata']['name']}"
        yield place, each["spec"]["podSelector"]
        for peer in _peers(each):
            if "podSelector" in peer and "namespaceSelector" not in peer:
                yield f"{place}, a peer,", peer["podSelector"]
    for each in of_kind(objects, "PodDisruptionBudget", "PodMonitor", "StatefulSet"):
        yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["selector"]
    for each in of_kind(objects, "Service"):
        yield f"Service {each['metadata']['name']}", {"matchLabels": each["spec"]["selector"]}


def _spread(objects: list[Object]) -> Iterator[str]:
    for place, template in pod_templates(objects):
        for constraint in template["spec"].get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"], template["metadata"]["labels"]):
                yield f"{place} is spread by labels that it does not have"


def _peers(policy: Object) -> list[Object]:
    spec = policy["spec"]
    ingress = [peer for rule in spec.get("ingress", []) for peer in rule.get("from", [])]
    return ingress + [peer for rule in spec.get("egress", []) for peer in rule.get("to", [])]


def _policy_ports(objects: list[Object]) -> Iterator[str]:
    for policy in of_kind(objects, "NetworkPolicy"):
        open_ports = {
            port["containerPort"]
            for _, template in pod_templates(objects)
            if selects(policy["spec"]["podSelector"], template["metadata"]["labels"])
            for container in containers(template)
            for port in container["ports"]
        }
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", []):
                if port["port"] not in open_ports | {AGENT_PORT}:
                    yield f"NetworkPolicy {policy['metadata']['name']} allows {port['port']}"


def _monitored_ports(objects: list[Object]) -> Iterator[str]:
    for monitor in of_kind(objects, "PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            numbers = {
                port["containerPort"]
                for _, template in pod_templates(objects)
                for container in containers(template)
                for port in container["ports"]
                if port["name"] == endpoint["port"]
            }
            if len(numbers) != 1:
                yield f"PodMonitor: {len(numbers)} ports are called {endpoint['port']}"
            if not any(
                port["port"] in numbers
                for policy in of_kind(objects, "NetworkPolicy")
                if policy["metadata"]["name"] == "monitoring"
                for rule in policy["spec"]["ingress"]
                for port in rule["ports"]
            ):
                yield f"PodMonitor: no policy lets Prometheus reach {endpoint['port']}"


def _secrets(objects: list[Object]) -> Iterator[str]:
    made = {
        (each["spec"]["target"]["name"], entry["secretKey"])
        for each in of_kind(objects, "ExternalSecret")
        for entry in each["spec"]["data"]
    }
    stores = {each["metadata"]["name"] for each in of_kind(objects, "SecretStore")}
    for name, key in _secrets_used(objects):
        if (name, key) not in made:
            yield f"no object makes the secret {name} with the key {key}"
    for each in of_kind(objects, "ExternalSecret"):
        if each["spec"]["secretStoreRef"]["name"] not in stores:
            yield f"ExternalSecret {each['metadata']['name']} is in no store"


def _secrets_used(objects: list[Object]) -> Iterator[tuple[str, str]]:
    cluster = ray_service(objects)["spec"]["rayClusterConfig"]
    if "secretName" in cluster["authOptions"]:
        yield cluster["authOptions"]["secretName"], "auth_token"
    password = cluster.get("gcsFaultToleranceOptions", {}).get("redisPassword")
    variables = [password] if password else []
    for _, template in pod_templates(objects):
        for container in containers(template):
            variables += environment(container).values()
    for variable in variables:
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            yield reference["name"], reference["key"]


def _accounts_and_volumes(objects: list[Object]) -> Iterator[str]:
    accounts = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    for store in of_kind(objects, "SecretStore"):
        vault = store["spec"]["provider"]["azurekv"]
        if vault["serviceAccountRef"]["name"] not in accounts:
            yield "the SecretStore's service account is not made"
        # Else External Secrets has to find it in the account's annotations or its own environment.
        if not vault.get("tenantId"):
            yield "the SecretStore names no tenant"
    options = ray_service(objects)["spec"]["rayClusterConfig"].get("autoscalerOptions", {})
    for place, template in pod_templates(objects):
        account = template["spec"].get("serviceAccountName")
        if account and account not in accounts:
            yield f"{place}: the service account {account} is not made"
        volumes = {each["name"] for each in template["spec"].get("volumes", [])}
        mounts = [mount for each in containers(template) for mount in each.get("volumeMounts", [])]
        if place == "head":
            mounts += options.get("volumeMounts", [])
        for mount in mounts:
            if mount["name"] not in volumes:
                yield f"{place}: there is no volume {mount['name']}"


def _variables(objects: list[Object]) -> Iterator[str]:
    text = ray_service(objects)["spec"]["serveConfigV2"]
    wanted = set(re.findall(r"env:(\w+)", text)) - IMAGE_VARIABLES
    for place, template in pod_templates(objects):
        if place == "head" or place.startswith("workers"):
            for name in sorted(wanted - set(environment(template["spec"]["containers"][0]))):
                yield f"{place}: the configuration reads ${name}, which is not set"
