"""The way to the API server."""

import os
import tempfile
from pathlib import Path

from yaml import YAMLError

from serve_app.errors import StartupError
from serve_app.extras import install
from serve_app.rollout.cluster import Api
from serve_app.rollout.failures import translated
from serve_app.rollout.status import one_line


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
