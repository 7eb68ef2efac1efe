#!/bin/bash
# Puts the host key in place, starts sshd, and the server as the user git; ends when either does.
set -euo pipefail
: "${SSH_HOST_KEY:?the private key of the host}"

(umask 077; printf '%s\n' "$SSH_HOST_KEY" >/etc/ssh/host_key)
HOST_KEY=$(ssh-keygen -y -f /etc/ssh/host_key)
export HOST_KEY
unset SSH_HOST_KEY
chown git:git /var/lib/github

/usr/sbin/sshd -D -e &
cd /opt/github
setpriv --reuid git --regid git --init-groups env HOME=/var/lib/github python3 -m server &
trap 'kill $(jobs -p)' TERM INT
wait -n
