#!/usr/bin/env bash
# Two Redis: one caches scores and may forget, one holds the state of Ray's head and must not.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

zone=privatelink.redis.azure.net
az network private-dns zone create --resource-group "$GROUP" --name "$zone" --output none
az network private-dns link vnet create --resource-group "$GROUP" --zone-name "$zone" \
  --name "$NETWORK" --virtual-network "$NETWORK" --registration-enabled false --output none
dns=$(az network private-dns zone show --resource-group "$GROUP" --name "$zone" \
  --query id --output tsv)
subnet=$(az network vnet subnet show --resource-group "$GROUP" --vnet-name "$NETWORK" \
  --name private-endpoints --query id --output tsv)

az deployment group create --resource-group "$GROUP" --name "$CACHE_REDIS" \
  --template-file redis.bicep --output none --parameters \
  name="$CACHE_REDIS" sku=Balanced_B1 evictionPolicy=AllKeysLRU subnetId="$subnet" dnsZoneId="$dns"
az deployment group create --resource-group "$GROUP" --name "$STATE_REDIS" \
  --template-file redis.bicep --output none --parameters \
  name="$STATE_REDIS" sku=Balanced_B0 evictionPolicy=NoEviction subnetId="$subnet" dnsZoneId="$dns"
