#!/usr/bin/env bash
# carica-report WORD…: runs carica-update with these words, and says how it ended as Kestra takes it: in a last
# line that becomes the task's outputs. Kestra keeps them only of a task that ends well, and its retries know no exit
# codes (nor their place, kestra#18909): so this ends with 0 whenever the outcome is told, and the flow reads `code`.
# shellcheck disable=SC2016 # what stands in single quotes is jq's
set -euo pipefail

readonly OUTCOMES=(deployed failed refused busy refused refused unreachable refused 'rolled back' 'rollback failed')

outputs() { jq -nrc "$@" | sed 's/.*/::&::/'; }

main() {
    local code outcome message why
    if [[ ${1:-} == status ]]; then
        outputs --argjson status "$(carica-update "$@")" '{outputs: {$status}}'
        return
    fi

    said=$(mktemp)
    trap 'rm -f "$said"' EXIT
    set +e
    carica-update by=kestra "$@" 2>&1 | tee -p "$said"
    code=${PIPESTATUS[0]}
    set -e
    outcome=${OUTCOMES[code]:-failed}
    message=$(tail -n 1 "$said")
    why=$(grep '^container .* is ' "$said" | tail -n 1) || true
    ! grep -q '^carica-update: superseded' "$said" || outcome=superseded
    # What Kestra logs as errors, and a notification quotes.
    ((code == 0)) || tail -n 20 "$said" >&2
    outputs --argjson code "$code" --arg outcome "$outcome" --arg commit "$(carica-update status | jq -r '.commit // ""')" \
        --arg message "${message#carica-update: }${why:+ ($why)}" \
        '{outputs: {$code, $outcome, $commit, $message}}'
}

main "$@"
