"""What a production cluster lives through, and what is promised of it."""

import time
from functools import partial
from typing import Any, Final

import httpx
import yaml

from kuberay.generate import CONFIG, serve_config, serve_patch
from loadtest.answers import MIXED_UP, Revision
from loadtest.generator import Load
from loadtest.service import eventually
from serve_app.ray_serve.config import read
from tests.prod_local.load import Summary, load_on, urls_of
from tests.prod_local.ray_cluster import HTTP_PORT, Plan, RayCluster, Replica
from tests.prod_local.report import Report
from tests.serve import http2
from tests.serve.attacks import SMUGGLING, withstands
from tests.serve.wire import ask, chunked, post

WORKERS: Final = 2
# Short, so that at any time a part of the texts is computed and a part is remembered.
CACHE_TTL_S: Final = 3.0
MAX_TEXTS: Final = 128
HEAD_OUTAGE_S: Final = 20.0
# After which a Service no longer has the address of a pod that has died.
ENDPOINT_S: Final = 5.0
SETTLE_S: Final = 150.0
# Production waits longer before it deletes the old cluster; the load has no long requests.
DELETION_DELAY_S: Final = 5.0
_EXPORTER_PORT: Final = 9101
_OF_THE_MODEL: Final = ("Gateway", "Classifier")


def production() -> dict[str, Any]:
    """Return what production deploys, with fewer replicas and a short memory."""
    bounds = {"autoscaling_config": {"min_replicas": WORKERS, "max_replicas": WORKERS}}
    gateway = bounds | {"user_config": {"cache_ttl_s": CACHE_TTL_S}}
    config = serve_config(read(CONFIG), {"Gateway": gateway, "Classifier": bounds})
    patch = serve_patch(config)[0]
    content: dict[str, Any] = yaml.safe_load(patch["value"])
    return content


def sentiment(content: dict[str, Any]) -> dict[str, Any]:
    """Return the sentiment application of a Serve configuration."""
    found: dict[str, Any]
    (found,) = (one for one in content["applications"] if one["name"] == "sentiment")
    return found


