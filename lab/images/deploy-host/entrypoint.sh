#!/bin/bash
# Puts the keys in place that the container was given, seeds the repository, and becomes sshd.
set -euo pipefail
: "${ADMIN_AUTHORIZED_KEY:?the public key that root logs in with}" "${SSH_HOST_KEY:?the private key of the host}"

(umask 077; printf '%s\n' "$SSH_HOST_KEY" >/etc/ssh/host_key)
install -d -m 0700 /root/.ssh
printf '%s\n' "$ADMIN_AUTHORIZED_KEY" >/root/.ssh/authorized_keys

repository=/srv/git/carica-deploy.git
if [[ ! -d $repository ]]; then
    draft=$(mktemp -d)
    git init --quiet --initial-branch main "$draft"
    cd "$draft"
    echo "What runs on the deploy host." >README.md
    git add README.md
    git -c user.name=lab -c user.email=lab@example.com commit --quiet --message "The first version"
    mkdir -p /srv/git
    git clone --quiet --bare "$draft" "$repository.new"
    mv "$repository.new" "$repository"
    rm -rf "$draft"
fi
unset ADMIN_AUTHORIZED_KEY SSH_HOST_KEY
exec /usr/sbin/sshd -D -e
