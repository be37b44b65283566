#!/usr/bin/env bash
# Attach the model to the release of a tag: the folder `artifacts` as an archive, with its
# digest and the signatures that ci/sign.sh has made. Fails if there is none, or dvc.lock at the
# tag is another. Needs git and gh.
#
#   ci/release.sh v1.0 RESULTS        RESULTS holds dvc.lock, artifacts/ and artifacts.sig*
set -euo pipefail
tag=${1:?which tag?}
results=$(realpath "${2:?which folder?}")
cd "$(dirname "$0")/.."

if [[ ! $tag =~ ^[A-Za-z0-9._+-]+$ ]]; then # it becomes the name of the archive and its folder
    echo "error: release: the tag $tag has other characters than letters, digits and . _ + -" >&2
    exit 1
fi
if ! git cat-file -e "$tag^{commit}"; then
    echo "error: release: there is no tag $tag here" >&2
    exit 1
fi
if ! git show "$tag:dvc.lock" | cmp --silent - "$results/dvc.lock"; then
    echo "error: release: dvc.lock at $tag is not that of this run; merge the results that" \
        "retraining on main proposes, and tag that" >&2
    exit 1
fi
if ! compgen -G "$results/artifacts.sig*" >/dev/null; then
    echo "error: release: nothing beside $results/artifacts is its signature; run ci/sign.sh" >&2
    exit 1
fi
# The same model gives the same archive, byte for byte.
name=alexnet-$tag
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tar --create --directory "$results" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX --transform "s,^artifacts,$name," artifacts | gzip --no-name >"$scratch/$name.tar.gz"
(cd "$scratch" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
for signature in "$results"/artifacts.sig*; do # of the folder in the archive, whatever its name
    cp "$signature" "$scratch/$name${signature#"$results/artifacts"}"
done

if gh release view "$tag" >/dev/null 2>&1; then
    gh release upload "$tag" --clobber "$scratch"/*
else # gh publishes it when it has the files
    gh release create "$tag" --verify-tag --title "$tag" \
        --notes-file "$results/artifacts/MODEL_CARD.md" "$scratch"/*
fi
