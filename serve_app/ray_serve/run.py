"""Runs the service in this process."""

import logging
import os
import shutil
import signal
import socket
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

import ray
from ray import serve
from ray.serve._private import constants
from ray.serve._private.api import serve_start
from ray.serve._private.client import ServeControllerClient
from ray.serve.schema import ApplicationStatus, ServeDeploySchema

from serve_app.api.middleware import loopback_hosts
from serve_app.console import say
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import StartupError
from serve_app.export.prepare import resolve_engine
from serve_app.model.store import resolve
from serve_app.ray_serve.config import LabApplication, ServeConfig, load, read
from serve_app.ray_serve.haproxy import ALLOWED_HOSTS
from serve_app.ray_serve.launch import RUN_ID, end_processes
from serve_app.settings import AppArgs

POLL_S: Final = 0.25
# Ray's names of the ports that it does not choose itself, and their addresses; "" is the host's.
HAPROXY_PORTS: Final = {
    "RAY_SERVE_HAPROXY_METRICS_PORT": "",
    "RAY_SERVE_HAPROXY_STATS_PORT": "127.0.0.1",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": "",
}


def run(path: Path) -> None:
    """Serve a configuration file until interrupted, or until the launcher has ended.

    Raises `StartupError` if the service cannot start, and `KeyboardInterrupt` for SIGINT.
    """
    started = time.monotonic()
    launcher = os.getppid()
    config = load(path)
    check_ports(config)
    check_model(config.applications[0].args)
    say("starting Ray Serve")
    try:
        client = deploy(path, config)
        host, port = config.http_options.host, config.http_options.port
        url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        say(f"ready after {time.monotonic() - started:.0f} s; documentation: {url}/project/docs")
        if config.metrics_port:
            say(f"metrics for Prometheus: http://127.0.0.1:{config.metrics_port}/metrics")
        say("try it:")
        say(f"""  curl {url}/project/predict -d '{{"text": ["I love this!", "What a waste."]}}'""")
        say("Ctrl-C ends it")
        lab = config.applications[1]
        if lab:
            # The lab starts after the service, which needs all cores until then.
            client.deploy_apps(ServeDeploySchema.model_validate(read(path)), _blocking=False)
        while os.getppid() == launcher:
            if lab and (line := lab_outcome(lab, url)):
                say(line)
                lab = None
            time.sleep(POLL_S)
    finally:
        say("stopping")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Ray reports actors that are ended on purpose as if they had failed.
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            # Without a Ray, Serve would start one to shut down.
            if ray.is_initialized():
                serve.shutdown()
                ray.shutdown()
        if os.getppid() != launcher and RUN_ID in os.environ:
            end_processes(os.environ[RUN_ID], os.getsid(0))
            shutil.rmtree(os.environ["RAY_TMPDIR"], ignore_errors=True)


def check_ports(config: ServeConfig) -> None:
    """Raise `StartupError`, with the key to change, if a port that Ray does not choose is taken."""
    host = config.http_options.host
    ports = [(host, config.http_options.port, "http_options.port")]
    if config.metrics_port:
        ports.append(("127.0.0.1", config.metrics_port, "metrics_port"))
    if constants.RAY_SERVE_ENABLE_HA_PROXY:
        for name, address in HAPROXY_PORTS.items():
            ports.append((address or host, getattr(constants, name), f"environment.{name}"))
    for address, port, key in ports:
        with socket.socket() as probe:
            # Lingering connections of an earlier run do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                problem = f"cannot listen on {address}:{port}: {error.strerror}"
                hint = f"end the process that listens there, or change {key}"
                raise StartupError(problem, hint) from None


def check_model(args: AppArgs) -> None:
    """Check the model and the cache URL; export the model where that has not been done.

    Raises `StartupError` if one of them is unusable.
    """
    args.cache_url()
    model = resolve(args.model_source())
    engine = resolve_engine(model, args.engine, say)
    Tokenizer(model, model.path / "tokenizer.json" if engine == "simulated" else None)
    scheme = args.cache.partition("://")[0]
    say(f"model {model.model_id} {model.revision}, engine {engine}, cache {scheme}")


def deploy(path: Path, config: ServeConfig) -> ServeControllerClient:
    """Start Ray and the service, and wait until it runs; raises `StartupError` if one does not."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # Ray's processes inherit it.
    if hosts := loopback_hosts(config.http_options.host, config.allowed_hosts):
        os.environ[ALLOWED_HOSTS] = ",".join(hosts)
    try:
        ray.init(
            # Without an address, Ray would join the cluster that an environment variable or a file
            # names, and run the code that its owner sends.
            "local",
            include_dashboard=False,
            namespace="serve",
            logging_level=logging.WARNING,
            _metrics_export_port=config.metrics_port,
        )
    except OSError as error:
        problem = f"Ray does not start: {' '.join(str(error).split())}"
        raise StartupError(problem, "it needs free ports, and space in $TMPDIR or /tmp") from error
    # As `serve run`, but the log level applies to Serve's own processes too.
    client = serve_start(
        http_options=config.http_options.model_dump(),
        proxy_location=config.proxy_location,
        global_logging_config=config.logging_config.model_dump(),
    )
    check_cpus(config, ray.cluster_resources().get("CPU", 0))
    schema = ServeDeploySchema.model_validate(read(path))
    service = schema.model_copy(update={"applications": schema.applications[:1]})
    client.deploy_apps(service, _blocking=False)
    while not is_running(config.applications[0].name):
        time.sleep(POLL_S)
    return client


def check_cpus(config: ServeConfig, cpus: float) -> None:
    """Raise `StartupError` where Ray would wait forever for a node with enough CPUs."""
    needed = sum(
        deployment.autoscaling_config.min_replicas * (deployment.ray_actor_options.num_cpus or 0)
        for deployment in config.applications[0].deployments
    )
    if needed > cpus:
        problem = f"the replicas need {needed:g} CPUs, this machine has {cpus:g}"
        raise StartupError(problem, "lower min_replicas or num_cpus")


def lab_outcome(lab: LabApplication, url: str) -> str:
    """Return a line once the lab runs or has failed, until then an empty one."""
    try:
        ready = is_running(lab.name)
    except StartupError as error:
        return f"the lab does not start, the service runs without it: {error.problem}"
    return f"the lab, to try it in a browser: {url}{lab.route_prefix}" if ready else ""


def is_running(name: str) -> bool:
    """Tell whether an application runs.

    Raises `StartupError` if it failed, or a replica did, which Serve would retry for minutes.
    """
    application = serve.status().applications[name]
    messages = [deployment.message for deployment in application.deployments.values()]
    failed = [message for message in messages if "failed to start" in message]
    if failed or application.status == ApplicationStatus.DEPLOY_FAILED:
        lines = "\n".join(failed or [application.message]).strip().splitlines()
        problem = lines[-1].strip() if lines else "an application failed to start"
        raise StartupError(problem, "the lines above have the traceback")
    return application.status == ApplicationStatus.RUNNING
