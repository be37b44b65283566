#!/usr/bin/env bash
# What ci/propose.sh does, on GitLab: commit the given dvc.lock to the branch `retrain` and open a
# merge request, or update the open one. The summary is the text of the commit, since a push option
# has one line. Without arguments it checks that it may. A branch `retrain` with somebody else's
# commits stays as it is. Needs git alone; reads the variables of a GitLab job, and PROJECT_TOKEN.
#
#   ci/merge_request.sh [dvc.lock summary.md]
set -euo pipefail
if (($#)); then
    lock=$(realpath "$1")
    summary=$(realpath "${2:?which summary?}")
fi
cd "$(dirname "$0")/.."
: "${PROJECT_TOKEN:?set it to a project access token with the scope write_repository}"
name=${AUTHOR_NAME:-retraining}
email=${AUTHOR_EMAIL:-retraining@localhost}

# The token stays in the environment: no command line and no URL has it.
# shellcheck disable=SC2016
gitlab() {
    git -c credential.helper= \
        -c credential.helper='!f() { echo username=retraining; echo "password=$PROJECT_TOKEN"; }; f' "$@"
}

if (($#)) && git show HEAD:dvc.lock 2>/dev/null | cmp --silent - "$lock"; then
    echo "merge_request: dvc.lock is unchanged; there is nothing to propose"
    exit
fi
gitlab fetch --quiet --prune "$CI_PROJECT_URL.git" '+refs/heads/*:refs/remotes/origin/*'
tip=$(git rev-parse --quiet --verify refs/remotes/origin/retrain || true)
theirs=$(git log --format='%h %s (%cn <%ce>)' "${tip:-HEAD}" --not HEAD "origin/$CI_DEFAULT_BRANCH" |
    grep --invert-match --fixed-strings " <$email>)" || true)
if [[ $theirs ]]; then
    echo "error: the branch retrain has commits that are not this job's:
$theirs
merge or rename the branch, then run this job again" >&2
    exit 1
fi
push=(push "--force-with-lease=retrain:$tip" "$CI_PROJECT_URL.git" HEAD:refs/heads/retrain)
if ! (($#)); then
    gitlab "${push[@]}" --quiet --dry-run
    exit
fi
title="Results of training at $(git rev-parse --short HEAD)"
[[ $lock -ef dvc.lock ]] || cp "$lock" dvc.lock
git add dvc.lock
{ printf '%s\n\n' "$title" && cat "$summary"; } |
    git -c user.name="$name" -c user.email="$email" commit --quiet --cleanup=verbatim --file=-
gitlab "${push[@]}" \
    --push-option=merge_request.create \
    --push-option=merge_request.target="$CI_DEFAULT_BRANCH" \
    --push-option=merge_request.title="$title" \
    --push-option=merge_request.description="The commit has the summary, and [the pipeline]($CI_PIPELINE_URL) the report and the artifact." \
    --push-option=merge_request.remove_source_branch
