#!/usr/bin/env bash
# carica-deploy WORD…: a deployment, one at a time, on record, and taken back when it does not get healthy. carica-update
# starts it: it has checked the words, and hands down REPOSITORY, BRANCH, HEALTH_SECONDS, who, source and run.
# shellcheck disable=SC2016,SC2154 # what stands in single quotes is jq's; carica-update assigns the names in lower case
set -euo pipefail

readonly STATE=/var/lib/carica RELEASES=/var/lib/carica/releases
# Kestra and Pulumi wait for 15 minutes; a run that takes longer goes on without them.
readonly LOCK_SECONDS=180 LOG_SIZE=10M
readonly OUTCOMES=(deployed failed refused busy refused refused unreachable refused 'rolled back' 'rollback failed')
readonly WHAT="$*"

refuse() { echo "carica-update: $1" >&2; exit "$2"; }
# Whenever this is killed, the power goes or the disk is full, the file is the old one or the new one.
put() { local text; text=$(cat) && [[ $text ]] && echo "$text" >"$1.new" && sync "$1.new" && mv "$1.new" "$1"; }
deployed() { [[ ! -e $STATE/deployed.json ]] || jq -rc "$1 // empty" "$STATE/deployed.json"; }
running() { jq -rc "$1 // empty" "$STATE/running"; }
note() { jq -c "$@" "$STATE/running" | put "$STATE/running"; }
lap() {
    local now=${EPOCHREALTIME//[.,]/}
    note --arg what "$1" --argjson us $((now - mark)) '.seconds[$what] = ($us / 1e4 | round / 100)'
    mark=$now
}

# What this run is, for `running`; as it ends, that becomes its record.
begun() {
    jq -nc --arg at "$(date -u +%FT%TZ)" --arg who "$who" --arg what "$WHAT" --arg source "$source" --arg run "$run" \
        --slurpfile now <(cat "$STATE/deployed.json" 2>/dev/null) 'def given: select(. != "") // null;
            {$at, $who, $what, source: ($source | given), run: ($run | given),
             from: ($now[0] | if . then {commit, images} else null end), to: null, seconds: {}}'
}

# A line that a full disk cut short is ended first, or it would take this one with it.
record() {
    local line; line=$(cat)
    [[ -z $(tail -c 1 "$STATE/deployments.jsonl" 2>/dev/null) ]] || echo >>"$STATE/deployments.jsonl"
    echo "$line" >>"$STATE/deployments.jsonl"
}

# Records a run that had no turn: `running` is another's.
turn_away() {
    begun | jq -c --arg outcome "${OUTCOMES[$2]}" --argjson code "$2" --argjson s "$SECONDS" \
        '. + {$outcome, $code, seconds: {lock: $s, total: $s}}' | record || true
    refuse "$1" "$2"
}

# Records a run. What failed half-way stays noted as running, for the next run to end.
# shellcheck disable=SC2329 # called by a trap
finish() {
    local code=$?
    local outcome=${outcome:-${OUTCOMES[code]:-failed}}
    trap - EXIT
    jq -c --arg outcome "$outcome" --argjson code "$code" \
        'del(.release, .back) + {$outcome, $code} | .seconds.total = (.seconds | add)' "$STATE/running" | record || true
    [[ $outcome == failed && $(running .release) ]] || rm -f "$STATE/running"
    exit "$code"
}

# Without the second, what a signal ends would end with 0: deployed.
take_notes() {
    trap finish EXIT
    trap 'exit 143' HUP INT TERM
}

# Runs a release, or else the one that ran before it. No note that cannot be taken, on a full disk, keeps it from that.
deploy() {
    local before
    if [[ ! $(running .back) ]]; then
        note --arg release "$1" --slurpfile to "$RELEASES/$1/about" '. + {$release, to: ($to[0] | {commit, images})}'
        echo "deploying $(running '"commit \(.to.commit), images \(.to.images)"')"
        if carica-replace "$RELEASES/$1/compose.json" "$HEALTH_SECONDS"; then
            [[ $(deployed .release) == "$1" ]] || jq -c --arg at "$(date -u +%FT%TZ)" --slurpfile run "$STATE/running" \
                '. + ($run[0] | {trigger: .what, who, source, run}) + {$at}' "$RELEASES/$1/about" | put "$STATE/deployed.json"
            lap replace
            return
        fi
        lap replace || true
    fi
    before=$(deployed .release)
    [[ $before ]] || refuse "not healthy, and nothing was deployed before" 9
    # Killed from here on, it is not tried once more.
    note --arg before "$before" '.back = $before' || true
    echo "not healthy: rolling back to commit $(deployed .commit), images $(deployed .images)"
    carica-replace "$RELEASES/$before/compose.json" "$HEALTH_SECONDS" || refuse "what ran before is not healthy either" 9
    lap rollback || true
    refuse "not healthy: rolled back" 8
}

# Ends what was interrupted. A release that is no longer whole, or was none yet, is given up: nothing would ever end it.
resume() {
    take_notes
    note '. + {resumed: true}'
    local release; release=$(running .release)
    if [[ ! $release ]] || ! jq -ne input.release "$RELEASES/$release/about" >/dev/null; then outcome=interrupted && exit; fi
    deploy "$release"
}

main() {
    local code=0 release mark=${EPOCHREALTIME//[.,]/}
    exec 9>"$STATE/lock"
    flock --wait $LOCK_SECONDS 9 || turn_away "another deployment did not end within $LOCK_SECONDS s" 3
    mkdir -p "$RELEASES"
    # Emptied, not moved: carica-update has it open.
    if [[ $(find "$STATE" -maxdepth 1 -name log -size +$LOG_SIZE) ]]; then cp "$STATE/log" "$STATE/log.1" && : >"$STATE/log"; fi
    [[ ! -e $STATE/deployed.json ]] || jq -ne input.release "$STATE/deployed.json" >/dev/null ||
        refuse "$STATE/deployed.json cannot be read" 1
    if [[ -s $STATE/running ]]; then
        echo "a deployment was interrupted: it is ended first"
        # Whatever becomes of it, what is asked for now has its turn; but not on top of what is half-way.
        set +e; (set -e; resume); set -e
        [[ ! -s $STATE/running ]] || turn_away "the deployment that was interrupted could not be ended" 1
    fi
    begun | put "$STATE/running"
    take_notes
    lap lock
    # Kestra starts a task again when it lost sight of it; going back twice would be one release too far.
    if [[ $1 == rollback && $run && $(deployed .run) == "$run" ]]; then
        echo "deployed commit $(deployed .commit)" && exit
    fi
    release=$(carica-release "$REPOSITORY" "$BRANCH" "$@") || code=$?
    lap prepare
    case $code in 0) ;; 10) outcome=superseded && exit 0 ;; *) exit "$code" ;; esac
    deploy "$release"
    carica-release --prune || echo "carica-update: old releases could not be removed" >&2
    echo "deployed commit $(deployed .commit)"
}

main "$@"
