#!/usr/bin/env bash
# Propose the results of a run to the main branch: commit the given dvc.lock to the branch
# `retrain` and open a pull request with the given summary as its text, or update the open one.
# Needs git and gh.
#
#   ci/propose.sh RESULTS/dvc.lock RESULTS/summary.md
set -euo pipefail
lock=$(realpath "${1:?which dvc.lock?}")
summary=$(realpath "${2:?which summary?}")
cd "$(dirname "$0")/.."

if [[ -e dvc.lock ]] && cmp --silent "$lock" dvc.lock; then
    echo "propose: dvc.lock is unchanged; there is nothing to propose"
    exit
fi
cp "$lock" dvc.lock
revision=$(git rev-parse --short HEAD)
git add dvc.lock
git -c user.name="${AUTHOR_NAME:-retraining}" \
    -c user.email="${AUTHOR_EMAIL:-retraining@localhost}" \
    commit --quiet --message "Results of training at $revision"
git push --quiet --force origin HEAD:refs/heads/retrain

title="Results of training at $revision"
if [[ -n $(gh pr list --head retrain --base main --state open --json number --jq '.[].number') ]]; then
    gh pr edit retrain --title "$title" --body-file "$summary"
else
    gh pr create --head retrain --base main --title "$title" --body-file "$summary"
fi
