#!/bin/sh
# prepare.sh USER REPOSITORY BRANCH PUBLIC_KEY HEALTH_SECONDS [FROM]: makes a server ready for deployments; safe to run
# again and again. FROM: the addresses Kestra's key is good from, as sshd's from="…" takes them.
set -eu

user=$1 repository=$2 branch=$3 public_key=$4 health_seconds=$5 from=${6:-}
# What carica-update asks of compose: Debian 13's.
oldest_compose=2.26
granted="restrict,${from:+from=\"$from\",}command=\"/usr/local/bin/carica-update\""

refuse() { echo "$1" >&2; exit 1; }
[ "$user" != root ] || refuse "deployments run as an account of their own, not as root"

# What is missing comes from the distribution, and nothing is touched that is there.
missing=''
for needed in git:git ssh:openssh-client flock:util-linux bash:bash jq:jq docker:docker.io; do
    command -v "${needed%:*}" >/dev/null || missing="$missing ${needed#*:}"
done
offered() { apt-cache policy "$1" | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'; }
compose() { docker compose version --short 2>/dev/null | sed 's/^v//'; }
if [ -n "$missing" ] || [ -z "$(compose)" ]; then
    command -v apt-get >/dev/null || refuse "this server has no compose v2, or lacks one of:$missing. Install them first"
    apt-get -q -o DPkg::Lock::Timeout=120 update >/dev/null
    case $missing in *docker.io*) [ -z "$(offered docker-cli)" ] || missing="$missing docker-cli" ;; esac
    if [ -z "$(compose)" ]; then
        # Docker's own package where it is offered, Ubuntu's, or Debian's, which is v1 in Debian 12.
        package=''
        for each in docker-compose docker-compose-v2 docker-compose-plugin; do
            case $(offered $each) in [2-9]*) package=$each ;; esac
        done
        [ -n "$package" ] || refuse "this server's distribution has no compose v2: install docker-ce and \
docker-compose-plugin from Docker's own packages (docs.docker.com/engine/install), or use Debian 13 or Ubuntu 24.04"
        missing="$missing $package"
    fi
    echo "installing$missing"
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends \
        $missing >/dev/null
fi
printf '%s\n' "$oldest_compose" "$(compose)" | sort --version-sort --check=quiet ||
    refuse "this server has compose $(compose), and $oldest_compose or later is needed: upgrade it first"

id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
group=$(id -gn "$user")
home=$(getent passwd "$user" | cut -d: -f6)
ours='^restrict,(from="[^"]*",)?command="/usr/local/bin/carica-update" '
if grep -v -e '^ *$' -e '^#' "$home/.ssh/authorized_keys" 2>/dev/null | grep -qvE "$ours"; then
    refuse "account $user lets other keys in, so somebody uses it: name an account for deployments alone"
fi
# No password fits, and the account is not locked: sshd refuses keys of a locked one where it does not use PAM.
usermod --password '*' --append --groups docker "$user"
runuser -u "$user" -- docker version >/dev/null || refuse "account $user cannot use the Docker engine"

install -d -m 0755 -o "$user" -g "$group" /var/lib/carica
runuser -u "$user" -- touch /var/lib/carica/lock # or whoever is the first to lock it owns it
install -d -m 0755 /etc/carica
printf 'REPOSITORY=%s\nBRANCH=%s\nHEALTH_SECONDS=%s\n' "$repository" "$branch" "$health_seconds" >/etc/carica/deploy.conf.new
mv /etc/carica/deploy.conf.new /etc/carica/deploy.conf

# `restrict` takes away terminal, forwarding and agent; the forced command is all the key is good for. Written as the
# account itself: what root writes in a directory of somebody else's can be led elsewhere by a link.
# shellcheck disable=SC2016
printf '%s %s\n' "$granted" "$public_key" | runuser -u "$user" -- sh -euc '
    umask 077
    cd "$1"
    mkdir -p .ssh
    cat >.ssh/authorized_keys.new
    mv .ssh/authorized_keys.new .ssh/authorized_keys' sh "$home"
