"""Rendered manifests: their documents, their images, and how they differ from the cluster."""

import copy
import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from serve_app.errors import InvalidManifest

Document = dict[str, Any]

APPLIED_BY_KUBECTL: Final = "kubectl.kubernetes.io/last-applied-configuration"

_DIGEST: Final = re.compile(r"@sha256:([0-9a-f]{64})$")
# Other documents depend on the first two, the pods of a RayService on all others.
_ORDER: Final = {"Namespace": 0, "CustomResourceDefinition": 0, "RayService": 2}
# What the API server adds to an object's metadata.
_BY_SERVER: Final = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"}


class Manifest(NamedTuple):
    """A rendered manifest with exactly one RayService.

    Attributes:
        documents: In the order in which to apply them: namespaces first, the RayService last.
        name: That of the RayService.
        namespace: That of the RayService.
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

    Raises:
        InvalidManifest: The text is not YAML, a document is not a Kubernetes object, or there is
            not exactly one RayService with a namespace.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise InvalidManifest(f"the manifest is not valid YAML: {problem}") from None
    for number, document in enumerate(documents, 1):
        if not _is_object(document):
            raise InvalidManifest(
                f"document {number} of the manifest has no apiVersion, kind or metadata.name",
                "pass the output of `kubectl kustomize`",
            )
    documents.sort(key=lambda document: _ORDER.get(document["kind"], 1))
    services = [document for document in documents if document["kind"] == "RayService"]
    if len(services) != 1:
        raise InvalidManifest(
            f"the manifest has {len(services)} RayServices instead of one",
            "roll out one service at a time",
        )
    metadata = services[0]["metadata"]
    if not metadata.get("namespace"):
        raise InvalidManifest(
            "the RayService has no namespace", "set `namespace:` in the kustomization"
        )
    return Manifest(tuple(documents), metadata["name"], metadata["namespace"])


def read(path: str, standard_input: Iterator[str]) -> Manifest:
    """Read a manifest from a file, or from standard input where the path is `-`.

    Raises:
        InvalidManifest: See `parse`; or the file cannot be read.
    """
    if path == "-":
        return parse("".join(standard_input))
    try:
        return parse(Path(path).read_text())
    except OSError as error:
        raise InvalidManifest(f"cannot read {path}: {error.strerror}") from None


def check_images(manifest: Manifest, *, allow_tags: bool) -> None:
    """Check that each image is pinned by a digest, or has a tag where tags are allowed.

    Raises:
        InvalidManifest: Names the first image that is not accepted.
    """
    for document in manifest.documents:
        where = f"{document['kind']} {document['metadata']['name']}"
        for image in _images(document.get("spec")):
            digest = _DIGEST.search(image)
            if digest and not digest[1].strip("0"):
                raise InvalidManifest(
                    f"{where}: the digest of {image.partition('@')[0]} is a placeholder of zeros",
                    "put the digest of the image that you pushed into the kustomization",
                )
            if not digest and not allow_tags:
                raise InvalidManifest(
                    f"{where}: image {image} is not pinned by a digest, so it can change",
                    "write image@sha256:…, or pass --allow-tags",
                )


def difference(before: Document | None, after: Document) -> str:
    """Return a unified diff from the live object to the applied one; empty if they are equal."""
    name = f"{after['kind']} {after['metadata']['name']}"
    old, new = _without_server_fields(before or {}), _without_server_fields(after)
    if after["kind"] == "Secret":
        _hide_values(old, new)
    lines = difflib.unified_diff(
        to_yaml(old).splitlines(keepends=True) if before else [],
        to_yaml(new).splitlines(keepends=True),
        f"{name} (live)",
        f"{name} (manifest)",
    )
    return "".join(lines)


def to_yaml(content: Any, *, sort_keys: bool = True) -> str:
    """Return YAML in which texts of several lines, such as a Serve configuration, are blocks."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys, width=100, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _is_object(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and bool(document.get("apiVersion") and document.get("kind"))
        and bool((document.get("metadata") or {}).get("name"))
    )


def _images(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "image" and isinstance(value, str):
                yield value
            else:
                yield from _images(value)
    elif isinstance(node, list):
        for item in node:
            yield from _images(item)


def _without_server_fields(document: Document) -> Document:
    document = copy.deepcopy(document)
    document.pop("status", None)
    metadata = document.get("metadata", {})
    for key in _BY_SERVER & metadata.keys():
        del metadata[key]
    metadata.get("annotations", {}).pop(APPLIED_BY_KUBECTL, None)
    return document


def _hide_values(old: Document, new: Document) -> None:
    """Replace the values of a Secret, and say which ones change."""
    for field in ("data", "stringData"):
        before, after = old.get(field) or {}, new.get(field) or {}
        for key in after:
            after[key] = "hidden" if after[key] == before.get(key) else "hidden, changed"
        for key in before:
            before[key] = "hidden"
