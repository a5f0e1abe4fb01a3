#!/usr/bin/env bash
# 70-image.sh BASE [MODEL_ID MODEL_REVISION]: builds the image, pushes it and names its digest in
# the production overlay. BASE is the base image of ../../Dockerfile; of a tag, today's digest is taken.
set -euo pipefail
cd "$(dirname "$0")"
source settings.sh

base=$1 model=${2:-embedded} revision=${3:-}
[[ $base == *@* ]] || base=$base@$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$base")
commit=$(git rev-parse --short HEAD)
image=$REGISTRY.azurecr.io/sentiment-serve

metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
az acr login --name "$REGISTRY"
# The nodes are of this architecture, whatever the machine is that builds.
docker buildx build ../.. --platform linux/amd64 --push --tag "$image:$commit" --metadata-file "$metadata" \
  --build-arg BASE="$base" --build-arg MODEL_ID="$model" --build-arg MODEL_REVISION="$revision" \
  --build-arg REVISION="$commit"
digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' \
  "$metadata")
cd ../overlays/prod
kustomize edit set image "sentiment-serve=$image@$digest"
echo "$image@$digest"
