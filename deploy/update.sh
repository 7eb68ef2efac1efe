#!/usr/bin/env bash
# Deploys what was merged or built. Kestra's key is limited to this script (authorized_keys, command="…").
# shellcheck disable=SC2016 # what stands in single quotes is jq's
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: carica-update commit SHA [by=WHO]                     deploy this commit of the deployed branch
       carica-update image NAME TAG [by=WHO] [source=SHA]    deploy this image of NAME, built from SHA
       carica-update current [by=WHO]     deploy once more what is deployed; the branch's head when nothing is
       carica-update rollback [by=WHO]    deploy what was deployed before
       carica-update status | history | --help    print what is deployed, or the last deployments, as JSON

Over SSH with Kestra's key the words of the remote command are the arguments; one more, `report`, has the outcome put
into a last line for Kestra. What does not get healthy in time is rolled back; what was interrupted, the next run ends.
Exit codes:
  0 deployed, or something newer is     2 refused argument           3 busy with another deployment: try again
  4 no such commit, image or release    5 the branch was rewritten   6 Git or registry out of reach: try again
  7 unusable compose file    8 not healthy: rolled back    9 not healthy, nor rolled back: look at it    1 anything else
TEXT
}

refuse() { echo "carica-update: $1" >&2; exit "${2:-2}"; }

readonly STATE=/var/lib/carica RELEASES=/var/lib/carica/releases
# Kestra and Pulumi wait for 15 minutes; a run that takes longer goes on without them.
readonly LOCK_SECONDS=180
# What the account itself has configured has no say.
export HOME=$STATE DOCKER_CONFIG=$STATE/docker LC_ALL=C.UTF-8

# Whenever this is killed, the power goes or the disk is full, the file is the old one or the new one.
put() { local text; text=$(cat) && [[ $text ]] && echo "$text" >"$1.new" && sync "$1.new" && mv "$1.new" "$1"; }
deployed() { jq -rc "$1 // empty" "$STATE/deployed.json" 2>/dev/null || true; }
running() { jq -rc "$1 // empty" "$STATE/running"; }
note() { jq -c "$@" "$STATE/running" | put "$STATE/running"; }
lap() {
    local now=${EPOCHREALTIME//[.,]/}
    note --arg what "$1" --argjson us $((now - mark)) '.seconds[$what] = ($us / 1e4 | round / 100)'
    mark=$now
}

# Writes the record of a run. What failed half-way stays noted as running, for the next run to end.
# shellcheck disable=SC2329 # called by a trap
finish() {
    local code=$?
    local outcomes=(deployed failed refused busy refused refused unreachable refused 'rolled back' 'rollback failed')
    local outcome=${outcome:-${outcomes[code]:-failed}}
    trap - EXIT
    jq -c --arg outcome "$outcome" --argjson code "$code" \
        'del(.release) + {$outcome, $code} | .seconds.total = (.seconds | add)' "$STATE/running" >>"$STATE/deployments.jsonl" || true
    [[ $outcome == failed && $(running .release) ]] || rm -f "$STATE/running"
    exit "$code"
}

# Runs a release, or else the one that ran before it.
run() {
    note --arg release "$1" --slurpfile to "$RELEASES/$1/about" '. + {$release, to: ($to[0] | {commit, images})}'
    echo "deploying $(running '"commit \(.to.commit), images \(.to.images)"')"
    if carica-replace "$RELEASES/$1/compose.json" "$HEALTH_SECONDS"; then
        [[ $(deployed .release) == "$1" ]] || jq -c --arg at "$(date -u +%FT%TZ)" --slurpfile run "$STATE/running" \
            '. + ($run[0] | {trigger: .what, who, source}) + {$at}' "$RELEASES/$1/about" | put "$STATE/deployed.json"
        lap replace
        return
    fi
    lap replace
    local before; before=$(deployed .release)
    [[ $before ]] || refuse "not healthy within $HEALTH_SECONDS s, and nothing was deployed before" 9
    echo "not healthy within $HEALTH_SECONDS s: rolling back to commit $(deployed .commit), images $(deployed .images)"
    carica-replace "$RELEASES/$before/compose.json" "$HEALTH_SECONDS" || refuse "what ran before is not healthy either" 9
    lap rollback
    refuse "not healthy: rolled back" 8
}

resume() {
    trap finish EXIT
    note '. + {resumed: true}'
    release=$(running .release)
    if [[ ! $release ]]; then outcome=interrupted && exit 0; fi
    run "$release"
}

deploy() {
    local code=0
    flock --wait $LOCK_SECONDS 9 || refuse "another deployment did not end within $LOCK_SECONDS s" 3
    mkdir -p "$RELEASES"
    if [[ -s $STATE/running ]]; then
        echo "a deployment was interrupted: it is ended first"
        # Whatever becomes of it, what is asked for now has its turn.
        resume & wait $! || true
    fi
    jq -nc --arg at "$(date -u +%FT%TZ)" --arg who "$who" --arg what "$*" --arg source "$source" \
        --slurpfile now <(cat "$STATE/deployed.json" 2>/dev/null) '{$at, $who, $what, source: ($source | select(. != "") // null),
            from: ($now[0] | if . then {commit, images} else null end), to: null, seconds: {}}' | put "$STATE/running"
    trap finish EXIT
    lap lock
    release=$(carica-release "$REPOSITORY" "$BRANCH" "$@") || code=$?
    lap prepare
    case $code in 0) ;; 10) outcome=superseded && exit 0 ;; *) exit "$code" ;; esac
    run "$release"
    carica-release --prune || echo "carica-update: old releases could not be removed" >&2
    echo "deployed commit $(deployed .commit)"
}

