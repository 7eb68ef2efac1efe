#!/usr/bin/env bash
# carica-replace RELEASE SECONDS: makes a release run; ends with an error unless all of it is healthy in time.
# A service with the label `carica.twice: "true"` gets its new containers beside the old ones; when they are healthy the
# old ones are told to stop. All others are replaced one by one, and only what changed.
set -euo pipefail

readonly RELEASE=$1 LIMIT=$2
# The proxy finds a new container within this time: by a look-up of its name, and a check of its health.
readonly SETTLE_SECONDS=3

left() { echo $((LIMIT > SECONDS ? LIMIT - SECONDS : 1)); }
# `timeout` is for an engine that hangs; compose's own limit comes first.
compose() {
    timeout $(($(left) + 30)) docker compose --ansi never --progress plain --file "$RELEASE" --env-file /dev/null "$@"
}
label() { docker inspect --format "{{index .Config.Labels \"com.docker.compose.$2\"}}" "$1"; }
health() { docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1"; }

# Adds to `old` the containers of a service that are to go, and to `scales` how many there are until then.
beside() {
    local wanted container copies before=${#old[@]}
    wanted=$(compose config --hash "$1")
    for container in $(compose ps --all --quiet "$1"); do
        [[ $(label "$container" config-hash) != "${wanted##* }" ]] || continue
        case $(health "$container") in
            healthy | running) old+=("$container") ;;
            *) docker rm --force "$container" >/dev/null ;; # serves nobody: what an interrupted or failed run left
        esac
    done
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
        docker stop "${old[@]}" >/dev/null
        docker rm --force "${old[@]}" >/dev/null
    fi
    compose up --detach --remove-orphans --wait --wait-timeout "$(left)" || unhealthy
}

main
