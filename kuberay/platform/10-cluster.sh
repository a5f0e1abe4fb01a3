#!/usr/bin/env bash
# Resource group, network, registry and cluster with three node pools.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

az group create --name "$GROUP" --location "$LOCATION" --output none

az network vnet create --resource-group "$GROUP" --name "$NETWORK" \
  --address-prefixes "$NETWORK_CIDR" --output none
az network vnet subnet create --resource-group "$GROUP" --vnet-name "$NETWORK" \
  --name nodes --address-prefixes "$NODES_CIDR" --output none
az network vnet subnet create --resource-group "$GROUP" --vnet-name "$NETWORK" \
  --name private-endpoints --address-prefixes "$PRIVATE_ENDPOINTS_CIDR" --output none
az network vnet subnet create --resource-group "$GROUP" --vnet-name "$NETWORK" \
  --name api-server --address-prefixes "$API_SERVER_CIDR" \
  --delegations Microsoft.ContainerService/managedClusters --output none

az acr create --resource-group "$GROUP" --name "$REGISTRY" --sku Standard --output none

# The cluster's own identity joins the subnets.
az identity create --resource-group "$GROUP" --name "$CLUSTER" --output none
identity=$(az identity show --resource-group "$GROUP" --name "$CLUSTER" --query id --output tsv)
principal=$(az identity show --resource-group "$GROUP" --name "$CLUSTER" \
  --query principalId --output tsv)
network=$(az network vnet show --resource-group "$GROUP" --name "$NETWORK" --query id --output tsv)
az role assignment create --role "Network Contributor" --scope "$network" \
  --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal --output none

# Cilium enforces the network policies. The API server stands in the network, so that a policy can
# name its addresses. The managed Gateway API and its Istio-based controller are the ingress.
az aks create --resource-group "$GROUP" --name "$CLUSTER" --location "$LOCATION" \
  --kubernetes-version "$KUBERNETES_VERSION" --tier standard \
  --auto-upgrade-channel patch --node-os-upgrade-channel NodeImage \
  --assign-identity "$identity" --vnet-subnet-id "$network/subnets/nodes" \
  --network-plugin azure --network-plugin-mode overlay --network-dataplane cilium \
  --pod-cidr "$PODS_CIDR" --service-cidr "$SERVICES_CIDR" --dns-service-ip "$DNS_IP" \
  --enable-apiserver-vnet-integration --apiserver-subnet-id "$network/subnets/api-server" \
  --enable-oidc-issuer --enable-workload-identity \
  --enable-gateway-api --enable-app-routing-istio \
  --attach-acr "$REGISTRY" --no-ssh-key \
  --nodepool-name system --node-vm-size "$SYSTEM_SIZE" --node-count 2 --zones 1 2 3 \
  --enable-cluster-autoscaler --min-count 2 --max-count "$SYSTEM_NODES_MAX" --output none

# Ray's head, which is never evicted to save a node. Taints keep other pods off both pools: they would
# take the room of Ray's, and hold up a node that is to go.
az aks nodepool add --resource-group "$GROUP" --cluster-name "$CLUSTER" --name head \
  --mode User --node-vm-size "$HEAD_SIZE" --node-osdisk-type Ephemeral --zones 1 2 3 \
  --labels sentiment-serve/pool=head --node-taints sentiment-serve/pool=head:NoSchedule \
  --vnet-subnet-id "$network/subnets/nodes" \
  --node-count 1 --enable-cluster-autoscaler --min-count 1 --max-count "$HEAD_NODES_MAX" \
  --output none

# An upgrade replaces one node at a time, after its pod has moved.
az aks nodepool add --resource-group "$GROUP" --cluster-name "$CLUSTER" --name worker \
  --mode User --node-vm-size "$WORKER_SIZE" --node-osdisk-type Ephemeral --zones 1 2 3 \
  --labels sentiment-serve/pool=worker --node-taints sentiment-serve/pool=worker:NoSchedule \
  --vnet-subnet-id "$network/subnets/nodes" \
  --node-count "$WORKER_NODES_MIN" --enable-cluster-autoscaler \
  --min-count "$WORKER_NODES_MIN" --max-count "$WORKER_NODES_MAX" \
  --max-surge 1 --drain-timeout 30 --output none

az aks get-credentials --resource-group "$GROUP" --name "$CLUSTER" --overwrite-existing
