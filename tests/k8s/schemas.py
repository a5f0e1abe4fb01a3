"""Objects against the schemas by which an API server would judge them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import yaml

from tests.k8s.manifests import Object

KUBERNETES: Final = "1.34"
CORE_GROUPS: Final = {
    "",
    "apps",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
}
# Kinds whose CRDs are not at hand, with every field that the manifests may use.
FIELDS: Final = {
    "SecretStore": {
        "provider.azurekv.authType",
        "provider.azurekv.tenantId",
        "provider.azurekv.vaultUrl",
        "provider.azurekv.serviceAccountRef.name",
    },
    "ExternalSecret": {
        "refreshInterval",
        "refreshPolicy",
        "secretStoreRef.kind",
        "secretStoreRef.name",
        "target.name",
        "target.creationPolicy",
        "data[].secretKey",
        "data[].remoteRef.key",
    },
    "VirtualService": {
        "hosts[]",
        "gateways[]",
        "http[].match[].uri.exact",
        "http[].match[].uri.prefix",
        "http[].timeout",
        "http[].retries.attempts",
        "http[].retries.perTryTimeout",
        "http[].retries.retryOn",
        "http[].route[].destination.host",
        "http[].route[].destination.port.number",
    },
}


def violations(each: Object, crds: Path) -> Iterator[str]:
    """Yield what an API server would refuse.

    Raises:
        FileNotFoundError: There is no schema for this kind.
    """
    label = f"{each['kind']} {each['metadata']['name']}"
    if each["kind"] in FIELDS:
        for field in sorted(fields(each["spec"]) - FIELDS[each["kind"]]):
            yield f"{label}: {field} is not a field that this kind is known to have"
        return
    if each["apiVersion"].rpartition("/")[0] in CORE_GROUPS:
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{label}: {error.message}"
        return
    schema = custom_schema(crds, each["apiVersion"], each["kind"])
    validator = jsonschema.Draft202012Validator(schema)
    for problem in validator.iter_errors(each):
        yield f"{label}: {problem.json_path}: {problem.message}"


def fields(value: object, path: str = "") -> set[str]:
    """Return the paths of all leaves of a value."""
    if isinstance(value, dict):
        return {leaf for key, each in value.items() for leaf in fields(each, f"{path}.{key}")}
    if isinstance(value, list):
        return {leaf for each in value for leaf in fields(each, f"{path}[]")}
    return {path.removeprefix(".")}


@cache
def custom_schema(crds: Path, api_version: str, kind: str) -> Object:
    """Return the strict JSON schema of a custom resource: unknown fields are refused."""
    group, _, version = api_version.partition("/")
    path = crds / f"{group}_{kind.lower()}s.yaml"
    definition = yaml.load(path.read_text(), yaml.CSafeLoader)
    versions = {each["name"]: each for each in definition["spec"]["versions"]}
    schema: Object = strict(versions[version]["schema"]["openAPIV3Schema"])
    # What CRDs leave to the API server itself.
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def strict(node: Any) -> Any:
    """Turn a structural OpenAPI schema into a JSON schema that refuses unknown fields."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    result = {
        key: {name: strict(each) for name, each in value.items()}
        if key == "properties"
        else strict(value)
        for key, value in node.items()
        if not key.startswith("x-kubernetes-") and key != "format"
    }
    if node.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    closed = not node.get("x-kubernetes-preserve-unknown-fields")
    if node.get("type") == "object" and "properties" in node and closed:
        result.setdefault("additionalProperties", False)
    if node.get("nullable") and "type" in result:
        result["type"] = [result["type"], "null"]
    return result
