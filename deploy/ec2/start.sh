#!/usr/bin/env bash
# Start a machine with a GPU on EC2, which runs one job of GitHub Actions and is gone after it:
#
#   deploy/ec2/start.sh OWNER/NAME
#
# Needs gh, with a token that may administer the repository (fine-grained: "Administration", write),
# aws and envsubst (gettext). What kind of machine, instance.json says.
set -euo pipefail
repository=${1:?which repository, as OWNER/NAME?}
cd "$(dirname "$0")"

api="repos/$repository/actions/runners"
runner=$(gh api "$api/downloads" \
    --jq '.[] | select(.os == "linux" and .architecture == "x64") | .download_url + " " + .sha256_checksum')
read -r URL SHA256 <<<"$runner"
JIT_CONFIG=$(gh api --method POST "$api/generate-jitconfig" --raw-field "name=ec2-$(date +%s)" \
    --field runner_group_id=1 --raw-field 'labels[]=self-hosted' \
    --raw-field "labels[]=${GPU_RUNNER:-gpu}" --jq .encoded_jit_config)
export URL SHA256 JIT_CONFIG
# shellcheck disable=SC2016 # the names of what envsubst puts in
envsubst '$URL $SHA256 $JIT_CONFIG' <user-data.yaml | # no command line, which others may read, has it
    aws ec2 run-instances --cli-input-json file://instance.json --output text \
        --query 'Instances[0].InstanceId' --user-data file:///dev/stdin
