#!/usr/bin/env bash
# Build the training image and push it to IMAGE, a name without a tag. Writes to
# GITHUB_OUTPUT: `image`, pinned by its `digest`. Layers are cached in the registry: after a
# change of code alone, the packages are not installed again. With REFRESH=1 they are, and the
# packages of the system are renewed. With TAG, the image gets that tag too.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${IMAGE:?set it to the name of the image, without a tag}"
image=${IMAGE,,} # a registry wants no capitals, and a repository's owner may have some
revision=$(git describe --always --abbrev=40 --exclude='*' --dirty)
lock=$(sha256sum train.lock)
facts=$(mktemp)
builder=$(docker buildx create --driver docker-container)
trap 'rm -f "$facts"; docker buildx rm "$builder" >/dev/null 2>&1 || true' EXIT

# Files have the time of the commit, and no attestation has that of the build: the same files give
# the same digest.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
docker buildx build --builder "$builder" --output type=registry,rewrite-timestamp=true --provenance=false --pull ${REFRESH:+--no-cache} \
    --target train --tag "$image:$revision" ${TAG:+--tag "$image:$TAG"} \
    ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "SERVE_BASE_IMAGE=$BASE_IMAGE"} \
    --build-arg "REVISION=$revision" --build-arg "LOCK_DIGEST=${lock%% *}" \
    --cache-from "type=registry,ref=$image:cache" \
    --cache-to "type=registry,ref=$image:cache,mode=max" \
    --metadata-file "$facts" .

digest=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "$facts")
printf 'image=%s\ndigest=%s\n' "$image@$digest" "$digest" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
