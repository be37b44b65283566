#!/usr/bin/env bash
# What ci/propose.sh does, on GitLab: commit the given dvc.lock to the branch `retrain` and open a
# merge request, or update the open one. The summary is the text of the commit, since a push option
# has one line. Needs git alone; reads the variables of a GitLab job, and PROJECT_TOKEN.
#
#   ci/merge_request.sh dvc.lock summary.md
set -euo pipefail
lock=$(realpath "${1:?which dvc.lock?}")
summary=$(realpath "${2:?which summary?}")
cd "$(dirname "$0")/.."
: "${PROJECT_TOKEN:?set it to a project access token with the scope write_repository}"

if git show HEAD:dvc.lock 2>/dev/null | cmp --silent - "$lock"; then
    echo "merge_request: dvc.lock is unchanged; there is nothing to propose"
    exit
fi
title="Results of training at $(git rev-parse --short HEAD)"
[[ $lock -ef dvc.lock ]] || cp "$lock" dvc.lock
git add dvc.lock
{ printf '%s\n\n' "$title" && cat "$summary"; } |
    git -c user.name="${AUTHOR_NAME:-retraining}" -c user.email="${AUTHOR_EMAIL:-retraining@localhost}" \
        commit --quiet --cleanup=verbatim --file=-
# The token stays in the environment: no command line and no URL has it.
# shellcheck disable=SC2016
git -c credential.helper= \
    -c credential.helper='!f() { echo username=retraining; echo "password=$PROJECT_TOKEN"; }; f' \
    push --force "$CI_PROJECT_URL.git" HEAD:refs/heads/retrain \
    --push-option=merge_request.create \
    --push-option=merge_request.target="$CI_DEFAULT_BRANCH" \
    --push-option=merge_request.title="$title" \
    --push-option=merge_request.description="The commit has the summary, and [the pipeline]($CI_PIPELINE_URL) the report and the artifact." \
    --push-option=merge_request.remove_source_branch
