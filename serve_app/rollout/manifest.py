"""Rendered manifests: their documents, their images, and how they differ from the cluster."""

import copy
import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from serve_app.console import one_line
from serve_app.errors import InvalidManifest

Document = dict[str, Any]

_APPLIED_BY_KUBECTL: Final = "kubectl.kubernetes.io/last-applied-configuration"

_DIGEST: Final = re.compile(r"@sha256:([0-9a-f]{64})$")
# Other documents depend on the first two, the pods of a RayService on all others.
_ORDER: Final = {"Namespace": 0, "CustomResourceDefinition": 0, "RayService": 2}
# What the API server adds to an object's metadata.
_BY_SERVER: Final = {
    *("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation"),
    *("managedFields", "resourceVersion", "uid"),
}


class Manifest(NamedTuple):
    """A rendered manifest, with the name and the namespace of its one RayService.

    The documents are in the order in which to apply them: namespaces first, the RayService last.
    """

    documents: tuple[Document, ...]
    name: str
    namespace: str

    @property
    def service(self) -> Document:
        """The RayService."""
        return self.documents[-1]


def parse(text: str) -> Manifest:
    """Parse the YAML documents of a rendered manifest.

    Raises `InvalidManifest` if they are not Kubernetes objects with one RayService among them.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidManifest(f"the manifest is not valid YAML: {one_line(str(error))}") from None
    for number, document in enumerate(documents, 1):
        known = isinstance(document, dict) and document.get("apiVersion") and document.get("kind")
        if not (known and (document.get("metadata") or {}).get("name")):
            problem = f"document {number} of the manifest has no apiVersion, kind or metadata.name"
            raise InvalidManifest(problem, "pass the output of `kubectl kustomize`")
    documents.sort(key=lambda document: _ORDER.get(document["kind"], 1))
    services = [document for document in documents if document["kind"] == "RayService"]
    if len(services) != 1:
        problem = f"the manifest has {len(services)} RayServices instead of one"
        raise InvalidManifest(problem, "roll out one service at a time")
    metadata = services[0]["metadata"]
    if not metadata.get("namespace"):
        problem = "the RayService has no namespace"
        raise InvalidManifest(problem, "set `namespace:` in the kustomization")
    return Manifest(tuple(documents), metadata["name"], metadata["namespace"])


def read(path: str, standard_input: Iterator[str]) -> Manifest:
    """Parse a manifest from a file, or from standard input where the path is `-`."""
    try:
        return parse("".join(standard_input) if path == "-" else Path(path).read_text())
    except OSError as error:
        raise InvalidManifest(f"cannot read {path}: {error.strerror}") from None


def check_images(manifest: Manifest, *, allow_tags: bool) -> None:
    """Raise `InvalidManifest` if an image has no digest, where tags are not allowed, or zeros."""
    for document in manifest.documents:
        for image in _images(document.get("spec")):
            digest = _DIGEST.search(image)
            if digest and not digest[1].strip("0"):
                problem = f"the digest of {image.partition('@')[0]} is a placeholder of zeros"
                hint = "put the digest of the image that you pushed into the kustomization"
            elif not digest and not allow_tags:
                problem = f"image {image} is not pinned by a digest, so it can change"
                hint = "write image@sha256:…, or pass --allow-tags"
            else:
                continue
            raise InvalidManifest(f"{title(document)}: {problem}", hint)


def without_server_fields(document: Document) -> Document:
    """Return a copy of a document without what the API server and kubectl add."""
    copied = copy.deepcopy(document)
    copied.pop("status", None)
    metadata = copied.get("metadata", {})
    (metadata.get("annotations") or {}).pop(_APPLIED_BY_KUBECTL, None)
    copied["metadata"] = {
        key: value for key, value in metadata.items() if value and key not in _BY_SERVER
    }
    return copied


def title(document: Document) -> str:
    """Return the kind and the name of a document."""
    return f"{document['kind']} {document['metadata']['name']}"


def difference(before: Document | None, after: Document) -> str:
    """Return a unified diff from the live object to the applied one; empty if they are equal."""
    name = title(after)
    old, new = without_server_fields(before or {}), without_server_fields(after)
    if after["kind"] == "Secret":
        _hide_values(old, new)
    old_lines = to_yaml(old).splitlines(keepends=True) if before else []
    new_lines = to_yaml(new).splitlines(keepends=True)
    return "".join(unified_diff(old_lines, new_lines, f"{name} (live)", f"{name} (manifest)"))


def to_yaml(content: Any, *, sort_keys: bool = True) -> str:
    """Return YAML in which texts of several lines, such as a Serve configuration, are blocks."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _images(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        # The `image` of a volume is an object.
        if isinstance(image := node.get("image"), str):
            yield image
        node = list(node.values())
    for item in node if isinstance(node, list) else ():
        yield from _images(item)


def _hide_values(old: Document, new: Document) -> None:
    """Replace the values of a Secret, and say which ones change."""
    for field in ("data", "stringData"):
        before, after = old.get(field) or {}, new.get(field) or {}
        for key, value in after.items():
            after[key] = "hidden" if value == before.get(key) else "hidden, changed"
        before.update(dict.fromkeys(before, "hidden"))
