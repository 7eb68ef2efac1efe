#!/bin/sh
# prepare.sh USER REPOSITORY BRANCH PUBLIC_KEY: makes a server ready for deployments; safe to run again and again.
set -eu

user=$1 repository=$2 branch=$3 public_key=$4

for program in git flock bash; do
    command -v "$program" >/dev/null || { echo "this server has no $program: install it first" >&2; exit 1; }
done

id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
# No password fits, and the account is not locked: sshd refuses keys of a locked one where it does not use PAM.
usermod --password '*' "$user"
group=$(id -gn "$user")
home=$(getent passwd "$user" | cut -d: -f6)

install -d -m 0755 -o "$user" -g "$group" /var/lib/carica
install -d -m 0755 /etc/carica
printf "REPOSITORY='%s'\nBRANCH='%s'\n" "$repository" "$branch" >/etc/carica/deploy.conf.new
mv /etc/carica/deploy.conf.new /etc/carica/deploy.conf

# `restrict` takes away terminal, forwarding and agent; the forced command is all the key is good for.
install -d -m 0700 -o "$user" -g "$group" "$home/.ssh"
printf 'restrict,command="/usr/local/bin/carica-update" %s\n' "$public_key" >"$home/.ssh/authorized_keys.new"
chown "$user:$group" "$home/.ssh/authorized_keys.new"
chmod 0600 "$home/.ssh/authorized_keys.new"
mv "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys"
