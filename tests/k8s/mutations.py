"""Ways to break rendered objects, so that each check is seen to fail."""

from collections.abc import Callable
from typing import Any

from tests.k8s.manifests import Object, head_template, named, ray_service, worker_groups

Mutation = Callable[[list[Object]], None]
Find = Callable[[list[Object]], Object]

DELETE = object()


def change(find: Find, path: str, value: object) -> Mutation:
    """Return a mutation that sets, or with DELETE removes, what lies at a path."""

    def apply(objects: list[Object]) -> None:
        *parents, last = path.split(".")
        node: Any = find(objects)
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        place = int(last) if isinstance(node, list) else last
        if value is DELETE:
            del node[place]
        else:
            node[place] = value

    return apply


def the(kind: str, name: str) -> Find:
    return lambda objects: named(objects, kind, name)


def head(objects: list[Object]) -> Object:
    container: Object = head_template(objects)["spec"]["containers"][0]
    return container


def worker(objects: list[Object]) -> Object:
    container: Object = worker_groups(objects)[0]["template"]["spec"]["containers"][0]
    return container


def worker_pod(objects: list[Object]) -> Object:
    spec: Object = worker_groups(objects)[0]["template"]["spec"]
    return spec


def group(objects: list[Object]) -> Object:
    return worker_groups(objects)[0]


def service(objects: list[Object]) -> Object:
    spec: Object = ray_service(objects)["spec"]
    return spec


def without_variable(find: Find, name: str) -> Mutation:
    def apply(objects: list[Object]) -> None:
        container = find(objects)
        container["env"] = [each for each in container["env"] if each["name"] != name]

    return apply


def variable(find: Find, name: str, value: str) -> Mutation:
    def apply(objects: list[Object]) -> None:
        without_variable(find, name)(objects)
        find(objects)["env"].append({"name": name, "value": value})

    return apply


def in_serve_config(old: str, new: str) -> Mutation:
    """Return a mutation that replaces text of the Serve configuration, at its first place."""

    def apply(objects: list[Object]) -> None:
        text = service(objects)["serveConfigV2"]
        assert old in text
        service(objects)["serveConfigV2"] = text.replace(old, new, 1)

    return apply


def add(kind: str, **content: object) -> Mutation:
    def apply(objects: list[Object]) -> None:
        metadata = {"name": "added", "namespace": "sentiment"}
        objects.append({"kind": kind, "metadata": metadata, **content})

    return apply
