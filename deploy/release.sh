#!/usr/bin/env bash
# carica-release REPOSITORY BRANCH WORD…: makes what carica-update's words ask for a release, and prints its name.
# A release is a compose file that needs nothing else: filled in, with its images there and pinned, its files copied.
# carica-release --prune forgets old ones, with their images.
# Exit codes: carica-update's, and 10 when what is asked for is older than what is deployed.
# shellcheck disable=SC2016 # what stands in single quotes is jq's
set -euo pipefail

refuse() { echo "carica-update: $1" >&2; exit "$2"; }

readonly STATE=/var/lib/carica CHECKOUT=/var/lib/carica/checkout RELEASES=/var/lib/carica/releases
readonly PULL_SECONDS=240 KEEP_DAYS=7

deployed() { [[ ! -e $STATE/deployed.json ]] || jq -rc "${@:2}" "$1 // empty" "$STATE/deployed.json"; }
put() { local text; text=$(cat) && [[ $text ]] && echo "$text" >"$1.new" && sync "$1.new" && mv "$1.new" "$1"; }

check_out() {
    [[ ! -d $CHECKOUT ]] || find "$CHECKOUT/.git" -name '*.lock' -delete # of a Git that was killed; no other is at work here
    (umask 022 && [[ $commit ]] && git -C "$CHECKOUT" checkout --quiet --force --detach "$commit" &&
        git -C "$CHECKOUT" clean -ffdxq)
}

# Fills in the compose file of `commit`, with `images`; names of variables are those of images, as in CARICA_ML_TAG.
render() {
    [[ -f compose.yaml ]] || refuse "commit $commit has no compose.yaml" 7
    jq -r 'to_entries[] | "\(.key | ascii_upcase | gsub("[^A-Z0-9]"; "_"))_TAG=\(.value)"' <<<"$images" >"$into/images.env"
    local files=() file
    for file in .env /etc/carica/host.env "$into/images.env"; do [[ ! -f $file ]] || files+=(--env-file "$file"); done
    # Variables of this process are not the compose file's.
    env -i PATH="$PATH" HOME="$HOME" docker compose "${files[@]}" --file compose.yaml config --format json \
        >"$into/compose.json" || refuse "the compose file of commit $commit cannot be used" 7
    jq -e '.services | length > 0 and all(.image and (.build | not))' "$into/compose.json" >/dev/null ||
        refuse "a service has no image, or builds one: images come from a registry" 7
    # The containers of the old one would run on beside the new one's.
    local project; project=$(deployed .project)
    [[ ! $project ]] || jq -e --arg project "$project" '.name == $project' "$into/compose.json" >/dev/null ||
        refuse "the compose file's name is not $project any more: see docs/deploy.md" 7
    [[ -z $fresh ]] || jq -e --arg name "$fresh" 'any(.services[].image | sub(".*/"; "") | sub("[:@].*"; ""); . == $name)' \
        "$into/compose.json" >/dev/null || refuse "no service runs $fresh" 4
}

edit() { jq -c "$@" "$into/compose.json" | put "$into/compose.json"; }

# A container does not notice that a file of the repository is another, and a release needs no checkout. So configs hold
# their text, with a label that follows from it, and what is mounted is a copy whose path does.
copy_files() {
    local name path mode sum
    jq -r '.configs // {} | to_entries[] | select(.value.file) | "\(.key) \(.value.file)"' "$into/compose.json" | while read -r name path; do
        edit --arg name "$name" --rawfile text "$path" \
            '.configs[$name] |= (del(.file) | .content = ($text | gsub("\\$"; "$$")))' || refuse "$path cannot be read" 7
    done
    for name in $(jq -r '.services | to_entries[] | select(.value.configs).key' "$into/compose.json"); do
        sum=$(jq -c --arg name "$name" '[.configs[.services[$name].configs[].source]]' "$into/compose.json" | sha256sum)
        edit --arg name "$name" --arg sum "${sum%% *}" '.services[$name].labels["carica.configs"] = $sum'
    done
    jq -r --arg top "$CHECKOUT/" '[.services[].volumes[]? | select(.type == "bind").source], [.secrets[]?.file]
        | .[] | strings | select(startswith($top) or . + "/" == $top)' "$into/compose.json" | sort -u | while read -r path; do
        [[ $path != "$CHECKOUT" ]] || refuse "the whole repository is mounted: name what is needed of it" 7
        read -r mode _ sum _ < <(git ls-tree "$commit" -- "${path#"$CHECKOUT/"}") ||
            refuse "$path is mounted and not in the repository: keep data in volumes" 7
        sum=$mode-$sum
        if [[ ! -e $STATE/files/$sum ]]; then
            mkdir -p "$STATE/files"
            rm -rf "$STATE/files/new"
            cp -a "$path" "$STATE/files/new"
            sync -f "$STATE/files/new"
            mv "$STATE/files/new" "$STATE/files/$sum"
        fi
        edit --arg from "$path" --arg to "$STATE/files/$sum" 'walk(if . == $from then $to else . end)'
    done
}

