#!/usr/bin/env bash
# Writes ../overlays/prod/site.yaml from the settings and from what Azure has made.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

tenant=$(az account show --query tenantId --output tsv)
client=$(az identity show --resource-group "$GROUP" --name "$CLUSTER-secrets" \
  --query clientId --output tsv)
cat > ../overlays/prod/site.yaml <<EOF
# What differs between installations; kuberay/platform/60-site.sh writes it. It is read by
# site.replacements.yaml and never applied.
apiVersion: v1
kind: ConfigMap
metadata:
  name: site
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  hostname: $HOSTNAME
  key-vault-url: https://$VAULT.vault.azure.net
  tenant-id: $tenant
  secrets-client-id: $client
  gcs-redis-address: rediss://$STATE_REDIS.$LOCATION.redis.azure.net:10000
  private-endpoints-cidr: $PRIVATE_ENDPOINTS_CIDR
  api-server-cidr: $API_SERVER_CIDR
EOF
