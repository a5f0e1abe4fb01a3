"""What is applied: the documents of a rendered manifest, with their images pinned."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from serve_app.errors import InvalidManifest

Document = dict[str, Any]

_DIGEST: Final = re.compile(r"@sha256:([0-9a-f]{64})$")
# What other documents live in has to be there before them.
_FIRST: Final = ("Namespace", "CustomResourceDefinition")


@dataclass(frozen=True)
class Manifest:
    """A rendered manifest with exactly one RayService.

    Attributes:
        others: Every other document, in the order in which to apply them.
        service: The RayService, to be applied last: its pods need the rest.
    """

    others: tuple[Document, ...]
    service: Document

    @property
    def documents(self) -> tuple[Document, ...]:
        """Every document, in the order in which to apply them."""
        return (*self.others, self.service)

    @property
    def name(self) -> str:
        """Name of the RayService."""
        return str(self.service["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the RayService."""
        return str(self.service["metadata"]["namespace"])


def parse(text: str) -> Manifest:
    """Read the documents of a rendered manifest.

    Args:
        text: Documents in YAML, as from `kubectl kustomize`.

    Raises:
        InvalidManifest: It is no YAML, a document is none of Kubernetes, or there is not exactly
            one RayService with a namespace.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidManifest(f"the manifest is no YAML: {' '.join(str(error).split())}") from None
    for number, document in enumerate(documents, 1):
        if not _is_object(document):
            raise InvalidManifest(
                f"document {number} of the manifest has no apiVersion, kind or metadata.name",
                "give the output of `kubectl kustomize`",
            )
    services = [document for document in documents if document["kind"] == "RayService"]
    if len(services) != 1:
        raise InvalidManifest(
            f"the manifest holds {len(services)} RayServices, not one",
            "roll services out one after the other",
        )
    if not services[0]["metadata"].get("namespace"):
        raise InvalidManifest(
            "the RayService has no namespace", "set `namespace:` in the kustomization"
        )
    others = [document for document in documents if document["kind"] != "RayService"]
    others.sort(key=lambda document: document["kind"] not in _FIRST)
    return Manifest(tuple(others), services[0])


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
    """Accept images that name their content.

    Args:
        manifest: What is to be applied.
        allow_tags: Accept a tag in place of a digest; never a digest that stands for none.

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
                    "put the digest of the image that was pushed into the kustomization",
                )
            if not digest and not allow_tags:
                raise InvalidManifest(
                    f"{where}: image {image} is not pinned by a digest, so it can change",
                    "write image@sha256:…, or pass --allow-tags",
                )


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
