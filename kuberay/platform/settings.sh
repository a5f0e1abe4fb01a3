# shellcheck shell=bash disable=SC2034
# What differs between installations. Every script here reads it; change it before the first one.
# Globally unique names: REGISTRY, VAULT, CACHE_REDIS and STATE_REDIS.
LOCATION=swedencentral
GROUP=sentiment-serve
CLUSTER=sentiment-serve
REGISTRY=sentimentserve
VAULT=sentiment-serve
CACHE_REDIS=sentiment-serve-cache
STATE_REDIS=sentiment-serve-gcs
HOSTNAME=sentiment.example.com

# The network: nodes, private endpoints (both Redis) and the API server.
NETWORK=sentiment-serve
NETWORK_CIDR=10.80.0.0/16
NODES_CIDR=10.80.0.0/20
PRIVATE_ENDPOINTS_CIDR=10.80.16.0/24
API_SERVER_CIDR=10.80.17.0/28
PODS_CIDR=10.244.0.0/16
SERVICES_CIDR=10.96.0.0/16
DNS_IP=10.96.0.10

# The nodes. One worker pod fills a worker node. An upgrade runs two clusters for minutes, so there
# may be twice as many nodes as maxReplicas in kuberay/base/rayservice.yaml.
SYSTEM_SIZE=Standard_D2ds_v5
SYSTEM_NODES_MAX=4
HEAD_SIZE=Standard_D4ds_v5
HEAD_NODES_MAX=2
WORKER_SIZE=Standard_D8ds_v5
WORKER_NODES_MIN=2
WORKER_NODES_MAX=16

# Versions.
KUBERNETES_VERSION=1.34
KUBERAY_VERSION=1.7.0
EXTERNAL_SECRETS_VERSION=2.9.0
PROMETHEUS_STACK_VERSION=79.0.0