class Scenario:
    """The steps, in the order in which a cluster lives through them.

    Args:
        plan: What its clusters have in common.
        first: The revision that is served at first.
        second: The one that it is upgraded to.
        report: Told of every promise.
    """

    def __init__(self, plan: Plan, first: Revision, second: Revision, report: Report) -> None:
        self._plan = plan
        self._first = first
        self._second = second
        self._report = report
        self._config = production()

    def run(self) -> None:
        """Live through all of it.

        Raises:
            TimeoutError: Something did not come about at all.
        """
        with (
            RayCluster(self._plan, 1, {"SENTIMENT_MODEL": self._first.source}) as old,
            RayCluster(self._plan, 2, {"SENTIMENT_MODEL": self._second.source}) as new,
        ):
            self._report.step("start a head and two workers, then `serve deploy`")
            self._start(old)
            self._look_at(old)
            self._attack(old)
            with load_on(old.nodes, (self._first, self._second)) as load:
                self._lose_the_head(old, load)
                self._tune(old, load)
                self._upgrade_by_cluster(old, new, load)
                total = Summary(load, 0)
                self._report.promise(not total.failed, "until here, every request", total)
                self._replace_in_place(new, load)
                self._lose_a_worker(new, load)

    def _start(self, cluster: RayCluster) -> None:
        cluster.start()
        cluster.deploy(self._config)
        eventually(cluster.settled, "the application runs", SETTLE_S)
        for node in cluster.nodes:
            eventually(partial(ready, node), f"{node} is ready", SETTLE_S)

    def _look_at(self, cluster: RayCluster) -> None:
        text = next(iter(self._first.margins))
        answers = [
            httpx.post(f"{node}/project/predict", json={"text": [text]}) for node in cluster.nodes
        ]
        self._report.promise(
            all(answer.status_code == httpx.codes.OK for answer in answers)
            and len({answer.content for answer in answers}) == 1,
            f"each worker answers on its own port {HTTP_PORT}",
            [answer.status_code for answer in answers],
        )
        exporters = [
            httpx.get(f"http://{worker.address}:{_EXPORTER_PORT}/metrics").status_code
            for worker in cluster.workers
        ]
        self._report.promise(
            set(exporters) == {httpx.codes.OK}, "each worker has an HAProxy", exporters
        )
        for name, where in placed(cluster).items():
            self._report.promise(
                len(set(where)) == WORKERS, f"{name} has a replica on every worker", where
            )

    def _attack(self, cluster: RayCluster) -> None:
        self._report.step("smuggle requests in HTTP/1.1 and HTTP/2, name a trailer as a header")
        node = cluster.nodes[0]
        tried = len(SMUGGLING) + len(http2.SMUGGLING)
        smuggled = [name for name, request in SMUGGLING.items() if not withstands(node, request)]
        smuggled += [name for name in http2.SMUGGLING if not http2.withstands(node, name)]
        self._report.promise(not smuggled, "nothing is smuggled", smuggled or f"{tried} attacks")
        *request, _ = chunked([http2.BODY])
        trailer = ask(node, [*request, b"0\r\nX-Deadline-Ms: 1\r\n\r\n"]).status
        self._report.promise(trailer == httpx.codes.OK, "a trailer is no header", trailer)
        foreign = ask(node, post(http2.BODY, "Origin: https://evil.example")).status
        self._report.promise(
            foreign == httpx.codes.FORBIDDEN, "a page of another origin makes no work", foreign
        )

    def _lose_the_head(self, cluster: RayCluster, load: Load) -> None:
        before = cluster.replicas()
        begun = self._report.step(f"kill the head (SIGKILL), start it {HEAD_OUTAGE_S:.0f} s later")
        cluster.head.kill()
        time.sleep(HEAD_OUTAGE_S)
        outage = Summary(load, begun)
        self._report.promise(not outage.failed, "workers answer without a head", outage)
        cluster.start_head()
        took = eventually(cluster.head_answers, "the head is back", SETTLE_S)
        self._report.seen(f"the control plane answered {took:.0f} s after its start")
        eventually(partial(settled_again, cluster), "the application is known again", SETTLE_S)
        after = cluster.replicas()
        self._report.promise(
            after == before, "the head knows its state again: the same replicas run", count(after)
        )
        whole = Summary(load, begun)
        self._report.promise(not whole.failed, "no request is lost by its return", whole)

    def _tune(self, cluster: RayCluster, load: Load) -> None:
        before, submitted = cluster.replicas(), cluster.submitted()
        begun = self._report.step(f"update the configuration in place: max_texts {MAX_TEXTS}")
        sentiment(self._config)["deployments"][0]["user_config"]["max_texts"] = MAX_TEXTS
        cluster.deploy(self._config)
        took = eventually(
            lambda: all(limit(node) == MAX_TEXTS for node in cluster.nodes), "tuned", SETTLE_S
        )
        eventually(cluster.settled, "the application runs", SETTLE_S)
        same = cluster.replicas() == before
        self._report.promise(same, "no replica restarts", f"applied in {took:.1f} s")
        later = cluster.submitted() - submitted
        self._report.promise(later > 0, "last_deployed_time_s tells so", f"{later:.0f} s later")
        seen = Summary(load, begun)
        self._report.promise(not seen.failed, "no request is lost", seen)

    def _upgrade_by_cluster(self, old: RayCluster, new: RayCluster, load: Load) -> None:
        begun = self._report.step("upgrade the model as KubeRay does: a new cluster, then switch")
        self._start(new)
        load.urls = urls_of(new.nodes)
        time.sleep(DELETION_DELAY_S)
        switched = time.time()
        old.close()
        eventually(lambda: Summary(load, switched).requests > 0, "the load goes on", SETTLE_S)
        seen = Summary(load, begun)
        self._report.promise(not seen.failed, "no request is lost, no revision mixed up", seen)
        self._both_answered(seen, self._first, self._second)

    def _replace_in_place(self, cluster: RayCluster, load: Load) -> None:
        begun = self._report.step("replace the model in place, back to the first revision")
        before = cluster.replicas()
        sentiment(self._config)["args"]["model"] = self._first.source
        cluster.deploy(self._config)
        took = eventually(
            lambda: set(Summary(load, time.time() - 2).by_revision) == {self._first.name},
            "only the first revision answers",
            SETTLE_S,
        )
        eventually(
            lambda: cluster.settled() and not common(cluster.replicas(), before),
            "the old replicas are gone",
            SETTLE_S,
        )
        self._report.seen(f"the other revision answered alone after {took:.0f} s")
        seen = Summary(load, begun)
        # Nothing keeps old classifiers until the last old gateway is gone, so that one of these
        # may find no replica of its revision. An upgrade takes the step above.
        mixed = seen.problems[MIXED_UP]
        self._report.promise(not mixed, "no revision is mixed up; requests may be lost", seen)
        self._both_answered(seen, self._second, self._first)

    def _lose_a_worker(self, cluster: RayCluster, load: Load) -> None:
        begun = self._report.step("kill a worker (SIGKILL), whose proxy ends with it")
        lost, left = cluster.nodes
        cluster.workers[0].kill()
        time.sleep(ENDPOINT_S)
        load.urls = urls_of([left])
        moved = {name: [cluster.workers[1].address] * WORKERS for name in _OF_THE_MODEL}
        took = eventually(lambda: placed(cluster) == moved, "all replicas run again", SETTLE_S)
        self._report.seen(f"all replicas ran on the worker that is left after {took:.0f} s more")
        seen = Summary(load, begun, left)
        self._report.promise(not seen.failed, "no request to the proxy that is left is lost", seen)
        self._report.seen(f"at the lost one, {ENDPOINT_S:.0f} s long: {Summary(load, begun, lost)}")

    def _both_answered(self, seen: Summary, old: Revision, new: Revision) -> None:
        self._report.promise(
            set(seen.by_revision) == {old.name, new.name},
            "answers tell their revision",
            f"old {seen.by_revision[old.name]}, new {seen.by_revision[new.name]}, "
            f"{seen.hits} texts from the cache",
        )


def ready(node: str) -> bool:
    """Tell what the readiness probe of a worker pod would find."""
    try:
        return httpx.get(f"{node}/-/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def settled_again(cluster: RayCluster) -> bool:
    """Tell whether the application runs, as far as a head that has just started knows."""
    try:
        return cluster.settled()
    except httpx.HTTPError:
        return False


def limit(node: str) -> int:
    """Return the most texts that a request may have, as the node tells."""
    return int(httpx.get(f"{node}/project/info").json()["limits"]["max_texts"])


def placed(cluster: RayCluster) -> dict[str, list[str]]:
    """Return the node's address of each replica that was given the model."""
    replicas = cluster.replicas()
    return {name: sorted(address for address, _, _ in replicas[name]) for name in _OF_THE_MODEL}


def common(now: dict[str, set[Replica]], before: dict[str, set[Replica]]) -> bool:
    """Tell whether any replica runs that ran before and was given the model."""
    return any(now[name] & before[name] for name in _OF_THE_MODEL)


def count(replicas: dict[str, set[Replica]]) -> str:
    """Return how many replicas each deployment has."""
    return ", ".join(f"{name} {len(ids)}" for name, ids in replicas.items())
