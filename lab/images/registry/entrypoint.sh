#!/bin/bash
# Lets in the one account that the container was given, and becomes the registry.
set -euo pipefail
# Distribution takes every variable REGISTRY_… for a setting of its own.
: "${ACCOUNT:?who may log in}" "${ACCOUNT_PASSWORD:?with which password}"

htpasswd -i -B -n "$ACCOUNT" <<<"$ACCOUNT_PASSWORD" >/run/registry/htpasswd
unset ACCOUNT ACCOUNT_PASSWORD
exec docker-registry serve /etc/docker/registry/config.yml
