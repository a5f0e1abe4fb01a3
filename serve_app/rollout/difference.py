"""What a manifest would change, object by object."""

import copy
import difflib
from typing import Any, Final

import yaml

from serve_app.rollout.manifest import Document

# What the API server writes by itself.
_OF_THE_SERVER: Final = (
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
_APPLIED_BY_KUBECTL: Final = "kubectl.kubernetes.io/last-applied-configuration"


def difference(before: Document | None, after: Document) -> str:
    """Return a unified diff of two states of an object; empty where they are the same.

    Args:
        before: The object as it is; None if there is none.
        after: The object as it would be.
    """
    name = f"{after['kind']} {after['metadata']['name']}"
    old, new = _shown(before), _shown(after)
    if after["kind"] == "Secret":
        _hide(old, new)
    lines = difflib.unified_diff(
        _lines(old) if before else [], _lines(new), f"{name} (live)", f"{name} (manifest)"
    )
    return "".join(lines)


def _shown(document: Document | None) -> Document:
    shown = copy.deepcopy(document or {})
    shown.pop("status", None)
    metadata = shown.get("metadata", {})
    for key in _OF_THE_SERVER:
        metadata.pop(key, None)
    metadata.get("annotations", {}).pop(_APPLIED_BY_KUBECTL, None)
    return shown


def _hide(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Replace a Secret's values by whether they change."""
    for part in ("data", "stringData"):
        was, will = old.get(part) or {}, new.get(part) or {}
        for key in will:
            will[key] = "hidden" if will[key] == was.get(key) else "hidden, changed"
        for key in was:
            was[key] = "hidden"


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines, such as a Serve configuration, line by line."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _lines(document: Document) -> list[str]:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True).splitlines(keepends=True)
