#!/usr/bin/env bash
# Deploys what was merged or built. Kestra's key is limited to this script (authorized_keys, command="…").
set -euo pipefail
umask 022

usage() {
    cat <<'TEXT'
usage: carica-update commit SHA        deploy this commit of the deployed branch
       carica-update image NAME TAG    deploy the branch as it is, with this image of NAME
       carica-update current           deploy the branch as it is
       carica-update status            print what is deployed, as JSON
       carica-update --help

Over SSH with Kestra's key the words of the remote command are the arguments.
Reads REPOSITORY and BRANCH from /etc/carica/deploy.conf. Over SSH it fetches with /etc/carica/git_key, and from nobody
but the server whose key stands in /etc/carica/git_known_hosts.
Exit codes: 0 deployed, 2 refused argument, 3 another deployment did not end in time, 4 no such commit on the branch,
1 anything else.
TEXT
}

refuse() { echo "carica-update: $1" >&2; exit "${2:-2}"; }

readonly STATE=/var/lib/carica CHECKOUT=/var/lib/carica/checkout
# Together less than the 15 minutes that Kestra and Pulumi give a deployment.
readonly WAIT_SECONDS=300 GIT_SECONDS=240

# A function, so that bash has read all of the script before it does anything: an install cut short is a syntax error.
main() {
    # The remote command is data: split into words, never evaluated.
    if [[ -n ${SSH_ORIGINAL_COMMAND+set} ]]; then
        read -r -a words <<<"$SSH_ORIGINAL_COMMAND"
        set -- "${words[@]}"
    fi

    trigger="$*"
    case "${1:-}:$#" in
        commit:2) [[ $2 =~ ^[0-9a-f]{40}$ ]] || refuse "not a full commit id" ;;
        image:3)
            [[ $2 =~ ^[a-z0-9][a-z0-9._-]{0,99}$ ]] || refuse "not an image name"
            [[ $3 =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || refuse "not an image tag"
            ;;
        current:1) ;;
        status:1) exec cat "$STATE/deployed.json" ;;
        --help:1) usage; exit 0 ;;
        *) usage >&2; refuse "expected commit SHA, image NAME TAG, current or status" ;;
    esac

    echo "carica-update: started"

    # Read, not sourced: it is data.
    while IFS='=' read -r name value; do
        case $name in REPOSITORY | BRANCH) printf -v "$name" %s "$value" ;; esac
    done </etc/carica/deploy.conf

    # No agent, no other key and no configuration of the account's have a say in it.
    ssh=(ssh -F none -i /etc/carica/git_key -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=15
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/etc/carica/git_known_hosts -o GlobalKnownHostsFile=none)
    export GIT_SSH_COMMAND="${ssh[*]}"

    exec 9>"$STATE/lock"
    flock --wait "$WAIT_SECONDS" 9 || refuse "another deployment did not end within $WAIT_SECONDS s" 3

    if [[ ! -d $CHECKOUT/.git ]]; then
        # A clone that was interrupted is not a checkout yet.
        rm -rf "$CHECKOUT.new"
        timeout $GIT_SECONDS git clone --quiet --branch "$BRANCH" "$REPOSITORY" "$CHECKOUT.new"
        mv "$CHECKOUT.new" "$CHECKOUT"
    fi
    cd "$CHECKOUT"
    git remote set-url origin "$REPOSITORY"
    timeout $GIT_SECONDS git fetch --quiet --prune origin "+refs/heads/$BRANCH:refs/remotes/origin/$BRANCH"

    wanted=$(git rev-parse "refs/remotes/origin/$BRANCH")
    if [[ $1 == commit ]]; then
        git merge-base --is-ancestor "$2" "$wanted" 2>/dev/null || refuse "commit $2 is not on branch $BRANCH" 4
        wanted=$2
    fi
    echo "deploying commit $wanted"
    git checkout --quiet --force --detach "$wanted"

    images=$STATE/images
    touch "$images"
    if [[ $1 == image ]]; then
        { awk -F= -v name="$2" '$1 != name' "$images"; echo "$2=$3"; } >"$images.new"
        mv "$images.new" "$images"
        echo "deploying image $2:$3"
    fi

    # Names and values were checked above: none needs escaping in JSON.
    listed=$(sort "$images" | sed 's/\(.*\)=\(.*\)/"\1":"\2"/' | paste -sd, -)
    record=$(printf '{"commit":"%s","images":{%s},"trigger":"%s","at":"%s"}' \
        "$wanted" "$listed" "$trigger" "$(date -u +%Y-%m-%dT%H:%M:%SZ)")
    echo "$record" >>"$STATE/deployments.jsonl"
    echo "$record" >"$STATE/deployed.json.new"
    mv "$STATE/deployed.json.new" "$STATE/deployed.json"
    echo "deployed commit $wanted"
}

main "$@"
