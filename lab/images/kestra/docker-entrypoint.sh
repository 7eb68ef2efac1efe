#!/bin/sh
# As the official image: KESTRA_CONFIGURATION becomes the configuration file, the rest is the program's.
set -e
if [ -n "${KESTRA_CONFIGURATION}" ]; then
  printf '%s\n' "${KESTRA_CONFIGURATION}" > /app/confs/application.yml
fi
exec /app/kestra "$@"
