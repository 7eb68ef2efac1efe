#!/usr/bin/env bash
# carica-replace RELEASE SECONDS: makes a release run; ends with an error unless all of it is healthy in time.
# A service with the label `carica.twice: "true"` gets its new containers beside the old ones; when they are healthy the
# old ones are told to stop. All others are replaced one by one, and only what changed.
set -euo pipefail

readonly RELEASE=$1 LIMIT=$2
# The proxy finds a new container within this time: by a look-up of its name, and a check of its health.
readonly SETTLE_SECONDS=3
# What an old container gets to finish, whatever its `stop_grace_period` says.
readonly STOP_SECONDS=120

# Something is left even when pulling and starting took all of it: what is healthy already takes a moment to be seen.
left() { echo $((LIMIT - SECONDS > 10 ? LIMIT - SECONDS : 10)); }
# `timeout` is for an engine that hangs; compose's own limit comes first.
compose() {
    timeout $(($(left) + STOP_SECONDS)) docker compose --ansi never --progress plain --file "$RELEASE" --env-file /dev/null "$@"
}
label() { docker inspect --format "{{index .Config.Labels \"com.docker.compose.$2\"}}" "$1"; }
health() { docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1"; }

remove() { timeout 60 docker rm --force "$@" >/dev/null; }

# Adds to `old` the containers of a service that are to go, and to `scales` how many there are until then.
beside() {
    local wanted container state copies before=${#old[@]} served='' starting=()
    wanted=$(compose config --hash "$1")
    for container in $(compose ps --all --quiet "$1"); do
        state=$(health "$container")
        case $state in healthy | running) served=yes ;; esac
        [[ $(label "$container" config-hash) != "${wanted##* }" ]] || continue
        case $state in
            healthy | running) old+=("$container") ;;
            starting) starting+=("$container") ;;
            *) remove "$container" ;; # serves nobody: what an interrupted or failed run left
        esac
    done
    # After a reboot what serves is only starting. Beside one that serves, it is what an interrupted run left.
    if [[ ! $served ]]; then old+=("${starting[@]}"); elif ((${#starting[@]})); then remove "${starting[@]}"; fi
    copies=$(jq --arg name "$1" '.services[$name] | .deploy.replicas // .scale // 1' "$RELEASE")
    ((${#old[@]} == before)) || scales+=(--scale "$1=$((${#old[@]} - before + copies))")
}

# Ends with what keeps the release from being healthy.
unhealthy() {
    local container
    for container in $(compose ps --all --quiet); do
        case $(health "$container") in
            healthy | running) ;;
            *) docker inspect --format 'container {{slice .Name 1}} is {{if .State.Health}}{{.State.Health.Status}}, {{end}}{{.State.Status}}' \
                "$container" ;;
        esac
    done
    exit 1
}

main() {
    local name old=() scales=() services=()
    for name in $(jq -r '.services | to_entries[] | select(.value.labels["carica.twice"] == "true").key' "$RELEASE"); do
        beside "$name"
        services+=("$name")
    done
    if ((${#old[@]})); then
        compose up --detach --no-recreate "${scales[@]}" --wait --wait-timeout "$(left)" "${services[@]}" || unhealthy
        sleep $SETTLE_SECONDS
        echo "the new ones serve; the old ones finish what they have"
        local before=$SECONDS
        timeout $STOP_SECONDS docker stop "${old[@]}" >/dev/null || true
        remove "${old[@]}"
        SECONDS=$before # the time that the old ones take to finish is not the new ones'
    fi
    compose up --detach --remove-orphans --wait --wait-timeout "$(left)" || unhealthy
}

main