main() {
    # The remote command is data: split into words, never evaluated.
    if [[ -n ${SSH_ORIGINAL_COMMAND+set} ]]; then
        [[ $SSH_ORIGINAL_COMMAND =~ ^[][A-Za-z0-9@._+=\ -]{0,400}$ ]] || refuse "unexpected characters"
        read -r -a words <<<"$SSH_ORIGINAL_COMMAND"
        set -- "${words[@]}"
        who=kestra
    fi
    # Kestra's task knows no exit codes: for it the outcome is put into words.
    if [[ " $* " == *" report "* ]]; then unset SSH_ORIGINAL_COMMAND && exec carica-report "$@"; fi
    local words=() word
    for word; do
        case $word in by=*) who=${word#by=} ;; source=*) source=${word#source=} ;; *) words+=("$word") ;; esac
    done
    set -- "${words[@]}"
    [[ $who =~ ^[A-Za-z0-9][][A-Za-z0-9._@+-]{0,79}$ ]] || refuse "not a name of somebody"
    [[ $source =~ ^([0-9a-f]{40})?$ ]] || refuse "not a full commit id"
    case "${1:-}:$#" in
        commit:2) [[ $2 =~ ^[0-9a-f]{40}$ ]] || refuse "not a full commit id" ;;
        image:3) [[ "$2 $3" =~ ^[a-z0-9][a-z0-9._-]{0,99}\ [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || refuse "not an image and its tag" ;;
        current:1 | rollback:1) ;;
        status:1)
            jq -nc --slurpfile now <(cat "$STATE/deployed.json" 2>/dev/null) \
                --slurpfile run <(flock --nonblock "$STATE/lock" true || cat "$STATE/running") \
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
    exec 9>"$STATE/lock"
    mark=${EPOCHREALTIME//[.,]/}
    # A connection that is lost ends the reader of this, not the deployment: that goes on, and into the log.
    { echo "carica-update: started" && deploy "$@"; } 2>&1 | tee -p -a "$STATE/log"
    exit "${PIPESTATUS[0]}"
}

who=$(id -un) source=''
main "$@"
