"""An HTTP server that answers as a Kubernetes API server does, as far as rollouts ask."""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.k8s.rollout.objects import Document, Key, Objects, Refusal
from tests.k8s.rollout.operator import Operator

RAY_TOKEN: Final = "the-token-of-the-cluster"
KINDS: Final = {
    "v1": ["Namespace", "ServiceAccount", "Secret", "Pod", "Event"],
    "apps/v1": ["ControllerRevision"],
    "external-secrets.io/v1": ["ExternalSecret", "SecretStore"],
    "gateway.networking.k8s.io/v1": ["HTTPRoute"],
    "monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
    "ray.io/v1": ["RayService"],
}


def resource(kind: str) -> str:
    """Return the name of a kind in a path."""
    return "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"


def groups() -> list[Document]:
    """Return the named API groups, each with its one version."""
    versions = [version for version in KINDS if "/" in version]
    entries = [{"groupVersion": each, "version": each.partition("/")[2]} for each in versions]
    return [
        {"name": version.partition("/")[0], "versions": [entry], "preferredVersion": entry}
        for version, entry in zip(versions, entries, strict=True)
    ]


def resource_list(version: str) -> Document:
    """Return the resources of a version."""
    resources = [
        {
            "name": resource(kind),
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind != "Namespace",
            "verbs": ["get", "list", "patch", "delete"],
        }
        for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


class ApiServer:
    """A server on a free port, which runs as long as its context.

    A pass of the operator precedes each GET of a RayService, so that a test sees each status once,
    however fast it polls.
    """

    def __init__(self) -> None:
        self.operator = Operator()
        self.applied: list[str] = []
        self.objects = Objects()
        self.prediction: Callable[[], tuple[int, Any]] = lambda: (
            200,
            {"predictions": [[{"label": "POSITIVE", "score": 0.9}]]},
        )
        self.api_key = ""
        self.drops = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stub", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "mine"}}],
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "me"}}],
            "current-context": "stub",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and answering; harmless when done before."""
        self.drops = sys.maxsize
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, document: Document, manager: str) -> None:
        """Store an object as another tool has applied it."""
        metadata = document["metadata"]
        key = (resource(document["kind"]), metadata.get("namespace", ""), metadata["name"])
        self.objects.apply(key, document, manager, dry_run=False, force=True)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, Any]:
        """Answer one request."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        with self._lock:
            if path == "/version":
                return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
            if path == "/apis":
                return 200, {"kind": "APIGroupList", "groups": groups()}
            for version in KINDS:
                root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
                if path == root:
                    return 200, resource_list(version)
                if path.startswith(f"{root}/"):
                    parts = path.removeprefix(f"{root}/").split("/")
                    return self._object(method, version, parts, query, headers=headers, body=body)
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    def _object(
        self,
        method: str,
        version: str,
        parts: list[str],
        query: dict[str, list[str]],
        *,
        headers: Any,
        body: bytes,
    ) -> tuple[int, Any]:
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        if parts[0] == "services":
            return self._proxied(method, parts[1], "/" + "/".join(parts[3:]), headers)
        if len(parts) == 1:
            (kind,) = (kind for kind in KINDS[version] if resource(kind) == parts[0])
            items = self._list(parts[0], namespace, query)
            return 200, {"apiVersion": version, "kind": f"{kind}List", "items": items}
        key = (parts[0], namespace, parts[1])
        if method == "PATCH":
            if headers["Content-Type"] != "application/apply-patch+yaml":
                raise Refusal(415, "UnsupportedMediaType", "not a server-side apply")
            return 200, self._apply(key, yaml.safe_load(body), query)
        stored = self.objects.stored
        if key not in stored:
            raise Refusal(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        if method == "DELETE":
            return 200, stored.pop(key)
        if key[0] == "rayservices" and (status := self.operator.reconcile(stored[key])):
            self.objects.store(key, {**stored[key], "status": status})
        return 200, stored[key]

    def _list(self, name: str, namespace: str, query: dict[str, list[str]]) -> list[Document]:
        virtual = {"pods": self.operator.pods(), "events": list(self.operator.events.values())}
        stored = [
            found for key, found in self.objects.stored.items() if key[:2] == (name, namespace)
        ]
        found = virtual.get(name, stored)
        for selector in query.get("labelSelector", []):
            name, _, value = selector.partition("=")
            found = [one for one in found if one["metadata"]["labels"].get(name) == value]
        return found

    def _proxied(self, method: str, service: str, path: str, headers: Any) -> tuple[int, Any]:
        if not self.operator.service_points_to:
            raise Refusal(404, "NotFound", f'services "{service}" not found')
        if (method, path) == ("POST", "/project/predict") and service.endswith("-serve-svc:8000"):
            if self.api_key and headers["Authorization"] != f"Bearer {self.api_key}":
                return 401, {"title": "Unauthorized"}
            return self.prediction()
        if path == "/api/serve/applications/" and service.endswith("-head-svc:8265"):
            if headers["x-ray-authorization"] != f"Bearer {RAY_TOKEN}":
                return 401, {"error": "Unauthorized"}
            deployed = self.operator.deployed_at()
            return 200, {"applications": {"sentiment": {"last_deployed_time_s": deployed}}}
        raise Refusal(503, "ServiceUnavailable", f"no endpoints available for {service}")

    def _apply(self, key: Key, wanted: Document, query: dict[str, list[str]]) -> Document:
        (manager,) = query["fieldManager"]
        force = query.get("force", [""])[0].lower() == "true"
        dry_run = "dryRun" in query
        if not dry_run:
            self.applied.append(f"{wanted['kind']} {wanted['metadata']['name']}")
        return self.objects.apply(key, wanted, manager, dry_run=dry_run, force=force)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Answers leave in one packet, without waiting for the acknowledgement of the first.
            wbufsize = -1

            def _respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if stub.drops:
                    stub.drops -= 1
                    self.close_connection = True
                    return
                try:
                    code, content = stub.answer(self.command, self.path, self.headers, body)
                except Refusal as refusal:
                    code, content = refusal.code, refusal.status
                sent = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.send_header("X-Model-Id", "embedded")
                self.send_header("X-Model-Revision", "0123456789ab")
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_PATCH = do_POST = do_DELETE = _respond

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        return Handler
