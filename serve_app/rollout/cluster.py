"""The API server, through the official client."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from yaml import YAMLError

from serve_app.console import install
from serve_app.errors import InvalidManifest, StartupError
from serve_app.rollout.evaluate import json_object, translated
from serve_app.rollout.manifest import Document
from serve_app.rollout.status import one_line

if TYPE_CHECKING:
    from kubernetes.dynamic import DynamicClient

SERVICE_API: Final = "ray.io/v1"
SERVICE_KIND: Final = "RayService"

_FIELD_MANAGER: Final = "sentiment-rollout"
_CLUSTER_LABEL: Final = "ray.io/cluster"
# To connect, to read, in seconds.
_TIMEOUT: Final = (5, 20)


class Answer(NamedTuple):
    """What a service behind the API server's proxy answers."""

    status: int
    headers: dict[str, str]
    body: bytes


class Api:
    """The few requests that a rollout makes.

    Args:
        client: Of the official package.
    """

    def __init__(self, client: "DynamicClient") -> None:
        self._client = client

    def apply(self, document: Document, *, dry_run: bool = False, force: bool = False) -> Document:
        """Apply a document on the server's side and return what it has become.

        Args:
            document: What is wanted.
            dry_run: Change nothing, but validate and return as if.
            force: Take over fields that others have set.

        Raises:
            RolloutRefused: It is invalid, a webhook refuses it, or another tool owns a field.
            InvalidManifest: The cluster does not know its kind.
            ConnectionLost: No answer.
        """
        what = f"{document['kind']} {document['metadata']['name']}"
        with translated(what):
            return self._done(
                self._client.server_side_apply(
                    self._resource(document["apiVersion"], document["kind"]),
                    body=document,
                    namespace=document["metadata"].get("namespace"),
                    field_manager=_FIELD_MANAGER,
                    force_conflicts=force,
                    dry_run="All" if dry_run else None,
                    serialize=False,
                    _request_timeout=_TIMEOUT,
                )
            )

    def get(self, api_version: str, kind: str, name: str, namespace: str | None) -> Document | None:
        """Return an object, or None if there is none."""
        with translated(f"{kind} {name}"):
            resource = self._resource(api_version, kind)
            path = resource.path(name=name, namespace=namespace)
            return self._found("get", path)

    def find(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> list[Document]:
        """Return the objects of a namespace that match the selectors."""
        with translated(f"{kind}s"):
            found = self._client.get(
                self._resource(api_version, kind),
                namespace=namespace,
                label_selector=labels,
                field_selector=fields,
                serialize=False,
                _request_timeout=_TIMEOUT,
            )
            return list(self._done(found)["items"])

    def delete(self, api_version: str, kind: str, name: str, namespace: str) -> None:
        """Delete an object, unless it is gone already."""
        with translated(f"{kind} {name}"):
            resource = self._resource(api_version, kind)
            self._found("delete", resource.path(name=name, namespace=namespace))

    def service(self, name: str, namespace: str) -> Document | None:
        """Return a RayService, or None if there is none."""
        return self.get(SERVICE_API, SERVICE_KIND, name, namespace)

    def pods(self, cluster: str, namespace: str) -> list[Document]:
        """Return the pods of a Ray cluster."""
        return self.find("v1", "Pod", namespace, labels=f"{_CLUSTER_LABEL}={cluster}")

    def warnings(self, service: str, namespace: str) -> list[Document]:
        """Return the Warning events about a RayService."""
        about = f"involvedObject.kind={SERVICE_KIND},involvedObject.name={service},type=Warning"
        return self.find("v1", "Event", namespace, fields=about)

    def through_proxy(
        self,
        namespace: str,
        service: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request to a Service through the API server.

        Args:
            namespace: Of the Service.
            service: Its name and port, `name:port`.
            method: Of the request.
            path: With a slash in front.
            body: Sent as JSON.
            headers: Further ones.

        Raises:
            ConnectionLost: The API server does not answer.
            RolloutRefused: It does not let this user do so.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - an extra

        target = f"/api/v1/namespaces/{namespace}/services/{service}/proxy{path}"
        with translated(f"service {service}"):
            try:
                answer = self._client.request(
                    method,
                    target,
                    body=body,
                    header_params=headers or {},
                    serialize=False,
                    _request_timeout=_TIMEOUT,
                )
            except ApiException as error:
                # What the API server itself has to say comes as a Status.
                if "kind" in json_object(error.body):
                    raise
                said = (error.body or "").encode()
                return Answer(int(error.status), dict(error.headers or {}), said)
            return Answer(answer.status, dict(answer.headers), answer.data)

    def _resource(self, api_version: str, kind: str) -> Any:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError  # noqa: PLC0415

        try:
            return self._client.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError:
            raise InvalidManifest(
                f"the cluster does not know {kind} of {api_version}",
                "install its operator or custom resource definition first",
            ) from None

    def _found(self, method: str, path: str) -> Document | None:
        from kubernetes.dynamic.exceptions import NotFoundError  # noqa: PLC0415

        try:
            return self._done(
                self._client.request(method, path, serialize=False, _request_timeout=_TIMEOUT)
            )
        except NotFoundError:
            return None

    def _done(self, answer: Any) -> Document:
        document: Document = json.loads(answer.data)
        return document


def connect(context: str | None) -> Api:
    """Connect as kubectl does: by `$KUBECONFIG`, `~/.kube/config`, or from within a pod.

    Args:
        context: Name of a context; by default the current one.

    Raises:
        StartupError: The `kuberay` extra is not installed, or there is no configuration.
        ConnectionLost: The API server does not answer.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415 - an extra
        from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415
        from kubernetes.dynamic import DynamicClient  # noqa: PLC0415
    except ImportError:
        raise StartupError(
            "rollouts need a package that is not installed: kubernetes",
            install("kuberay"),
        ) from None
    # The package's own load_config() cannot take a context within a pod.
    kubeconfig = os.environ.get("KUBECONFIG") or "~/.kube/config"
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if in_pod and not Path(kubeconfig).expanduser().exists():
            config.load_incluster_config()
        else:
            config.load_kube_config(config_file=kubeconfig, context=context)
    except (ConfigException, OSError, YAMLError) as error:
        raise StartupError(
            f"cannot read the Kubernetes configuration: {one_line(str(error))}",
            "`az aks get-credentials` writes one; check with `kubectl config get-contexts`",
        ) from None
    # The client would keep what it discovers under a fixed name in /tmp, where others can write.
    with tempfile.TemporaryDirectory() as private, translated("the cluster"):
        settings = client.Configuration.get_default_copy()
        # What is not answered is reported and asked again by `Watch`.
        settings.retries = False
        return Api(
            DynamicClient(client.ApiClient(settings), cache_file=str(Path(private) / "discovery"))
        )
