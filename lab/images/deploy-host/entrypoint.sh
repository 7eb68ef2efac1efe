#!/bin/bash
# Puts the keys in place that the container was given, and becomes sshd.
set -euo pipefail
: "${ADMIN_AUTHORIZED_KEY:?the public key that root logs in with}" "${SSH_HOST_KEY:?the private key of the host}"

(umask 077; printf '%s\n' "$SSH_HOST_KEY" >/etc/ssh/host_key)
install -d -m 0700 /root/.ssh
printf '%s\n' "$ADMIN_AUTHORIZED_KEY" >/root/.ssh/authorized_keys
unset ADMIN_AUTHORIZED_KEY SSH_HOST_KEY

# Who is in the group docker may use the engine, as where its package made the group; here the socket comes from outside.
socket=/var/run/docker.sock
if [[ -S $socket ]]; then
    groupadd --force --non-unique --gid "$(stat --format %g "$socket")" docker
fi
exec /usr/sbin/sshd -D -e
