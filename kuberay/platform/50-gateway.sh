#!/usr/bin/env bash
# The shared Gateway. 50-gateway.sh CERTIFICATE KEY, both PEM; without them, a certificate for
# trials that no browser trusts.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

certificate=${1:-} key=${2:-}
if [ -z "$certificate" ]; then
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  certificate=$directory/tls.crt key=$directory/tls.key
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$HOSTNAME" \
    -addext "subjectAltName=DNS:$HOSTNAME" -keyout "$key" -out "$certificate"
fi
kubectl create namespace gateway --dry-run=client --output yaml | kubectl apply --filename -
kubectl --namespace gateway create secret tls public-tls --cert "$certificate" --key "$key" \
  --dry-run=client --output yaml | kubectl apply --filename -
kubectl apply --filename gateway.yaml
kubectl --namespace gateway wait gateway/public --for=condition=Programmed --timeout=10m
echo "point $HOSTNAME at this address:"
kubectl --namespace gateway get gateway public --output jsonpath='{.status.addresses[0].value}{"\n"}'
