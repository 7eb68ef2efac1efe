#!/usr/bin/env bash
# carica-fetch REPOSITORY BRANCH DEPLOYED WANTED: brings the checkout's Git up to date, and prints the commit to deploy.
# That is WANTED, or the branch's newest where WANTED is empty; never one that is older than DEPLOYED.
# Exit codes: carica-update's, and 10 when WANTED is older than what is deployed.
set -euo pipefail

refuse() { echo "carica-update: $1" >&2; exit "$2"; }

readonly CHECKOUT=/var/lib/carica/checkout GIT_SECONDS=60
readonly repository=$1 branch=$2 deployed=$3 wanted=$4

# No agent, no other key and no configuration of the account's have a say in it.
ssh=(ssh -F none -i /etc/carica/git_key -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=15
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/etc/carica/git_known_hosts -o GlobalKnownHostsFile=none)
export GIT_SSH_COMMAND="${ssh[*]}" GIT_TERMINAL_PROMPT=0

contains() { git merge-base --is-ancestor "$2" "$1" 2>/dev/null; }

main() {
    # None yet, or one that lost something when the power went.
    if ! git -C "$CHECKOUT" fsck >/dev/null 2>&1; then
        rm -rf "$CHECKOUT" "$CHECKOUT.new"
        timeout $GIT_SECONDS git clone --quiet --no-checkout --branch "$branch" "$repository" "$CHECKOUT.new" ||
            refuse "branch $branch cannot be fetched" 6
        mv "$CHECKOUT.new" "$CHECKOUT"
    fi
    cd "$CHECKOUT"
    find .git -name '*.lock' -delete # of a Git that was killed; no other is at work here
    git remote set-url origin "$repository"
    timeout $GIT_SECONDS git fetch --quiet --prune origin "+refs/heads/$branch:refs/remotes/origin/$branch" ||
        refuse "branch $branch cannot be fetched" 6

    local head; head=$(git rev-parse "refs/remotes/origin/$branch")
    if [[ $wanted ]]; then
        contains "$head" "$wanted" || refuse "commit $wanted is not on branch $branch" 4
        [[ ! $deployed ]] || contains "$head" "$deployed" ||
            refuse "branch $branch was rewritten: $deployed, which is deployed, is not on it any more" 5
        if [[ $deployed && $deployed != "$wanted" ]] && contains "$deployed" "$wanted"; then
            refuse "superseded: $deployed is deployed, which is newer" 10
        fi
    fi
    echo "${wanted:-$head}"
}

main
