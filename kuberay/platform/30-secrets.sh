#!/usr/bin/env bash
# Key Vault with the three secrets, and the identity by which the cluster reads them.
# Run it again with `--rotate` to give Ray a new token; see "Rotate a secret" in ../README.md.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

az keyvault show --name "$VAULT" --output none 2>/dev/null \
  || az keyvault create --resource-group "$GROUP" --name "$VAULT" --location "$LOCATION" \
    --enable-rbac-authorization true --output none
vault=$(az keyvault show --name "$VAULT" --query id --output tsv)

me=$(az ad signed-in-user show --query id --output tsv)
az role assignment create --role "Key Vault Secrets Officer" --scope "$vault" \
  --assignee-object-id "$me" --assignee-principal-type User --output none

az identity create --resource-group "$GROUP" --name "$CLUSTER-secrets" --output none
principal=$(az identity show --resource-group "$GROUP" --name "$CLUSTER-secrets" \
  --query principalId --output tsv)
az role assignment create --role "Key Vault Secrets User" --scope "$vault" \
  --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal --output none
issuer=$(az aks show --resource-group "$GROUP" --name "$CLUSTER" \
  --query oidcIssuerProfile.issuerUrl --output tsv)
az identity federated-credential create --resource-group "$GROUP" --name sentiment-secrets \
  --identity-name "$CLUSTER-secrets" --issuer "$issuer" \
  --subject system:serviceaccount:sentiment:sentiment-secrets \
  --audiences api://AzureADTokenExchange --output none

# A secret travels by a file that only we can read: arguments are seen by every process.
file=$(mktemp)
trap 'rm -f "$file"' EXIT

store() {
  # A role takes a while to reach the vault.
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    az keyvault secret set --vault-name "$VAULT" --name "$1" --file "$file" --encoding utf-8 \
      --output none && return
    sleep 10
  done
  return 1
}

key() {
  az redisenterprise database list-keys --resource-group "$GROUP" --cluster-name "$1" \
    --query primaryKey --output tsv | tr -d '\n'
}

if [ "${1:-}" = --rotate ] || ! az keyvault secret show --vault-name "$VAULT" \
  --name ray-auth-token --output none 2>/dev/null; then
  openssl rand -hex 32 | tr -d '\n' > "$file"
  store ray-auth-token
fi

key "$STATE_REDIS" > "$file"
store ray-redis-password

password=$(key "$CACHE_REDIS" | python3 -c \
  'import sys; from urllib.parse import quote; print(quote(sys.stdin.read(), safe=""))')
printf 'rediss://:%s@%s.%s.redis.azure.net:10000/0' "$password" "$CACHE_REDIS" "$LOCATION" > "$file"
store sentiment-cache-url
