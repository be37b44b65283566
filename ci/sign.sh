#!/usr/bin/env bash
# Sign the folder `artifacts` of a run's results, beside it: as the job itself where it has an
# identity (on GitHub, with the permission `id-token: write`), into artifacts.sigstore.json; with
# the private key in SIGNING_KEY (PEM), where that is set, into artifacts.sig. Then verify it, as
# its receiver will. Fails if there is neither. Needs the packages of serve.lock.
#
#   ci/sign.sh RESULTS
set -euo pipefail
results=$(realpath "${1:?which folder?}")
cd "$(dirname "$0")/.."

verify() {
    python3 -m alexnet.cli.main verify "$results/artifacts" "$@"
}
rm -f "$results"/artifacts.{sig,sigstore.json}
if [[ -n ${ACTIONS_ID_TOKEN_REQUEST_URL:-} ]]; then
    python3 -m model_signing sign sigstore --use_ambient_credentials \
        --signature "$results/artifacts.sigstore.json" "$results/artifacts"
    verify --identity "${GITHUB_SERVER_URL:?}/${GITHUB_WORKFLOW_REF:?}" \
        --identity-provider https://token.actions.githubusercontent.com
fi
if [[ -n ${SIGNING_KEY:-} ]]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    (umask 077 && printf '%s\n' "$SIGNING_KEY" >"$scratch/key.pem")
    openssl ec -in "$scratch/key.pem" -pubout -out "$scratch/key.pub" 2>/dev/null
    python3 -m model_signing sign key --private_key "$scratch/key.pem" \
        --signature "$results/artifacts.sig" "$results/artifacts"
    verify --key "$scratch/key.pub"
fi
if ! compgen -G "$results/artifacts.sig*" >/dev/null; then
    echo "error: sign: the job has no identity (permission id-token: write), and SIGNING_KEY is not set" >&2
    exit 1
fi
