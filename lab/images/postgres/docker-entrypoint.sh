#!/bin/bash
# Initialises an empty PGDATA as the official image does, then becomes the server.
set -euo pipefail

if [[ $(id -u) == 0 ]]; then
    echo "lab stand-in of postgres: run it with user postgres" >&2
    exit 1
fi
for unknown in POSTGRES_PASSWORD_FILE POSTGRES_USER_FILE POSTGRES_DB_FILE POSTGRES_INITDB_WALDIR; do
    if [[ -n ${!unknown:-} ]]; then
        echo "lab stand-in of postgres: $unknown is not implemented" >&2
        exit 1
    fi
done
[[ ${1:-} == -* ]] && set -- postgres "$@"

if [[ ${1:-} == postgres && ! -s $PGDATA/PG_VERSION ]]; then
    : "${POSTGRES_PASSWORD:?the database is not initialised: set POSTGRES_PASSWORD}"
    user=${POSTGRES_USER:-postgres}
    draft=$PGDATA/.initialising
    # An interrupted initialisation must not be taken for a cluster.
    rm -rf "$draft"
    # The variable holds several arguments, as in the official image.
    # shellcheck disable=SC2086
    initdb --pgdata "$draft" --username "$user" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$draft/pg_hba.conf"
    printf "listen_addresses = '*'\n" >>"$draft/postgresql.conf"

    pg_ctl --pgdata "$draft" --options "-c listen_addresses=''" --wait --silent start
    sql=(psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$user" --no-password)
    database=${POSTGRES_DB:-$user}
    if [[ $database != postgres ]]; then
        "${sql[@]}" --dbname postgres --set name="$database" <<<'CREATE DATABASE :"name";'
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sql) "${sql[@]}" --dbname "$database" --file "$file" ;;
            *.sh) bash "$file" ;;
            /docker-entrypoint-initdb.d/\*) ;;
            *) echo "lab stand-in of postgres: $file is neither .sql nor .sh" >&2; exit 1 ;;
        esac
    done
    pg_ctl --pgdata "$draft" --mode fast --wait --silent stop
    # PG_VERSION last: it is what tells a whole cluster.
    find "$draft" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    mv "$draft/PG_VERSION" "$PGDATA"
    rmdir "$draft"
    chmod 0700 "$PGDATA"
fi
unset POSTGRES_PASSWORD
exec "$@"