# Has every image here, pinned. A tag may be another image tomorrow: only the one that was built just now is asked again.
pull() {
    local image name pinned wanted
    while read -r image; do
        name=${image##*/} name=${name%%[:@]*} pinned=''
        [[ $name == "$fresh" ]] || pinned=$(deployed '.pins[$image]' --arg image "$image")
        wanted=${pinned:-$image}
        if [[ $name == "$fresh" ]] || ! docker image inspect "$wanted" >/dev/null 2>&1; then
            echo "pulling $wanted" >&2
            timeout $PULL_SECONDS docker pull --quiet "$wanted" >/dev/null || refuse "$wanted cannot be pulled" 6
        fi
        [[ $pinned ]] || pinned=$(docker image inspect "$image" | jq -r --arg of "${image%"${image##*/}"}$name@" \
            'first(.[0].RepoDigests[]? | select(startswith($of))) // .[0].Id')
        pins=$(jq -c --arg image "$image" --arg pinned "$pinned" '.[$image] = $pinned' <<<"$pins")
        edit --arg image "$image" --arg pinned "$pinned" \
            '.services |= map_values(if .image == $image then .image = $pinned else . end)'
    done < <(jq -r '[.services[].image] | unique[]' "$into/compose.json")
}

# Forgets releases that are old, but for the one that runs and the one before; images and files that no other one needs.
prune() {
    local images file
    images=$(image_ids)
    find "$RELEASES" -mindepth 1 -maxdepth 1 -mtime +$KEEP_DAYS \
        ! -name "$(deployed .release)" ! -name "$(deployed .previous.release)" -exec rm -r {} +
    comm -23 <(echo "$images") <(image_ids) | xargs --no-run-if-empty docker image rm >/dev/null 2>&1 || true
    for file in "$STATE"/files/*; do
        grep -qrF "$file" "$RELEASES" || rm -rf "$file"
    done
}

image_ids() {
    find "$RELEASES" -name compose.json -exec jq -r '.services[].image' {} + | sort -u |
        xargs --no-run-if-empty docker image inspect --format '{{.Id}}' 2>/dev/null | sort -u || true
}

main() {
    if [[ $1 == --prune ]]; then prune && exit; fi
    repository=$1 branch=$2 commit='' wanted='' fresh='' pins={} images=$(deployed .images)
    shift 2
    images=${images:-"{}"}
    [[ $(deployed .origin) != "$repository $branch" ]] || commit=$(deployed .commit)
    case $1 in
        commit) wanted=$2 ;;
        image) fresh=$2 images=$(jq -c --arg name "$2" --arg tag "$3" '.[$name] = $tag' <<<"$images") ;;
        rollback)
            release=$(deployed .previous.release)
            [[ $release && -d $RELEASES/$release ]] || refuse "there is no release to go back to" 4
            echo "$release" && exit
            ;;
    esac
    # A checkout that is damaged is another one after carica-fetch.
    if [[ $1 == commit ]] || ! check_out 2>/dev/null; then
        commit=$(carica-fetch "$repository" "$branch" "$commit" "${wanted:-$commit}")
        check_out || refuse "commit $commit cannot be checked out" 1
    fi

    release=$(date -u +%Y%m%dT%H%M%SZ)-$$ into=$RELEASES/$release
    mkdir "$into"
    cd "$CHECKOUT"
    render
    copy_files
    pull
    # The same again is no other release: going back by one would go nowhere.
    if cmp -s "$into/compose.json" "$RELEASES/$(deployed .release)/compose.json" &&
        jq -e --arg commit "$commit" --argjson images "$images" '.commit == $commit and .images == $images' "$STATE/deployed.json" >/dev/null; then
        rm -r "$into"
        deployed .release && exit
    fi
    jq -n --arg release "$release" --arg origin "$repository $branch" --arg commit "$commit" --argjson images "$images" \
        --argjson pins "$pins" --slurpfile compose "$into/compose.json" --slurpfile now <(cat "$STATE/deployed.json" 2>/dev/null) \
        '{$release, $origin, $commit, $images, $pins} + ($compose[0] | {project: .name, services: (.services | map_values(.image))}) + {
            previous: ($now[0] | if . then {release, commit, images} else null end)}' | put "$into/about"
    echo "$release"
}

main "$@"
