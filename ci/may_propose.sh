#!/usr/bin/env bash
# Fail if GitHub would refuse a pull request by this token, which a retraining ends with. A workflow's
# token may not read the setting, so this asks for a pull request of main to itself, which cannot be:
# GitHub forbids it (403), or finds no commits in it (422). Needs gh.
set -euo pipefail
: "${GITHUB_REPOSITORY:?set it to OWNER/NAME}"

if answer=$(gh api --method POST "repos/$GITHUB_REPOSITORY/pulls" \
    -f title="Is this allowed?" -f head=main -f base=main 2>&1); then
    echo "error: may_propose: GitHub has opened a pull request of main to main: $answer" >&2
    exit 1
fi
case $answer in
*"HTTP 422"*)
    echo "may_propose: pull requests are allowed"
    ;;
*"HTTP 403"*)
    echo "error: may_propose: this token may not open the pull request that a retraining ends" \
        "with: ${answer##*$'\n'}" >&2
    echo 'Turn on "Allow GitHub Actions to create and approve pull requests" (Settings, Actions,' \
        "General; in an organization there too), or set APP_CLIENT_ID (.github/workflows/retrain.yml)" >&2
    exit 1
    ;;
*)
    echo "warning: may_propose: whether pull requests are allowed is unknown: ${answer##*$'\n'}" >&2
    ;;
esac
