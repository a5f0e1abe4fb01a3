"""The API server, through the official client."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from serve_app.client.results import Reply
from serve_app.console import one_line
from serve_app.errors import ConnectionLost, InvalidManifest, RolloutRefused, StartupError
from serve_app.files.reader import json_object
from serve_app.rollout.manifest import Document

# To connect and to read.
_TIMEOUT_S: Final = (5, 20)


class _NotFound(RolloutRefused):
    """An object that does not exist."""


@dataclass(frozen=True)
class Api:
    """The requests to the API server about one RayService.

    Each method raises `ConnectionLost` if the API server does not answer or is overloaded,
    `RolloutRefused` if it refuses the request, `InvalidManifest` if it does not know the kind.
    """

    client: DynamicClient
    name: str
    namespace: str

    def apply(self, document: Document, *, dry_run: bool = False, force: bool = False) -> Document:
        """Apply a document on the server's side, over others' fields if `force`; return it then."""
        options = {"field_manager": "sentiment-rollout", "dry_run": "All" if dry_run else None}
        apply = self.client.server_side_apply
        return self._call(apply, document, body=document, force_conflicts=force, **options)

    def get(self, document: Document) -> Document | None:
        """Return the live object of a document; None if it does not exist."""
        with suppress(_NotFound):
            return self._call(self.client.get, document)
        return None

    def delete(self, document: Document) -> None:
        """Delete the object of a document if it exists."""
        with suppress(_NotFound):
            self._call(self.client.delete, document)

    def find(self, api_version: str, kind: str, **selector: str) -> list[Document]:
        """Return the objects of the namespace that match `label_selector` or `field_selector`."""
        wanted = {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"namespace": self.namespace},
        }
        return list(self._call(self.client.get, wanted, **selector)["items"])

    def service(self) -> Document | None:
        """Return the RayService; None if it does not exist."""
        metadata = {"name": self.name, "namespace": self.namespace}
        return self.get({"apiVersion": "ray.io/v1", "kind": "RayService", "metadata": metadata})

    def pods(self, cluster: str) -> list[Document]:
        """Return the pods of a Ray cluster; none if this user may not list pods."""
        with suppress(RolloutRefused):
            return self.find("v1", "Pod", label_selector=f"ray.io/cluster={cluster}")
        return []

    def warnings(self) -> dict[str, str]:
        """Return the version of each warning by its text; none if this user may not list events."""
        about = f"involvedObject.kind=RayService,involvedObject.name={self.name},type=Warning"
        try:
            events = self.find("v1", "Event", field_selector=about)
        except RolloutRefused:
            return {}
        events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        texts = (one_line(str(event.get("message") or event.get("reason"))) for event in events)
        versions = (str(event["metadata"]["resourceVersion"]) for event in events)
        return dict(zip(texts, versions, strict=True))

    def config_submitted(self) -> float | None:
        """Return when Serve last received a configuration; None if the head cannot be asked."""
        token = os.environ.get("RAY_AUTH_TOKEN")
        # `Authorization` carries the token of the API server.
        headers = {"x-ray-authorization": f"Bearer {token}"} if token else {}
        with suppress(ConnectionLost, RolloutRefused):
            answer = self.proxy("head-svc:8265", "/api/serve/applications/", headers=headers)
            if answer.status == HTTPStatus.OK:
                applications = json.loads(answer.body)["applications"].values()
                return max((each["last_deployed_time_s"] for each in applications), default=0.0)
        return None

    def proxy(
        self, service: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        """Send a GET, or a POST of JSON, to `head-svc:PORT` or `serve-svc:PORT`."""
        target = f"{self.name}-{service}"
        with _api_errors(f"service {target}"):
            try:
                answer = self.client.request(
                    "GET" if body is None else "POST",
                    f"/api/v1/namespaces/{self.namespace}/services/{target}/proxy{path}",
                    body=body,
                    header_params=headers or {},
                    serialize=False,
                    _request_timeout=_TIMEOUT_S,
                )
            except ApiException as error:
                # The API server's own errors have a Status as their body.
                if "kind" in (json_object(error.body or "") or {}):
                    raise
                return Reply(error.status, error.headers or {}, (error.body or "").encode())
            return Reply(answer.status, answer.headers, answer.data)

    def _call(self, method: Callable[..., Any], document: Document, **options: Any) -> Document:
        api_version, kind, metadata = (document[key] for key in ("apiVersion", "kind", "metadata"))
        with _api_errors(f"{kind} {metadata.get('name', 'list')}"):
            try:
                resource = self.client.resources.get(api_version=api_version, kind=kind)
            except ResourceNotFoundError:
                problem = f"the cluster does not know {kind} of {api_version}"
                hint = "install its operator or custom resource definition first"
                raise InvalidManifest(problem, hint) from None
            answer = method(
                resource,
                name=metadata.get("name"),
                namespace=metadata.get("namespace"),
                serialize=False,
                _request_timeout=_TIMEOUT_S,
                **options,
            )
            return dict(json.loads(answer.data))


def connect(name: str, namespace: str, context: str | None = None) -> Api:
    """Connect as kubectl does: by `$KUBECONFIG`, `~/.kube/config`, or from within a pod.

    Raises `StartupError` if there is no configuration, `ConnectionLost` if nobody answers.
    """
    # The package's own load_config() cannot take a context within a pod.
    kubeconfig = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not Path(kubeconfig).expanduser().exists():
            config.load_incluster_config()
        else:
            config.load_kube_config(config_file=kubeconfig, context=context)
    except (ConfigException, OSError, YAMLError) as error:
        problem = f"cannot read the Kubernetes configuration: {one_line(str(error))}"
        hint = "`az aks get-credentials` writes one; check with `kubectl config get-contexts`"
        raise StartupError(problem, hint) from None
    # The client's default is a fixed file in /tmp, where others can write.
    with tempfile.TemporaryDirectory() as private, _api_errors("the cluster"):
        settings = client.Configuration.get_default_copy()
        # The monitor reports a lost connection and tries again itself.
        settings.retries = False
        cache_file = str(Path(private) / "discovery")
        return Api(DynamicClient(client.ApiClient(settings), cache_file), name, namespace)


@contextmanager
def _api_errors(subject: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        status = f"{error.status} {error.reason}"
        body = json_object(error.body or "") or {}
        message = one_line(str(body.get("message", status)))
        if error.status in {429, *range(500, 600)}:
            raise ConnectionLost(f"{subject}: the API server answers {message}") from None
        hint = "this object was not changed"
        if error.status == HTTPStatus.CONFLICT:
            hint = "pass --force-conflicts to take these fields over"
        # Webhooks refuse with any status, but always in these words.
        elif error.status in {401, 403} and "admission webhook" not in message:
            hint = "check your role with `kubectl auth can-i --list`"
        refusal = _NotFound if error.status == HTTPStatus.NOT_FOUND else RolloutRefused
        raise refusal(f"{subject}: {message}", hint) from None
    except (HTTPError, OSError) as error:
        raise ConnectionLost(f"the API server does not answer: {one_line(str(error))}") from None
