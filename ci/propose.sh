#!/usr/bin/env bash
# Propose the results of a run to the main branch: commit their dvc.lock to the branch `retrain` and
# open a pull request, or update the open one. Its text is the summary and a few pictures, which lie
# on a branch of their own: a pull request shows no picture that is not on the web. A branch `retrain`
# with somebody else's commits stays as it is; without arguments, this is all that is checked. Needs
# git, with the whole history, and gh.
#
#   ci/propose.sh [RESULTS]      RESULTS holds dvc.lock, summary.md and reports/figures/
set -euo pipefail
results=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."
pictures=(loss accuracy confusion_matrix mistakes conv1_filters)
branch=retrain-pictures

if [[ $results && -e dvc.lock ]] && cmp --silent "$results/dvc.lock" dvc.lock; then
    echo "propose: dvc.lock is unchanged; there is nothing to propose"
    exit
fi
export GIT_AUTHOR_NAME="${AUTHOR_NAME:-retraining}" GIT_AUTHOR_EMAIL="${AUTHOR_EMAIL:-retraining@localhost}"
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
revision=$(git rev-parse --short HEAD)
title="Results of training at $revision"

git fetch --quiet --prune origin '+refs/heads/*:refs/remotes/origin/*'
tip=$(git rev-parse --quiet --verify refs/remotes/origin/retrain || true)
commits() {
    git log "$@" --format='%h %s (%cn <%ce>)' "${tip:-HEAD}" --not HEAD origin/main
}
# The button "Update branch" merges main, which is nobody's work.
theirs=$({ commits --no-merges && commits --merges | grep -vF "(GitHub <noreply@github.com>)"; } |
    grep -vF " <$GIT_COMMITTER_EMAIL>)" || true)
if [[ $theirs ]]; then
    echo "error: propose: the branch retrain has commits that are not this job's, which are kept:
$theirs
merge or rename the branch, then run this job again" >&2
    exit 1
fi
[[ $results ]] || exit 0

# Each run's pictures are a commit after the last run's, so that older pull requests keep theirs.
tree=$(for name in "${pictures[@]}"; do
    file=$results/reports/figures/$name.png
    [[ -e $file ]] || continue
    printf '100644 blob %s\t%s.png\n' "$(git hash-object -w "$file")" "$name"
done | git mktree)
parent=$(git rev-parse --quiet --verify "refs/remotes/origin/$branch" || true)
commit=$(git commit-tree "$tree" ${parent:+-p "$parent"} -m "Pictures of training at $revision")
git push --quiet origin "$commit:refs/heads/$branch"
text=$(mktemp)
trap 'rm -f "$text"' EXIT
{
    cat "$results/summary.md"
    git ls-tree --name-only "$commit" | while read -r name; do
        echo "![${name%.png}](${GITHUB_SERVER_URL:-https://github.com}/${GITHUB_REPOSITORY:?}/raw/$commit/$name)"
    done
} >"$text"

cp "$results/dvc.lock" dvc.lock
git add dvc.lock
git commit --quiet --message "$title"
git push --quiet --force-with-lease="retrain:$tip" origin HEAD:refs/heads/retrain
# Of this repository: a fork may have a branch of that name too.
number=$(gh api "repos/$GITHUB_REPOSITORY/pulls?state=open&base=main&head=${GITHUB_REPOSITORY%%/*}:retrain" --jq '.[].number')
if [[ $number ]]; then
    # `gh pr edit` asks for more than a workflow's token may read (cli/cli#6274).
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/pulls/$number" -f title="$title" -F body=@"$text"
else
    gh pr create --head retrain --base main --title "$title" --body-file "$text"
fi
