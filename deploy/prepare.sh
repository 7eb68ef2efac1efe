#!/bin/sh
# prepare.sh USER REPOSITORY BRANCH PUBLIC_KEY: makes a server ready for deployments; safe to run again and again.
set -eu

user=$1 repository=$2 branch=$3 public_key=$4
granted='restrict,command="/usr/local/bin/carica-update"'

refuse() { echo "$1" >&2; exit 1; }

for program in git ssh flock bash; do
    command -v "$program" >/dev/null || refuse "this server has no $program: install it first"
done
[ "$user" != root ] || refuse "deployments run as an account of their own, not as root"

id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
group=$(id -gn "$user")
home=$(getent passwd "$user" | cut -d: -f6)
if grep -v -e '^ *$' -e '^#' "$home/.ssh/authorized_keys" 2>/dev/null | grep -qv "^$granted "; then
    refuse "account $user lets other keys in, so somebody uses it: name an account for deployments alone"
fi
# No password fits, and the account is not locked: sshd refuses keys of a locked one where it does not use PAM.
usermod --password '*' "$user"

install -d -m 0755 -o "$user" -g "$group" /var/lib/carica
install -d -m 0755 /etc/carica
printf 'REPOSITORY=%s\nBRANCH=%s\n' "$repository" "$branch" >/etc/carica/deploy.conf.new
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
