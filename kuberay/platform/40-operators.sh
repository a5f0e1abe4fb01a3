#!/usr/bin/env bash
# Prometheus, KubeRay and External Secrets. Helm never upgrades CRDs, so KubeRay's are applied before it.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

helm repo add kuberay https://ray-project.github.io/kuberay-helm/
helm repo add external-secrets https://charts.external-secrets.io
helm repo add prometheus-community https://prometheus-community.github.io/helm-charts
helm repo update

# The operator gets roles in these namespaces alone, so they have to be there first.
for namespace in sentiment sentiment-dev; do
  kubectl create namespace "$namespace" --dry-run=client --output yaml | kubectl apply --filename -
done

# First, because it brings the kinds by which KubeRay's chart has itself monitored.
helm upgrade --install kube-prometheus-stack prometheus-community/kube-prometheus-stack \
  --version "$PROMETHEUS_STACK_VERSION" --namespace monitoring --create-namespace \
  --values prometheus.values.yaml --wait

# Server-side, because they are larger than what a client-side apply can remember.
helm show crds kuberay/kuberay-operator --version "$KUBERAY_VERSION" \
  | kubectl apply --server-side --force-conflicts --filename -
helm upgrade --install kuberay-operator kuberay/kuberay-operator --version "$KUBERAY_VERSION" \
  --namespace kuberay-system --create-namespace --skip-crds \
  --values kuberay-operator.values.yaml --wait

helm upgrade --install external-secrets external-secrets/external-secrets \
  --version "$EXTERNAL_SECRETS_VERSION" --namespace external-secrets --create-namespace --wait
