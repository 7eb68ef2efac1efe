#!/usr/bin/env bash
# Deploys what was merged or built. Kestra's key is limited to this script (authorized_keys, command="…"), which checks what
# it is told, and has carica-deploy do it.
# shellcheck disable=SC2016 # what stands in single quotes is jq's
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: carica-update commit SHA                 deploy this commit of the deployed branch
       carica-update image NAME TAG [source=SHA]    deploy this image of NAME, built from SHA
       carica-update current     deploy once more what is deployed; the branch's head when nothing is
       carica-update rollback    deploy what was deployed before
       carica-update status | history | --help      print what is deployed, or the last deployments, as JSON

Each may be told by=WHO, and run=ID: a rollback with the ID of the last deployment has been made already.
Over SSH with Kestra's key the words of the remote command are the arguments; a last one, `report`, has the outcome put
into a last line for Kestra. What does not get healthy in time is rolled back; what was interrupted, the next run ends.
Exit codes:
  0 deployed, or something newer is     2 refused argument           3 busy with another deployment: try again
  4 no such commit, image or release    5 the branch was rewritten   6 Git or registry out of reach: try again
  7 unusable compose file    8 not healthy: rolled back    9 not healthy, nor rolled back: look at it    1 anything else
TEXT
}

refuse() { echo "carica-update: $1" >&2; exit "${2:-2}"; }

readonly STATE=/var/lib/carica
# What the account itself, or whoever calls this, has configured has no say.
unset "${!DOCKER_@}" "${!COMPOSE_@}"
export HOME=$STATE DOCKER_CONFIG=$STATE/docker LC_ALL=C.UTF-8

main() {
    # Root's files would be in the account's way ever after.
    [[ $EUID != 0 ]] || exec runuser -u "$(stat -c %U "$STATE")" -- "$0" "$@"
    # The remote command is data: split into words, never evaluated.
    if [[ -n ${SSH_ORIGINAL_COMMAND+set} ]]; then
        [[ $SSH_ORIGINAL_COMMAND =~ ^[][A-Za-z0-9@._+=\ -]{0,400}$ ]] || refuse "unexpected characters"
        read -r -a words <<<"$SSH_ORIGINAL_COMMAND"
        set -- "${words[@]}"
        who=kestra
    fi
    # Kestra's task knows no exit codes: for it the outcome is put into words.
    if [[ ${*: -1} == report ]]; then unset SSH_ORIGINAL_COMMAND && exec carica-report "${@:1:$#-1}"; fi
    local words=() word
    for word; do
        case $word in by=*) who=${word#by=} ;; source=*) source=${word#source=} ;; run=*) run=${word#run=} ;; *) words+=("$word") ;; esac
    done
    set -- "${words[@]}"
    [[ $who =~ ^[A-Za-z0-9][][A-Za-z0-9._@+-]{0,79}$ ]] || refuse "not a name of somebody"
    [[ $run =~ ^[A-Za-z0-9]{0,40}$ ]] || refuse "not an execution's id"
    [[ $source =~ ^([0-9a-f]{40})?$ ]] || refuse "not a full commit id"
    case "${1:-}:$#" in
        commit:2) [[ $2 =~ ^[0-9a-f]{40}$ ]] || refuse "not a full commit id" ;;
        image:3) [[ "$2 $3" =~ ^[a-z0-9][a-z0-9._-]{0,99}\ [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || refuse "not an image and its tag" ;;
        current:1 | rollback:1) ;;
        status:1)
            jq -nc --slurpfile now <(cat "$STATE/deployed.json" 2>/dev/null) \
                --slurpfile run <(flock --nonblock "$STATE/lock" true || cat "$STATE/running" 2>/dev/null) \
                '($now[0] // {commit: null}) + {running: ($run[0] | if . then {what, who, at} else null end)}'
            exit
            ;;
        history:1) { cat "$STATE/deployments.jsonl" 2>/dev/null || true; } | jq -cR 'fromjson? // empty' | tail -n 200; exit ;;
        --help:1) usage; exit ;;
        *) usage >&2; refuse "expected commit SHA, image NAME TAG, current, rollback, status or history" ;;
    esac

    # Read, not sourced: it is data.
    while IFS='=' read -r name value; do
        case $name in REPOSITORY | BRANCH | HEALTH_SECONDS) printf -v "$name" %s "$value" ;; esac
    done </etc/carica/deploy.conf
    export REPOSITORY BRANCH HEALTH_SECONDS who source run
    # A connection that is lost ends the reader of this, not the deployment: that goes on, and into the log. How it ends
    # is how this ends, even where the log is lost too.
    { echo "carica-update: started" && carica-deploy "$@"; } 2>&1 | { tee -p -a "$STATE/log" || cat >/dev/null; }
}

who=$(id -un) source='' run=''
main "$@"
