"""Server-side apply: objects whose every field has an owner.

As in Kubernetes, except that lists have one owner as a whole.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
Key = tuple[str, str, str]
Path = tuple[str, ...]


class Refusal(Exception):
    """A request that the API server answers with a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
        }


class Objects:
    """What is stored, by (resource, namespace, name)."""

    def __init__(self) -> None:
        self.stored: dict[Key, Document] = {}
        self.webhook: Callable[[Document], None] = lambda document: None
        self._owners: dict[tuple[Key, Path], str] = {}
        self._version = 0

    def apply(
        self, key: Key, wanted: Document, manager: str, *, dry_run: bool, force: bool
    ) -> Document:
        """Return what an object becomes, and store it unless this is a dry run."""
        namespace = key[1]
        if namespace and ("namespaces", "", namespace) not in self.stored:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        self.webhook(wanted)
        live, owners = self.stored.get(key), dict(self._owners)
        merged = self._merge(key, live, wanted, manager, force=force)
        _validate(merged)
        if dry_run:
            self._owners = owners
        elif merged != live:
            self.store(key, merged)
        return merged

    def store(self, key: Key, document: Document) -> None:
        """Store an object under a new version."""
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self.stored[key] = document

    def _merge(
        self, key: Key, live: Document | None, wanted: Document, manager: str, *, force: bool
    ) -> Document:
        merged = copy.deepcopy(live or {"metadata": {"generation": 0, "uid": f"uid-{key[2]}"}})
        leaves = dict(_leaves(wanted))
        for path in [path for at, path in self._owners if at == key]:
            if self._owners[key, path] == manager and path not in leaves:
                _drop(merged, path)
                del self._owners[key, path]
        for path, value in leaves.items():
            owner = self._owners.get((key, path), manager)
            if owner != manager and _at(merged, path) != value and not force:
                text = f'Apply failed with 1 conflict: conflict with "{owner}": .{".".join(path)}'
                raise Refusal(409, "Conflict", text)
            if owner == manager or _at(merged, path) != value:
                self._owners[key, path] = manager
            _set(merged, path, copy.deepcopy(value))
        merged["metadata"]["generation"] += merged.get("spec") != (live or {}).get("spec")
        return merged


def _validate(document: Document) -> None:
    if document["kind"] == "RayService" and "rayClusterConfig" not in document["spec"]:
        name = document["metadata"]["name"]
        text = f'RayService.ray.io "{name}" is invalid: spec.rayClusterConfig: Required value'
        raise Refusal(422, "Invalid", text)


def _leaves(node: Document, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _at(node: Any, path: Path) -> Any:
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _set(node: Document, path: Path, value: Any) -> None:
    for key in path[:-1]:
        node = node.setdefault(key, {})
    node[path[-1]] = value


def _drop(node: Document, path: Path) -> None:
    """Remove a field, and what is left empty by that."""
    key, *rest = path
    if rest and key in node:
        _drop(node[key], tuple(rest))
    if not rest or not node.get(key):
        node.pop(key, None)
