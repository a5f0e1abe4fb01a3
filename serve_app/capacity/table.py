"""The one table from which replicas, worker pods and nodes follow.

Scaling is handed over in three steps: Serve's replicas that fit no worker pod make the Ray
autoscaler ask for pods, pods that fit no node make the cluster autoscaler ask for nodes. Each step
counts CPUs, so that what fits into what has to agree between `configs/prod.yaml`, `kuberay/` and
the node pool. A test compares them with this table.
"""

from typing import Final, NamedTuple


class Role(NamedTuple):
    """One deployment's share of a worker pod.

    Attributes:
        cpus: CPUs that Ray reserves for a replica, which computes in one thread.
        per_pod: Replicas that a full pod holds.
    """

    cpus: int
    per_pod: int

    @property
    def least(self) -> int:
        """Fewest replicas: one more than a pod holds, so that two pods always serve."""
        return self.per_pod + 1

    @property
    def most(self) -> int:
        """Most replicas: those of all pods."""
        return self.per_pod * PODS_MOST


# A classifier computes without pause under load. A gateway takes the requests of two of them and
# cached ones besides, see "How many gateways" in docs/scaling.md.
GATEWAY: Final = Role(cpus=1, per_pod=2)
CLASSIFIER: Final = Role(cpus=1, per_pod=4)

# What Ray may give to replicas; HAProxy and Ray's own processes take half a CPU more.
POD_CPUS: Final = GATEWAY.cpus * GATEWAY.per_pod + CLASSIFIER.cpus * CLASSIFIER.per_pod
POD_CPU_REQUEST: Final = POD_CPUS + 0.5
PODS_LEAST: Final = 2
PODS_MOST: Final = 8

# One worker pod fills a node: what AKS leaves of eight CPUs is 7.8, daemons take some of it.
NODE_SIZE: Final = "Standard_D8ds_v5"
NODE_CPUS: Final = 8
# While a new version starts, two clusters run side by side.
NODES_MOST: Final = 2 * PODS_MOST

# Each step waits for the one before to settle: replicas go after the first of these, their pod
# after the second more, its node ten minutes later, the default of the AKS autoscaler.
REPLICA_IDLE_S: Final = 300
POD_IDLE_S: Final = 300
