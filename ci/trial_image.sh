#!/usr/bin/env bash
# Name the image in which a pull request is trained: main's, by its digest, of IMAGE (a name without
# a tag). Fails if the pull request changes the image. Writes `image` to GITHUB_OUTPUT. Needs gh
# and docker.
#
#   IMAGE=ghcr.io/OWNER/NAME PULL_REQUEST=7 ci/trial_image.sh
set -euo pipefail
: "${IMAGE:?set it to the name of the image, without a tag}" "${PULL_REQUEST:?which one?}"
image=${IMAGE,,}

# A file that is renamed away has its name in `previous_filename`.
files=$(gh api --paginate "repos/${GITHUB_REPOSITORY:?}/pulls/$PULL_REQUEST/files" --jq '.[] | .filename, .previous_filename // empty')
if changed=$(grep -xE 'Dockerfile|(train|image)\.lock|ci/image/.*' <<<"$files"); then
    echo "error: trial_image: the pull request changes ${changed//$'\n'/, }, and with it the image;" \
        "a trial runs in main's. Merge that first, in a pull request of its own" >&2
    exit 1
fi
if ! digest=$(docker buildx imagetools inspect "$image:main" --format '{{.Manifest.Digest}}'); then
    echo "error: trial_image: there is no image $image:main; run the workflow retrain on main" >&2
    exit 1
fi
echo "image=$image@$digest" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
