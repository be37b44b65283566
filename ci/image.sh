#!/usr/bin/env bash
# Build the training image and push it to IMAGE, a name without a tag. Writes to
# GITHUB_OUTPUT: `image`, pinned by its `digest`. Layers are cached in the registry: after a
# change of code alone, the packages are not installed again.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${IMAGE:?set it to the name of the image, without a tag}"
image=${IMAGE,,} # a registry wants no capitals, and a repository's owner may have some
revision=$(git describe --always --abbrev=40 --exclude='*' --dirty)
lock=$(sha256sum requirements.lock)
facts=$(mktemp)
trap 'rm -f "$facts"' EXIT

docker buildx create --use --driver docker-container >/dev/null
docker buildx build --push --target train --tag "$image:$revision" \
    ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} \
    --build-arg "REVISION=$revision" --build-arg "LOCK_DIGEST=${lock%% *}" \
    --cache-from "type=registry,ref=$image:cache" \
    --cache-to "type=registry,ref=$image:cache,mode=max" \
    --metadata-file "$facts" .

digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$facts")
printf 'image=%s\ndigest=%s\n' "$image@$digest" "$digest" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
